"""The report: a versioned, published schema (`medvis schema`). Unknown is null, and `unknown` says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

SCHEMA_VERSION = "1.0"
NOTICE = "Research use only. Not a medical device. Not for diagnosis or treatment decisions."


class _ReportModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Code(_ReportModel):
    """A coded concept, e.g. SNOMED CT (scheme ``SCT``)."""

    scheme: str
    value: str
    meaning: str


class Box(_ReportModel):
    """Half-open pixel box on one frame: rows row0 ≤ r < row1, columns col0 ≤ c < col1."""

    frame: int
    row0: int
    col0: int
    row1: int
    col1: int


class Intensity(_ReportModel):
    """Statistics of the pixels inside a finding, in the scan's unit (HU for CT)."""

    unit: str
    mean: float
    sd: float
    min: float
    max: float


class Attribute(_ReportModel):
    """One descriptor of a finding, e.g. texture = solid.

    `score` is the model's estimate on the scale of the readers (e.g. 1–5), `spread` its standard deviation over views.
    """

    name: str
    value: str
    score: float | None = None
    scale: str | None = None
    spread: float | None = None


class Reading(_ReportModel):
    """One line of a differential: what it may be, and how likely among the listed ones."""

    name: str
    probability: float = Field(ge=0, le=1)
    code: Code | None = None


class Finding(_ReportModel):
    """One lesion. Lengths in mm, in the plane of its key frame; rows and columns are 0-based pixels."""

    id: int = Field(ge=1, description="Value of this finding in the mask")
    name: str
    code: Code | None = None
    probability: float = Field(ge=0, le=1, description="Calibrated probability that this is a true finding")
    spread: float | None = Field(default=None, description="Standard deviation of the probability over views")
    key_frame: int = Field(description="0-based frame with the largest area")
    first_frame: int
    last_frame: int
    box: Box
    centroid: tuple[float, float, float] = Field(description="frame, row, col")
    centroid_mm: tuple[float, float, float] | None = Field(description="Patient LPS coordinates")
    contour: list[tuple[float, float]] = Field(description="Outline on the key frame as (row, col)")
    area_px: int
    longest_diameter_px: float = Field(
        description="Length in the pixel grid of the line that is longest in mm, if known"
    )
    perpendicular_diameter_px: float = Field(description="Length in the pixel grid of the perpendicular line")
    area_mm2: float | None
    longest_diameter_mm: float | None
    perpendicular_diameter_mm: float | None
    volume_mm3: float | None
    intensity: Intensity
    malignancy: float | None = Field(
        default=None,
        description="Probability of malignant against benign as the training labels have it: readers' ratings, or the "
        "class of the whole image (not pathology)",
    )
    attributes: list[Attribute] = []
    differential: list[Reading] = []
    unknown: dict[str, str] = Field(default={}, description="Field → why it is null")


class Verdict(_ReportModel):
    """What the image says as a whole; `refer` where the tool cannot tell, with the reasons."""

    decision: Literal["positive", "negative", "refer"]
    probability: float | None = Field(default=None, ge=0, le=1)
    reasons: list[str]


class ScanFacts(_ReportModel):
    """What was read."""

    path: str
    format: str
    sha256: str
    modality: str | None
    body_part: str | None
    unit: str
    frames: int
    rows: int
    cols: int
    channels: int
    spacing_mm: tuple[float, float] | None
    slice_spacing_mm: float | None
    series_uid: str | None
    sop_instance_uids: list[str]
    notes: list[str]
    unknown: dict[str, str] = {}


class Quality(_ReportModel):
    """Facts about the image that bear on trust; null where not measured."""

    valid_fraction: float = Field(description="Share of pixels that are not padding")
    contrast: float | None = Field(description="95th − 5th percentile of the model's view (0…1)")
    sharpness: float | None = Field(description="Variance of the Laplacian of the model's view")
    searched_fraction: float | None = Field(description="Share of the pixels that were searched")


class Provenance(_ReportModel):
    """What produced this report. `timings_s` is the only part that differs between two runs on one machine."""

    medvis: str
    task: str
    config_sha256: str
    model_name: str
    model_sha256: str
    backend: str
    trail: list[dict[str, Any]]
    timings_s: dict[str, float] = {}


@dataclass(frozen=True)
class Picture:
    """A PNG file; all are equal, since a report is what it says."""

    png: bytes = field(default=b"", repr=False, compare=False)


class Report(_ReportModel):
    """The report of one image or series."""

    schema_version: Literal["1.0"] = "1.0"
    notice: str = NOTICE
    task: str
    title: str
    scan: ScanFacts
    quality: Quality
    verdict: Verdict
    classes: list[Reading] = Field(
        default=[], description="Calibrated probabilities of the classes of the whole image, likeliest first"
    )
    findings: list[Finding]
    uncertainty: dict[str, float | None] = Field(default={}, description="Spread over views and its kin")
    notes: list[str]
    provenance: Provenance
    _picture: Picture = PrivateAttr(default_factory=Picture)

    def with_picture(self, png: bytes) -> Report:
        """The same report, shown in a notebook with this picture (a PNG file). No JSON and no comparison has it."""
        copy = self.model_copy()
        copy._picture = Picture(png)  # noqa: SLF001 - of this very class
        return copy

    def _repr_html_(self) -> str:
        """For notebooks: verdict, table of findings and, where the report has one, the picture."""
        from medvis.core.html import report_html  # noqa: PLC0415 - only where it is shown

        return report_html(self, self._picture.png)

    def canonical(self) -> dict[str, Any]:
        """The report without what may differ between two equal runs: timings and the path as typed."""
        body = self.model_dump(mode="json")
        body["provenance"].pop("timings_s")
        body["scan"].pop("path")
        return body

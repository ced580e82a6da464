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

    scheme: str = Field(description="Coding scheme as DICOM abbreviates it (PS3.16 table 8-1), e.g. SCT for SNOMED CT")
    value: str = Field(description="Code value in that scheme")
    meaning: str = Field(description="What the code means, in words")


class Box(_ReportModel):
    """Half-open pixel box on one frame: rows row0 ≤ r < row1, columns col0 ≤ c < col1."""

    frame: int = Field(description="0-based frame")
    row0: int = Field(description="First pixel row, 0-based")
    col0: int = Field(description="First pixel column, 0-based")
    row1: int = Field(description="Row after the last one")
    col1: int = Field(description="Column after the last one")


class Intensity(_ReportModel):
    """Statistics of the pixels inside a finding, in the scan's unit (HU for CT)."""

    unit: str = Field(description="Unit of the values: HU, or that of the scan")
    mean: float = Field(description="Mean of the pixels inside")
    sd: float = Field(description="Their standard deviation")
    min: float = Field(description="Their least value")
    max: float = Field(description="Their greatest value")


class Attribute(_ReportModel):
    """One descriptor of a finding, e.g. texture = solid.

    `score` is the model's estimate on the scale of the readers (e.g. 1–5), `spread` its standard deviation over views.
    """

    name: str = Field(description="What is described, e.g. texture")
    value: str = Field(description="In words, e.g. solid")
    score: float | None = Field(
        default=None, description="Estimate on the scale of the readers; null: only words were learned"
    )
    scale: str | None = Field(default=None, description="The ends of that scale in words; null: as score")
    spread: float | None = Field(
        default=None, description="Standard deviation of the score over the views; null: one view, or as score"
    )


class Reading(_ReportModel):
    """One line of a differential: what it may be, and how likely among the listed ones."""

    name: str = Field(description="What it may be")
    probability: float = Field(ge=0, le=1, description="Calibrated, among the ones that are listed")
    code: Code | None = Field(default=None, description="Code of it; null: the task names none")


class Finding(_ReportModel):
    """One lesion. Lengths in mm, in the plane of its key frame; rows and columns are 0-based pixels."""

    id: int = Field(ge=1, description="Value of this finding in the mask")
    name: str = Field(description="What the task calls its findings")
    code: Code | None = Field(default=None, description="Code of that; null: the task names none")
    probability: float = Field(ge=0, le=1, description="Calibrated probability that this is a true finding")
    spread: float | None = Field(
        default=None, description="Standard deviation of the probability over the views, 0…0.5; null: a single view"
    )
    key_frame: int = Field(description="0-based frame with the largest area")
    first_frame: int = Field(description="0-based frame on which it begins")
    last_frame: int = Field(description="0-based frame on which it ends, included")
    slices: str = Field(
        default="",
        description="The same for people, counted from 1 as in pictures and tables: the key frame, of how many, and in "
        "brackets those it spans",
    )
    box: Box = Field(description="Smallest box around it on its key frame")
    centroid: tuple[float, float, float] = Field(description="frame, row, col")
    centroid_mm: tuple[float, float, float] | None = Field(
        description="Patient coordinates in mm, LPS; null: as `unknown` says"
    )
    contour: list[tuple[float, float]] = Field(description="Outline on the key frame as (row, col)")
    area_px: int = Field(description="Pixels on the key frame")
    longest_diameter_px: float = Field(
        description="Length in the pixel grid of the line that is longest in mm, if known"
    )
    perpendicular_diameter_px: float = Field(description="Length in the pixel grid of the perpendicular line")
    area_mm2: float | None = Field(description="Area on the key frame in mm²; null: as `unknown` says")
    longest_diameter_mm: float | None = Field(
        description="Longest diameter on the key frame in mm; null: as `unknown` says"
    )
    perpendicular_diameter_mm: float | None = Field(
        description="Longest diameter at a right angle to that, in mm; null: as `unknown` says"
    )
    longest_diameter_range_mm: tuple[float, float] | None = Field(
        default=None,
        description="Between which the longest diameter of a ball lies that measures so (error of measuring on "
        "phantoms, not how far readers differ); null: as `unknown` says",
    )
    volume_mm3: float | None = Field(description="Volume over all its frames in mm³; null: as `unknown` says")
    volume_range_mm3: tuple[float, float] | None = Field(
        default=None, description="The same of the volume; null: as `unknown` says"
    )
    intensity: Intensity = Field(
        description="Values of the pixels inside, over all its frames; of an outline at half contrast, of those away "
        "from the edge"
    )
    malignancy: float | None = Field(
        default=None,
        description="Probability of malignant against benign as the training labels have it: readers' ratings, or the "
        "class of the whole image (not pathology), 0…1; null: as `unknown` says",
    )
    attributes: list[Attribute] = Field(
        default=[], description="Descriptors, in the order of the task; empty: it has none"
    )
    differential: list[Reading] = Field(
        default=[], description="What it may be, the likeliest first; empty: the task lists nothing"
    )
    unknown: dict[str, str] = Field(default={}, description="Field → why it is null")


ReasonCode = Literal[
    "findings",
    "no-findings",
    "class",
    "input-not-as-learned",
    "grey-values-estimated",
    "search-region-not-found",
    "nothing-searched",
    "contrast-too-low",
    "views-disagree-on-findings",
    "views-disagree-on-class",
    "classes-too-close",
    "likely-but-under-threshold",
    "class-negative-with-findings",
    "class-positive-without-findings",
]


class Verdict(_ReportModel):
    """What the image says as a whole; `refer` where the tool cannot tell, with the reasons."""

    decision: Literal["positive", "negative", "refer"] = Field(
        description="positive: something was found; negative: nothing was, in what was searched; refer: a person must "
        "look"
    )
    probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="That there is something to find: of the likeliest finding, or of the likeliest place that was "
        "left out where there is none; of a task with classes, of all that are not normal; null: as `unknown` says",
    )
    reasons: list[str] = Field(description="What the decision rests on, one sentence each, at least one")
    codes: list[ReasonCode] = Field(default=[], description="The same for machines: a code for each of the reasons")
    unknown: dict[str, str] = Field(default={}, description="Field → why it is null")


class ScanFacts(_ReportModel):
    """What was read."""

    path: str = Field(description="As it was given")
    format: str = Field(description="dicom, nifti, png, jpeg, tiff, bmp, webp or case")
    sha256: str = Field(description="Of the file; of a series, of the hashes of its files")
    modality: str | None = Field(description="DICOM modality, e.g. CT; null: the file names none")
    body_part: str | None = Field(description="Body part as DICOM names it; null: the file names none")
    unit: str = Field(description="Of the values: HU, a unit of DICOM, grey or RGB; US: unspecified")
    frames: int = Field(description="Number of frames or slices")
    rows: int = Field(description="Pixel rows of a frame")
    cols: int = Field(description="Pixel columns of a frame")
    channels: int = Field(description="1 grey, 3 colour")
    spacing_mm: tuple[float, float] | None = Field(
        description="Distance in mm between rows and between columns; null: as `unknown` says"
    )
    slice_spacing_mm: float | None = Field(description="Distance of neighbouring slices in mm; null: as `unknown` says")
    series_uid: str | None = Field(description="Series Instance UID; null: no DICOM")
    sop_instance_uids: list[str] = Field(
        description="SOP Instance UID of each file, in the order of the frames; empty: no DICOM"
    )
    notes: list[str] = Field(description="What had to be assumed or was mended when it was read")
    unknown: dict[str, str] = Field(default={}, description="Field → why it is null")


class Quality(_ReportModel):
    """Facts about the image that bear on trust."""

    valid_fraction: float = Field(description="Share of pixels that are not padding")
    contrast: float | None = Field(description="95th − 5th percentile of the model's view (0…1); null: it has none")
    sharpness: float | None = Field(description="Variance of the Laplacian of the model's view; null: it has none")
    searched_fraction: float | None = Field(
        description="Share of the pixels that were searched; null: the task looks at the image as a whole"
    )


class Uncertainty(_ReportModel):
    """How far the views of the model differ."""

    views: int = Field(ge=0, description="How many views of the image, its tiles and crops were looked at")
    largest_finding_spread: float | None = Field(
        default=None, description="Largest spread of a finding; null: no finding has one"
    )
    mean_mask_spread: float | None = Field(
        default=None,
        description="Standard deviation of the mask's probability over the views, mean of all pixels of the findings; "
        "null: there are none",
    )
    class_spread: float | None = Field(
        default=None,
        description="Standard deviation of the likeliest class's probability over the views; null: no classes, or one "
        "view",
    )
    class_margin: float | None = Field(
        default=None, description="How far the likeliest class is ahead of the next; null: there are no two classes"
    )


class Provenance(_ReportModel):
    """What produced this report. `timings_s` is the only part that differs between two runs on one machine."""

    medvis: str = Field(description="Version of medvis")
    task: str = Field(description="Name of the task")
    config_sha256: str = Field(description="Hash of all settings")
    model_name: str = Field(description="Name and version on the card of the model")
    model_sha256: str = Field(description="Of the graph of the model")
    backend: str = Field(description="What ran it, e.g. onnx")
    trail: list[dict[str, Any]] = Field(description="Every step from reading on, with its settings, in order")
    timings_s: dict[str, float] = Field(default={}, description="Seconds that each stage took")


@dataclass(frozen=True)
class Picture:
    """A PNG file; all are equal, since a report is what it says."""

    png: bytes = field(default=b"", repr=False, compare=False)


class Report(_ReportModel):
    """The report of one image or series."""

    schema_version: Literal["1.0"] = Field(default="1.0", description="Of this schema")
    notice: str = Field(default=NOTICE, description="What the report is not for")
    task: str = Field(description="Name of the task")
    title: str = Field(description="The task in words")
    scan: ScanFacts = Field(description="What was read")
    quality: Quality = Field(description="Facts about the image that bear on trust")
    verdict: Verdict = Field(description="What the image says as a whole")
    classes: list[Reading] = Field(
        default=[], description="Calibrated probabilities of the classes of the whole image, likeliest first"
    )
    findings: list[Finding] = Field(
        description="The findings, in the order of their numbers in the mask: the one with most pixels there first"
    )
    uncertainty: Uncertainty = Field(description="How far the views of the model differ")
    notes: list[str] = Field(description="What the stages had to assume, one sentence each")
    provenance: Provenance = Field(description="What produced this report")
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

"""What was read: pixels in modality units, where they lie in the patient, and every step done to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Float32s
from medvis.core.geometry import Geometry
from medvis.errors import InputError


@dataclass(frozen=True)
class DisplayWindow:
    """One VOI window of the file (PS3.3 C.11.2.1.2): for display, never for the model.

    Raises:
        ValueError: not finite, or a width below 1 (LINEAR) or not above 0 (other functions).
    """

    center: float
    width: float
    function: str = "LINEAR"
    explanation: str | None = None

    def __post_init__(self) -> None:
        wide_enough = self.width >= 1 if self.function == "LINEAR" else self.width > 0
        if not (isfinite(self.center) and isfinite(self.width) and wide_enough):
            raise ValueError(f"no {self.function} window has center {self.center:g} and width {self.width:g}")


@dataclass(frozen=True)
class VoiLut:
    """A VOI LUT of the file (PS3.3 C.11.2.1.1): for display, never for the model.

    Attributes:
        data: the table's entries, 0 to 2**bits - 1.
        first: the value that the first entry stands for, in modality units; below it the first entry holds.
        bits: of an entry.
        explanation: LUT Explanation, as the file has it.
    """

    data: tuple[int, ...]
    first: int
    bits: int
    explanation: str | None = None


@dataclass(frozen=True)
class Source:
    """What the pixels came from, without any patient identity.

    Attributes:
        path: as the user gave it.
        format: ``dicom``, ``png``, ``jpeg``, ``tiff``, ``nifti``, ``phantom``.
        sha256: of the file; for a series of the sorted frame hashes.
        files: the file of each frame, in frame order (a multi-frame file: once).
        sop_instance_uids: in frame order; empty if not DICOM.
        frame_numbers: the number (from 1) in the file of each frame; empty where the scan's frames are those of its
            file, in that order, and for a series of files.
        windows_by_frame: the VOI windows that the file gives for each frame; empty where they are the same for all
            (`Scan.windows`).
        voi_luts: the file's VOI LUTs.
        details: further facts for `medvis info`, JSON values only: transfer syntax, bits …
        parsed: what a reader keeps of each file for the writers of its own format, so that they need not read it
            again (DICOM: `dicom.read.parsed_file.ParsedFile`); nobody else looks into it.
    """

    path: str
    format: str
    sha256: str
    files: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()
    series_uid: str | None = None
    study_uid: str | None = None
    frame_numbers: tuple[int, ...] = ()
    windows_by_frame: tuple[tuple[DisplayWindow, ...], ...] = ()
    voi_luts: tuple[VoiLut, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    parsed: tuple[Any, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Step:
    """One applied step: the stage's name and its settings (JSON values only)."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scan:
    """Pixels in modality units. Frozen: a stage returns a new one and never writes into its input.

    Attributes:
        pixels: float32 [frames, rows, cols, channels]; HU for CT, stored values after the Modality LUT for other
            DICOM, grey values (0–255 or 0–65535) for rasters. MONOCHROME1 is *not* inverted here:
            modality units have no polarity; `inverted` tells the display.
        valid: bool [frames, rows, cols], False where the pixel is padding; None if there is no padding.
        unit: ``HU``, ``US`` (unspecified), ``grey`` or another rescale type.
        modality: DICOM modality code, or None for a raster.
        body_part: as in the file, upper case, or None.
        bits: of the stored values (8, 12, 16, …).
        windows: the file's own VOI windows.
        inverted: True if high values are shown dark (MONOCHROME1).
        notes: what a reader had to assume or repair, one sentence each.
    """

    pixels: Float32s
    geometry: Geometry
    source: Source
    unit: str = "grey"
    modality: str | None = None
    body_part: str | None = None
    bits: int = 8
    valid: Bools | None = None
    windows: tuple[DisplayWindow, ...] = ()
    inverted: bool = False
    trail: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.float32:
            raise InputError(
                f"{self.source.path}: pixels are {self.pixels.dtype} {list(self.pixels.shape)}",
                "float32 [frames, rows, cols, channels]",
            )
        if self.valid is not None and self.valid.shape != self.pixels.shape[:3]:
            raise InputError(
                f"{self.source.path}: padding mask {list(self.valid.shape)} does not fit the pixels",
                f"{list(self.pixels.shape[:3])}",
            )

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @property
    def channels(self) -> int:
        """Number of channels: 1 (grey) or 3 (RGB)."""
        return int(self.pixels.shape[3])

    def fact(self, stage: str, name: str) -> Any:  # noqa: ANN401 - a JSON value
        """What a stage noted on the trail, the last time that it ran; None where it did not."""
        return next((step.settings.get(name) for step in reversed(self.trail) if step.name == stage), None)

    def derive(self, step: Step | None = None, **changes: Any) -> Scan:  # noqa: ANN401 - fields of Scan
        """A new scan with some fields changed and, if given, one more step on its trail."""
        trail = self.trail if step is None else (*self.trail, step)
        return replace(self, trail=trail, **changes)

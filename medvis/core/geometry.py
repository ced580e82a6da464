"""Where the pixels of a scan lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medvis.core.arrays import Float64s

Affine = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class StoredGrid:
    """The voxel grid of a NIfTI volume as it lies in the file, which frames, rows and columns are a turned view of.

    Attributes:
        shape: (i, j, k).
        turned: for each of the file's axes (axis of columns, rows, frames that it is: 0, 1, 2; 1 or −1 for its way).
        sform, qform: four rows each, voxel → RAS+ in `unit`; None where its code is 0.
        codes: sform_code and qform_code.
        zooms: pixdim of the three axes.
        unit: of lengths, as the header names it.
    """

    shape: tuple[int, int, int]
    turned: tuple[tuple[int, int], ...]
    sform: Affine | None
    qform: Affine | None
    codes: tuple[int, int]
    zooms: tuple[float, float, float]
    unit: str


@dataclass(frozen=True)
class Geometry:
    """Where the pixels lie. Every length is in mm; unknown is None, and `reasons` says why.

    Attributes:
        spacing: distance between rows and between columns (row, column), as Pixel Spacing (PS3.3 10.7.1.3).
        slice_spacing: distance between neighbouring frames along the normal; None for a single frame.
        positions: float64 [frames, 3], the centre of the first pixel of each frame in patient LPS coordinates.
        orientation: float64 [6], direction cosines of a row and of a column (PS3.3 C.7.6.2.1.1).
        frame_of_reference: its UID.
        reasons: for each unknown field the reason.
        stored: the grid of the file, where that is not of frames, rows and columns; results are written on it.
    """

    spacing: tuple[float, float] | None = None
    slice_spacing: float | None = None
    positions: Float64s | None = None
    orientation: Float64s | None = None
    frame_of_reference: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    stored: StoredGrid | None = None

    def unknown(self, frames: int) -> dict[str, str]:
        """Field of a report → why it is null, of an image of that many frames; further keys are fields of this."""
        fields = {"spacing": "spacing_mm", "slice_spacing": "slice_spacing_mm"}
        out = {fields.get(name, name): reason for name, reason in self.reasons.items()}
        for name, field_name in fields.items():
            if getattr(self, name) is None:
                single = name == "slice_spacing" and frames == 1
                out.setdefault(field_name, "a single frame" if single else "the file does not say")
        return out

    def to_patient(self, frame: int, row: float, col: float) -> tuple[float, float, float] | None:
        """Patient coordinates (LPS, mm) of a pixel centre, PS3.3 equation C.7.6.2.1-1; None if unknown."""
        if self.spacing is None or self.positions is None or self.orientation is None:
            return None
        along_row, along_col = self.orientation[:3], self.orientation[3:]
        point = self.positions[frame] + along_row * self.spacing[1] * col + along_col * self.spacing[0] * row
        return float(point[0]), float(point[1]), float(point[2])

    def centroid_to_patient(
        self, row: float, col: float, frame_pixels: Sequence[tuple[int, int]]
    ) -> tuple[float, float, float] | None:
        """The mean of pixels of several frames in patient coordinates, also of frames that are uneven or tilted.

        Args:
            row: mean over all the pixels.
            col: likewise.
            frame_pixels: (frame, number of pixels on it), at least one.
        """
        first = self.to_patient(0, row, col)
        if first is None or self.positions is None:
            return None
        frames, counts = np.array(frame_pixels).T
        x, y, z = np.array(first) + counts @ (self.positions[frames] - self.positions[0]) / counts.sum()
        return float(x), float(y), float(z)

"""Where the pixels of a scan lie in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from medvis.core.arrays import Float64s


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
    """

    spacing: tuple[float, float] | None = None
    slice_spacing: float | None = None
    positions: Float64s | None = None
    orientation: Float64s | None = None
    frame_of_reference: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)

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

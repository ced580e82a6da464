"""Images are shown to the model as a viewer would show them, whichever way their rows and columns run in the file.

An axial slice stands with the front of the patient up and the left on the right; a coronal or sagittal one with the
head up. A file may hold the mirror image of that and say so in Image Orientation (Patient), PS3.3 C.7.6.2.1.1: the
anatomy is the same, the pixels are not, and a network would say something else. What it says is turned back to the
file's own grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Float64s
from medvis.core.case import CandidateRow, Prediction
from medvis.core.geometry import Geometry
from medvis.ops.slice_geometry import normal_of

T = TypeVar("T", bound=np.generic)

# Which way along each patient axis (left, back, head) a row or column should run.
_WANTED = np.array([1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Upright:
    """Which axes of [frames, rows, cols] run the other way round. Doing the same again undoes it."""

    frames: bool = False
    rows: bool = False
    cols: bool = False

    @classmethod
    def of(cls, geometry: Geometry) -> Upright:
        """For a scan; nothing is turned where its orientation is not known."""
        if geometry.orientation is None:
            return cls()
        along_row, along_col = geometry.orientation[:3], geometry.orientation[3:]
        cols, rows = _against(along_row), _against(along_col)
        normal = normal_of(geometry.orientation) * (-1 if rows != cols else 1)
        positions = geometry.positions
        frames = positions is not None and float((positions[-1] - positions[0]) @ normal) < 0
        return cls(frames, rows, cols)

    def planes(self, maps: NDArray[T]) -> NDArray[T]:
        """Maps [..., rows, cols]; the same array if nothing is to be turned."""
        if not (self.rows or self.cols):
            return maps
        return np.ascontiguousarray(maps[..., :: -1 if self.rows else 1, :: -1 if self.cols else 1])

    def images(self, view: NDArray[T]) -> NDArray[T]:
        """Images [..., rows, cols, channels]; the same array if nothing is to be turned."""
        if not (self.rows or self.cols):
            return view
        turned = np.asarray(view)[..., :: -1 if self.rows else 1, :: -1 if self.cols else 1, :]
        return np.ascontiguousarray(turned)

    def stack(self, stack: NDArray[T]) -> NDArray[T]:
        """A stack [frames, rows, cols], as a view."""
        return stack[:: -1 if self.frames else 1, :: -1 if self.rows else 1, :: -1 if self.cols else 1]

    def candidate(self, candidate: CandidateRow, shape: tuple[int, int]) -> CandidateRow:
        """The candidate with its position on a frame [rows, cols] of that shape turned."""
        row0, col0, row1, col1 = candidate.box
        row, col = candidate.center
        if self.rows:
            row0, row1, row = shape[0] - row1, shape[0] - row0, shape[0] - 1 - row
        if self.cols:
            col0, col1, col = shape[1] - col1, shape[1] - col0, shape[1] - 1 - col
        return candidate._replace(box=(row0, col0, row1, col1), center=(row, col))

    def prediction(self, prediction: Prediction) -> Prediction:
        """The maps of a prediction without candidates."""
        if not (self.rows or self.cols):
            return prediction
        return replace(
            prediction,
            mask_logits=self.planes(np.asarray(prediction.mask_logits)),
            spread=self.planes(np.asarray(prediction.spread)),
            evidence=self.planes(np.asarray(prediction.evidence)),
        )


def _against(direction: Float64s) -> bool:
    main = int(np.abs(direction).argmax())
    return bool(direction[main] * _WANTED[main] < 0)

"""The gate of the explanation map."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Float64s
from medvis.core.case import require
from medvis.core.outcome import Outcome
from medvis.dicom.objects.frame_references import frame_index
from medvis.dicom.objects.round_trip import TOLERANCE_MM, check_envelope, refuse
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.read.image_plane import ImagePlane, image_planes_of
from medvis.errors import OutputError

_ROUNDING = 1e-6  # of a mean of numbers in 0…1, in float32


def check_map(ds: Dataset, outcome: Outcome, source: SourceStudy) -> None:
    """Each value is the mean of the evidence over the pixels that it covers, and lies in the middle of them.

    Raises:
        OutputError: another value, a frame too many or too few, or a place that has moved.
    """
    check_envelope(ds, source)
    evidence = require(outcome.case.evidence, "pm", "evidence", "explain")
    frames = frame_index(ds, source)
    if sorted(frames) != np.flatnonzero(evidence.any((1, 2))).tolist():
        raise refuse("the frames of the map are not those with evidence")
    stored = ds.pixel_array.reshape(len(frames), ds.Rows, ds.Columns)
    down, across = (side // have for side, have in zip(evidence.shape[1:], stored.shape[1:], strict=True))
    planes = image_planes_of(ds, len(frames))
    for rank, frame in enumerate(frames):
        blocks = [evidence[frame, row::down, col::across] for row in range(down) for col in range(across)]
        if np.abs(np.mean(blocks, axis=0) - stored[rank]).max() > _ROUNDING:
            raise refuse(f"the map of frame {frame + 1} is not the evidence")
        _compare(planes[rank], source.planes[frame], (stored[rank].shape, (down, across)), frame)


def _compare(here: ImagePlane, there: ImagePlane, grid: tuple[tuple[int, ...], tuple[int, int]], frame: int) -> None:
    """The first and the last pixel of the map against the middles of the pixels that they cover."""
    (rows, cols), (down, across) = grid
    for row, col in ((0, 0), (rows - 1, cols - 1)):
        middle = (row * down + (down - 1) / 2, col * across + (across - 1) / 2)
        if not float(np.linalg.norm(_at(here, (row, col)) - _at(there, middle))) <= TOLERANCE_MM:
            raise refuse(f"the map of frame {frame + 1} does not lie where its source lies")


def _at(plane: ImagePlane, pixel: tuple[float, float]) -> Float64s:
    """PS3.3 equation C.7.6.2.1-1."""
    if plane.position is None or plane.orientation is None or plane.spacing.mm is None:
        raise OutputError("the round trip failed: a frame has no place")
    along_row, along_col = plane.orientation[:3] * plane.spacing.mm[1], plane.orientation[3:] * plane.spacing.mm[0]
    return np.asarray(plane.position + along_row * pixel[1] + along_col * pixel[0], np.float64)

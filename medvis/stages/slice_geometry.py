"""Geometry of a stack of slices: positions along the normal, thicknesses, and in-plane shifts between neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medvis.core.arrays import Float64s
from medvis.core.geometry import Geometry
from medvis.ops.slice_geometry import depths_of, drift_of, heights_of, runs_of

_STEP = 1e-3  # mm; frames nearer to each other than this are no stack
_JITTER = 0.05  # px; moves below this are the rounding of decimal strings


@dataclass(frozen=True)
class SliceGeometry:
    """The frames of a stack.

    Attributes:
        heights: float64 [frames], along the normal in mm.
        depths: float64 [frames], how much of the volume each stands for in mm.
        moves: for each frame but the first: how far its grid is moved against that of the frame before, as (rows,
            columns) in px; None where a gap lies between the two.
    """

    heights: Float64s
    depths: Float64s
    moves: tuple[tuple[float, float] | None, ...]


def slice_geometry_of(geometry: Geometry, frames: int) -> SliceGeometry | None:
    """For a scan of that many frames; None if they are no stack in space, or nobody knows."""
    if frames < 2:
        return None
    if geometry.positions is None or geometry.orientation is None:
        if geometry.slice_spacing is None:
            return None
        heights, drift = geometry.slice_spacing * np.arange(frames, dtype=np.float64), np.zeros((frames, 2))
    else:
        heights = heights_of(geometry.positions, geometry.orientation)
        drift = drift_of(geometry.positions, geometry.orientation)
    if np.abs(np.diff(heights)).min() < _STEP:
        return None
    return SliceGeometry(heights, depths_of(heights), _moves(heights, drift, geometry.spacing))


def heights_or_apart(geometry: Geometry, frames: int) -> Float64s:
    """Heights of the frames of a scan along their normal in mm; far apart if they are no stack, or nobody knows."""
    slices = slice_geometry_of(geometry, frames)
    return 1e6 * np.arange(frames, dtype=np.float64) if slices is None else slices.heights


def _moves(
    heights: Float64s, drift: Float64s, spacing: tuple[float, float] | None
) -> tuple[tuple[float, float] | None, ...]:
    moved = np.diff(drift, axis=0) / (spacing or (np.inf, np.inf))
    moved[np.abs(moved) < _JITTER] = 0
    return tuple(
        (float(row), float(col)) if run == next_run else None
        for (run, next_run), (row, col) in zip(pairwise(runs_of(heights)), moved, strict=True)
    )

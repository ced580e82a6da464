"""Geometry of a stack of slices along its normal: steps, gaps, and the thickness that each slice stands for."""

from __future__ import annotations

import numpy as np

from medvis.core.arrays import Float64s, Indices

GAP = 1.5
"""A step of more than this many usual ones is a gap: something that was not seen lies between the two frames."""
UNEVEN = 0.05
"""Steps that differ by less than this fraction of the usual one are even."""
MULTIPLE = 0.1
"""How near to a whole number of usual steps a gap is, for slices to be missing there."""


def normal_of(orientation: Float64s) -> Float64s:
    """The unit normal of a plane: row direction × column direction (PS3.3 C.7.6.2.1.1).

    Args:
        orientation: float64 [6], direction cosines of a row and of a column.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal), np.float64)


def heights_of(positions: Float64s, orientation: Float64s) -> Float64s:
    """Float64 [frames]: distance of each frame from the origin along the normal, in mm."""
    return np.asarray(positions @ normal_of(orientation), np.float64)


def usual_step(heights: Float64s) -> float:
    """The median distance of neighbouring frames, in mm. At least two frames."""
    return float(np.median(np.abs(np.diff(heights))))


def gaps_of(heights: Float64s) -> Indices:
    """The frames after which there is a gap."""
    steps = np.abs(np.diff(heights))
    return np.flatnonzero(steps > GAP * usual_step(heights)) if steps.size else np.empty(0, np.intp)


def missing_in(heights: Float64s) -> Float64s | None:
    """The heights at which slices are missing, float64 [n]; None if the steps are uneven, so that nobody can say.

    Args:
        heights: float64 [frames], ascending.
    """
    if heights.size < 2:
        return np.empty(0)
    step = usual_step(heights)
    ratios = np.diff(heights) / step
    wide = ratios > GAP
    off = np.abs(ratios - np.round(ratios))
    if (np.abs(ratios[~wide] - 1) > UNEVEN).any() or (off[wide] > MULTIPLE).any():
        return None
    missing = [heights[frame] + step * np.arange(1, round(ratios[frame])) for frame in np.flatnonzero(wide)]
    return np.concatenate(missing) if missing else np.empty(0)


def runs_of(heights: Float64s) -> Indices:
    """Intp [frames]: 0 up to the first gap, 1 up to the second, and so on."""
    after = np.zeros(heights.size, np.intp)
    after[gaps_of(heights) + 1] = 1
    return np.cumsum(after)


def depths_of(heights: Float64s) -> Float64s:
    """Float64 [frames], how much of the volume each frame stands for, in mm: half the way to either neighbour.

    At an end, and on the side of a gap, that is half of the usual step: what was not seen is not measured.
    """
    steps = np.abs(np.diff(heights))
    usual = usual_step(heights)
    steps[gaps_of(heights)] = usual
    # An end has one neighbour, and is as thick on the other side.
    padded = np.concatenate([steps[:1], steps, steps[-1:]])
    return np.asarray((padded[:-1] + padded[1:]) / 2, np.float64)


def drift_of(positions: Float64s, orientation: Float64s) -> Float64s:
    """Float64 [frames, 2]: how far each frame is moved in its own plane against the first one, along columns (that is,
    in rows) and along rows, in mm. Not 0 where a gantry was tilted.
    """
    moved = positions - positions[0]
    return np.stack([moved @ orientation[3:], moved @ orientation[:3]], axis=1)

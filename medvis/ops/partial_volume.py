"""Sizes of a finding of a CT from its edge at half contrast, finer than the pixels; its densities away from the edge.

A voxel at the edge belongs to the finding by a part, which its density tells (partial volume effect). Of a nodule of
5 mm on pixels of 0.7 mm, most pixels are at the edge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Float64s, Labels
from medvis.ops.diameters import axis_between, diameters_of
from medvis.ops.half_contrast import MARGIN_MM, fraction_inside
from medvis.ops.measure import AS_DRAWN, Measurement, Statistics

# How far off sizes are on balls of 5 to 30 mm in phantoms with vessels beside them, as ratios of measured to true: from
# the outline as a reader draws it, with pixels of 0.55 to 0.8 mm and slices of 1 to 2.5 mm (tests/test_edge_sizes.py).
LONGEST_RATIO = (0.94, 1.08)
VOLUME_RATIO = (0.92, 1.12)
THICKEST_MM = 2.5
BALLS_MM = (5.0, 30.0)
ONE_SLICE = "a single frame does not tell whether it is wider elsewhere"
TOO_THICK = "how far off sizes are was measured with slices of at most {:g} mm, and these are of {:.3g} mm"
NOT_THAT_SIZE = "how far off sizes are was measured on balls of {:g} to {:g} mm"

T = TypeVar("T", bound=np.generic)

_PLANE = ((0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0))
_SPACE = (*_PLANE, (1, 0, 0), (-1, 0, 0))


def around(labels: Labels, number: int, frames: tuple[int, int], spacing: tuple[float, float]) -> tuple[slice, ...]:
    """The box of a finding with a margin: a frame and some millimetres each way, as far as there are some.

    Args:
        labels: int32 [frames, rows, cols].
        number: of the finding.
        frames: the first and the last that it spans.
        spacing: (row, column) in mm.
    """
    boxes = []
    for plane in (labels[index] for index in range(frames[0], frames[1] + 1)):
        rows, cols = np.nonzero(plane == number)
        if len(rows):
            boxes.append((rows.min(), rows.max(), cols.min(), cols.max()))
    table = np.array(boxes)
    far = [int(MARGIN_MM / step) + 1 for step in spacing]
    return (
        slice(max(frames[0] - 1, 0), frames[1] + 2),
        slice(max(int(table[:, 0].min()) - far[0], 0), int(table[:, 1].max()) + far[0] + 1),
        slice(max(int(table[:, 2].min()) - far[1], 0), int(table[:, 3].max()) + far[1] + 1),
    )


def with_edge_sizes(
    size: Measurement,
    labels: Labels,
    hu: NDArray[np.floating],
    spacing: tuple[float, float],
    slices: tuple[Float64s, Float64s | float | None],
) -> Measurement:
    """A measurement with lengths, area and volume by its edge, and with the densities of its inside.

    Args:
        size: of the finding, with its sizes in mm.
        labels: int32 [frames, rows, cols], the findings.
        hu: of the same shape, Hounsfield units.
        spacing: (row, column) in mm.
        slices: heights of the frames along their normal in mm, float64 [frames], and how much of the volume each stands
            for in mm: float64 [frames], one number, or None if unknown.
    """
    window = around(labels, size.number, (size.first_frame, size.last_frame), spacing)
    frames = range(*window[0].indices(len(labels)))
    inside = np.stack([labels[index][window[1:]] == size.number for index in frames])
    values = np.stack([hu[index][window[1:]] for index in frames])
    heights = slices[0][frames.start : frames.stop]
    fraction = fraction_inside(values, inside, spacing, heights)
    key = size.key_frame - frames.start
    corner = np.array([window[1].start, window[2].start])
    found = diameters_of(_edge_points(fraction[key], inside[key]), spacing)
    per_frame = _shares(fraction, inside).sum((1, 2)) * spacing[0] * spacing[1]
    volume = None if size.volume_mm3 is None else _volume(per_frame, frames, slices[1])
    depth = _depth_at(slices[1], size.key_frame)
    unmeasured = _unmeasured(found.longest, depth)
    reasons = {name: unmeasured if why == AS_DRAWN else why for name, why in size.reasons.items()}
    return replace(
        size,
        area_mm2=float(_shares(fraction[key], inside[key]).sum()) * spacing[0] * spacing[1],
        longest_diameter_mm=found.longest,
        perpendicular_diameter_mm=found.perpendicular,
        longest_axis=axis_between(np.asarray(found.longest_axis) + corner),
        perpendicular_axis=axis_between(np.asarray(found.perpendicular_axis) + corner),
        longest_range_mm=None if unmeasured or depth is None else longest_range(found.longest, depth),
        volume_mm3=volume,
        volume_range_mm3=None if unmeasured or volume is None else volume_range(volume),
        reasons={name: why for name, why in reasons.items() if why is not None},
        intensity=_statistics(values[_away_from_edge(inside)]),
    )


def longest_range(longest: float, depth: float) -> tuple[float, float]:
    """What a ball's diameter may be whose longest diameter on its key frame was measured, in mm.

    Its widest section may lie up to half of the distance of two slices (`depth`, mm) beside the key frame's.
    """
    between = (longest**2 + depth**2) ** 0.5
    return longest / LONGEST_RATIO[1], between / LONGEST_RATIO[0]


def volume_range(volume: float) -> tuple[float, float]:
    """What a ball's volume may be that was measured, in mm³."""
    return volume / VOLUME_RATIO[1], volume / VOLUME_RATIO[0]


def _unmeasured(longest: float, depth: float | None) -> str | None:
    """Why a size of this kind was not measured on phantoms; None if it was."""
    if depth is None:
        return ONE_SLICE
    if depth > THICKEST_MM * 1.001:  # positions are written with a few digits
        return TOO_THICK.format(THICKEST_MM, depth)
    low, high = longest_range(longest, depth)
    return None if high >= BALLS_MM[0] and low <= BALLS_MM[1] else NOT_THAT_SIZE.format(*BALLS_MM)


def _depth_at(depths: Float64s | float | None, frame: int) -> float | None:
    return None if depths is None else float(depths[frame] if isinstance(depths, np.ndarray) else depths)


def _volume(areas: Float64s, frames: range, depths: Float64s | float | None) -> float | None:
    if depths is None:
        return None
    return float((areas * (depths[frames.start : frames.stop] if isinstance(depths, np.ndarray) else depths)).sum())


def _shares(fraction: Float32s, inside: Bools) -> Float64s:
    """How much of each pixel counts: all within, by its density at the edge and next to it; other tissue nothing."""
    sides = _PLANE if inside.ndim == 2 else _SPACE
    steps = [step[-inside.ndim :] for step in sides]
    near = np.logical_or.reduce([_shifted(inside, step) for step in steps]) & ~inside & (fraction < 0.5)
    edge = inside & np.logical_or.reduce([~_shifted(inside, step, fill=True) for step in steps]) & (fraction >= 0.5)
    return np.where(edge | near, fraction, inside).astype(np.float64)


def _edge_points(fraction: Float32s, inside: Bools) -> Float64s:
    """Where the edge crosses the lines between neighbouring pixels of a plane, as (row, col), float64 [n, 2].

    Half-way between the two where the density does not tell.
    """
    points = []
    for _, row, col in _PLANE:
        crossed = inside & ~_shifted(inside, (row, col))
        own, other = fraction[crossed], _shifted(fraction, (row, col))[crossed]
        tells = (own >= 0.5) & (other < 0.5)
        part = np.where(tells, (own - 0.5) / np.maximum(own - other, 1e-6), 0.5)
        points.append(np.argwhere(crossed) + part[:, None] * np.array([row, col]))
    return np.concatenate(points)


def _away_from_edge(inside: Bools) -> Bools:
    """The pixels all of whose neighbours in space, or else in the plane, are inside; all if there are none."""
    for sides in (_SPACE, _PLANE):
        core = np.asarray(inside & np.logical_and.reduce([_shifted(inside, side) for side in sides]), np.bool_)
        if core.any():
            return core
    return inside


def _shifted(array: NDArray[T], step: tuple[int, ...], fill: bool = False) -> NDArray[T]:
    """`array[index + step]` at each index; `fill` where that is outside."""
    padded = np.pad(array, 1, constant_values=fill)
    part: NDArray[T] = padded[tuple(slice(1 + by, 1 + by + size) for by, size in zip(step, array.shape, strict=True))]
    return part


def _statistics(values: NDArray[np.floating]) -> Statistics:
    wide = values.astype(np.float64)
    return Statistics(float(wide.mean()), float(wide.std()), float(wide.min()), float(wide.max()))

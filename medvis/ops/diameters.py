"""The two diameters of a plane shape that radiology reports: the longest, and the longest at a right angle to it.

RECIST 1.1 (Eisenhauer et al., Eur J Cancer 45, 2009) and the WHO handbook (1979). Lengths run between outer pixel
*edges*, not pixel centres: a single pixel is one pixel long, and a disc of diameter d measures d. scikit-image's
`feret_diameter_max` follows a marching-squares outline instead, which cuts the corners of pixels, and it knows no
perpendicular diameter.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float64s

Point = tuple[float, float]
Axis = tuple[Point, Point]


@dataclass(frozen=True)
class Diameters:
    """The longest diameter and the longest one at a right angle to it, in the unit of the spacing."""

    longest: float
    perpendicular: float
    longest_axis: Axis
    perpendicular_axis: Axis


def diameters(mask: Bools, spacing: tuple[float, float]) -> Diameters:
    """The two diameters of a plane shape, between outer pixel edges.

    Both are exact for the convex hull of the middles of all pixel edges. Of several longest diameters the one with the
    longest perpendicular counts.

    Args:
        mask: bool [rows, cols] with at least one pixel.
        spacing: (row, column) in mm.
    """
    if not mask.any():
        raise ValueError("diameters of an empty mask; wanted: at least one pixel")
    return _of_hull(_edge_hull(mask), spacing)


def diameters_of(points: Float64s, spacing: tuple[float, float]) -> Diameters:
    """The two diameters of what lies within some points.

    Args:
        points: float64 [n, 2], (row, col) on the edge of the shape, at least three that are not on one line.
        spacing: (row, column) in mm.
    """
    return _of_hull(cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64), spacing)


def _of_hull(grid: Float64s, spacing: tuple[float, float]) -> Diameters:
    hull = grid * spacing
    offsets = hull[:, None] - hull[None]
    length = np.hypot(offsets[..., 0], offsets[..., 1])
    longest = float(length.max())
    pairs = np.argwhere(np.triu(length) >= longest * (1 - 1e-9))
    chords = [_widest_across(hull, hull[second] - hull[first]) for first, second in pairs]
    best = int(np.argmax(np.round([chord for chord, _ in chords], 9)))
    perpendicular, ends = chords[best]
    return Diameters(
        longest, min(perpendicular, longest), axis_between(grid[pairs[best]]), axis_between(ends / spacing)
    )


def axis_between(ends: Float64s) -> Axis:
    """Two ends (row, col), float64 [2, 2], as plain numbers."""
    (row, col), (row2, col2) = ends.tolist()
    return (row, col), (row2, col2)


def _edge_hull(mask: Bools) -> Float64s:
    """The convex hull of the middles of all pixel edges as (row, col), float64 [n, 2]; found in exact half-pixels."""
    at = 2 * np.argwhere(mask)
    middles = np.concatenate([at + step for step in ((1, 0), (-1, 0), (0, 1), (0, -1))])
    return np.asarray(cv2.convexHull(middles.astype(np.int32))[:, 0] / 2.0, dtype=np.float64)


def _widest_across(hull: Float64s, along: Float64s) -> tuple[float, Float64s]:
    """The longest chord of a convex polygon at a right angle to a direction, and its two ends, float64 [2, 2].

    Across a convex shape the chord's length is piecewise linear between the corners, so that it is longest at a corner.
    """
    unit = along / np.hypot(*along)
    normal = np.array([-unit[1], unit[0]])
    x, y = hull @ unit, hull @ normal
    first, last = int(np.argmin(x)), int(np.argmax(x))
    turned = (np.arange(len(x)) + first) % len(x)
    split = int(np.flatnonzero(turned == last)[0])
    there, back = turned[: split + 1], np.append(turned[split:], first)[::-1]
    side_a, side_b = (np.interp(x, x[side], y[side]) for side in (there, back))
    widest = int(np.argmax(np.abs(side_a - side_b)))
    ends = x[widest] * unit + np.outer([side_a[widest], side_b[widest]], normal)
    return float(np.abs(side_a - side_b)[widest]), ends

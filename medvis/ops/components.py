"""From probabilities to numbered findings: hysteresis, components per frame, and their links across the frames.

Findings are 8-connected in the plane. Across frames they are linked, not labelled in three dimensions, because a slice
can be ten times as thick as a pixel is wide: the same nodule may shift by its own width from one slice to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from math import pi

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Labels
from medvis.core.frames import stack_like

Point = tuple[float, float]


def hysteresis(prob: Float32s, high: float, low: float) -> Bools:
    """Pixels of at least `low` whose component on the frame has a pixel of at least `high`.

    Args:
        prob: float32 [frames, rows, cols]; any scale, NaN counts as below.
        high: what a component must reach once.
        low: where its outline runs; low = high is a plain threshold.

    Returns:
        bool [frames, rows, cols].

    Raises:
        ValueError: low > high, or not three dimensions.
    """
    if low > high:
        raise ValueError(f"hysteresis from low {low:g} to high {high:g}; wanted: low ≤ high")
    _need_frames(prob, "probabilities")
    out = np.zeros(prob.shape, dtype=np.bool_)
    for frame, plane in enumerate(prob):
        strong = plane >= high
        if strong.any():
            _, labels = cv2.connectedComponents((plane >= low).astype(np.uint8), connectivity=8)
            kept = np.zeros(int(labels.max()) + 1, dtype=np.bool_)
            kept[labels[strong]] = True
            kept[0] = False
            out[frame] = kept[labels]
    return out


def label_frames(
    mask: Bools, min_pixels: int = 1, min_mm: float | None = None, spacing: tuple[float, float] | None = None
) -> Labels:
    """The components of every frame, numbered through from 1 by frame, then row, then column of their first pixel.

    Args:
        mask: bool [frames, rows, cols].
        min_pixels: smaller components are dropped.
        min_mm: components are dropped whose disc of equal area is narrower; has no effect without `spacing`.
        spacing: (row, column) in mm, or None if unknown.

    Returns:
        int32 [frames, rows, cols], 0 where there is none.

    Raises:
        ValueError: not three dimensions.
    """
    _need_frames(mask, "mask")
    least = float(min_pixels)
    if min_mm is not None and spacing is not None:
        least = max(least, pi / 4 * min_mm**2 / (spacing[0] * spacing[1]))
    out = np.zeros(mask.shape, dtype=np.int32)
    count = 0
    for frame, plane in enumerate(mask):
        if plane.any():
            _, labels, table, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
            kept = [number for number in _reading_order(labels, table) if table[number, cv2.CC_STAT_AREA] >= least]
            renumber = np.zeros(len(table), dtype=np.int32)
            renumber[kept] = np.arange(count + 1, count + 1 + len(kept))
            out[frame] = renumber[labels]
            count += len(kept)
    return out


def link(
    labels: Labels,
    min_overlap: int = 1,
    max_mm: float | None = None,
    spacing: tuple[float, float] | None = None,
    moves: Sequence[Point | None] | None = None,
) -> Labels:
    """Components of neighbouring frames become one finding if they overlap, or if their centres lie close together.

    Args:
        labels: int32 [frames, rows, cols] of `label_frames`: every component has a number of its own. `Frames` give
            `Frames`, and are gone through frame by frame.
        min_overlap: pixels that two components must share to be linked.
        max_mm: in-plane distance between the centres up to which they are linked even without overlap; None, or no
            `spacing`: overlap alone counts.
        spacing: (row, column) in mm, or None if unknown.
        moves: for each frame but the first how far its grid is moved against that of the frame before, in px, or None
            where the two are no neighbours after all. Without any: nothing is moved, all are neighbours.

    Returns:
        int32 [frames, rows, cols]: findings numbered from 1 by decreasing number of pixels; of equal ones the one
        that comes first by frame, row and column has the lower number.

    Raises:
        ValueError: not three dimensions.
    """
    _need_frames(labels, "labels")
    parent = np.arange(max((int(plane.max(initial=0)) for plane in labels), default=0) + 1)
    limit, sides = None if spacing is None else max_mm, spacing or (1.0, 1.0)
    for (upper, lower), move in zip(pairwise(labels), moves or repeat((0.0, 0.0)), strict=moves is not None):
        for upper_number, lower_number in _pairs(upper, lower, min_overlap, (limit, sides), move):
            joined = _root(parent, upper_number), _root(parent, lower_number)
            parent[max(joined)] = min(joined)
    roots = np.array([_root(parent, number) for number in range(len(parent))])
    return _by_size(labels, roots)


def _need_frames(array: NDArray[np.generic], what: str) -> None:
    if array.ndim != 3:
        raise ValueError(f"{what} of shape {list(array.shape)}; wanted: [frames, rows, cols]")


def _reading_order(labels: Labels, table: Labels) -> list[int]:
    """Component numbers by row, then column of their first pixel (cv2 promises no order)."""
    first = []
    for number in range(1, len(table)):
        left, top, width = (int(value) for value in table[number, :3])
        first.append((top, left + int(np.argmax(labels[top, left : left + width] == number)), number))
    return [number for _, _, number in sorted(first)]


def _pairs(
    upper: Labels, lower: Labels, min_overlap: int, limit: tuple[float | None, Point], move: Point | None
) -> Iterator[tuple[int, int]]:
    """The numbers of every two components of neighbouring frames that belong together."""
    if move is None:
        return
    beside = _moved(lower, round(move[0]), round(move[1]))
    both = (upper > 0) & (beside > 0)
    shared, count = np.unique(np.stack([upper[both], beside[both]]), axis=1, return_counts=True)
    yield from ((int(number), int(number2)) for number, number2 in shared[:, count >= min_overlap].T)
    max_mm, spacing = limit
    if max_mm is not None:
        there = {number: (row + move[0], col + move[1]) for number, (row, col) in _centers(lower).items()}
        yield from _close(_centers(upper), there, max_mm, spacing)


def _moved(plane: Labels, rows: int, cols: int) -> Labels:
    """The plane moved by whole pixels; what falls outside is lost."""
    if not rows and not cols:
        return plane
    padded = np.pad(plane, ((max(rows, 0), max(-rows, 0)), (max(cols, 0), max(-cols, 0))))
    row, col = max(-rows, 0), max(-cols, 0)
    return np.asarray(padded[row : row + plane.shape[0], col : col + plane.shape[1]])


def _close(
    upper: dict[int, Point], lower: dict[int, Point], max_mm: float, spacing: Point
) -> Iterator[tuple[int, int]]:
    for number, (row, col) in upper.items():
        for number2, (row2, col2) in lower.items():
            if np.hypot((row - row2) * spacing[0], (col - col2) * spacing[1]) <= max_mm:
                yield number, number2


def _centers(plane: Labels) -> dict[int, Point]:
    """Number → (row, col) of the centroid."""
    rows, cols = np.nonzero(plane)
    numbers, index, count = np.unique(plane[rows, cols], return_inverse=True, return_counts=True)
    row, col = (np.bincount(index, weights=where) / count for where in (rows, cols)) if len(numbers) else ((), ())
    return {int(number): (float(r), float(c)) for number, r, c in zip(numbers, row, col, strict=True)}


def _root(parent: NDArray[np.int64], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = int(parent[number])
    return number


def _by_size(labels: Labels, roots: NDArray[np.int64]) -> Labels:
    """Labels with each number replaced by the rank of its root: larger first, then the lower root, which came first."""
    sizes = np.zeros(len(roots), dtype=np.int64)
    for plane in labels:  # frame by frame: numpy counts and indexes in int64, which would take twice the volume
        sizes += np.bincount(plane[plane > 0], minlength=len(roots))
    sizes = np.bincount(roots, weights=sizes, minlength=len(roots))
    order = np.lexsort((np.arange(len(sizes)), -sizes))
    order = order[sizes[order] > 0]
    rank = np.zeros(len(roots), dtype=np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    table = rank[roots]
    return stack_like(labels, (table[plane] for plane in labels))

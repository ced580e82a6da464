"""What a segmentation of a COCO data set covers: polygons and run lengths, as the COCO API draws them.

Lin et al., Microsoft COCO, ECCV 2014. A polygon's corners are taken to a fifth of a pixel; its outline is followed in
such steps, and in every column of pixels, at its middle, what lies between an odd and an even crossing is inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Indices
from medvis.errors import InputError

_STEPS = 5  # of the grid that corners lie on, per pixel
_FARTHEST = 100_000.0  # px; no picture reaches as far


@dataclass(frozen=True)
class Outlines:
    """The segmentations of one image; drawn together when they are asked for.

    Attributes:
        name: of the image, for messages.
        segmentations: as the JSON has them; see `check`.
        size: (rows, cols) that the JSON says; None: it does not say.
    """

    name: str
    segmentations: tuple[Any, ...]
    size: tuple[int, int] | None = None

    def __call__(self, shape: tuple[int, int]) -> Bools:
        """All of them as bool [rows, cols]. Raises InputError where one is of another shape, or none at all."""
        if self.size is not None and self.size != shape:
            said = f"{self.size[0]}×{self.size[1]} px"
            raise InputError(f"{self.name} is {shape[0]}×{shape[1]} px, and its JSON says {said}", "one size in both")
        mask = np.zeros(shape, bool)
        for segmentation in self.segmentations:
            try:
                check(segmentation, shape)
                mask |= _polygons(segmentation, shape) if isinstance(segmentation, list) else _runs(segmentation, shape)
            except ValueError as error:
                message = f"{self.name}: a segmentation cannot be drawn ({error})"
                raise InputError(message, f"polygons or run lengths of {shape[0]}×{shape[1]} px") from error
        return mask


def check(segmentation: object, shape: tuple[int, int] | None) -> None:
    """Refuses what covers nothing or cannot be drawn.

    Args:
        segmentation: a list of polygons [x, y, x, y, …], or {size, counts}: run lengths, plain or packed.
        shape: (rows, cols) of the image; None: not known yet.

    Raises:
        ValueError: in words.
    """
    if isinstance(segmentation, dict):
        if shape is not None:
            _lengths(segmentation, shape)
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("it is neither a list of polygons nor run lengths")
    for polygon in segmentation:
        _check_polygon(polygon, shape)


def _check_polygon(polygon: object, shape: tuple[int, int] | None) -> None:
    if not isinstance(polygon, list) or not all(_is_number(value) for value in polygon):
        raise ValueError("a polygon is no list of numbers")
    if len(polygon) % 2:
        raise ValueError(f"a polygon has {len(polygon)} numbers, which are no pairs")
    if len(polygon) < 6:
        raise ValueError(f"a polygon has {len(polygon) // 2} points, not three")
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    if np.abs(corners).max() > _FARTHEST:
        raise ValueError(f"a polygon reaches to {np.abs(corners).max():g} px")
    sides = corners - corners[0]
    far = sides[np.abs(sides).sum(1).argmax()]
    if not np.abs(sides[:, 0] * far[1] - sides[:, 1] * far[0]).max() > 0:
        raise ValueError("a polygon has no area")
    low, high = corners.min(0), corners.max(0)
    if high.min() <= 0 or (shape is not None and (low[0] >= shape[1] or low[1] >= shape[0])):
        raise ValueError("a polygon lies outside of the image")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -1e300 < value < 1e300 and math.isfinite(value)


def _polygons(polygons: list[list[float]], shape: tuple[int, int]) -> Bools:
    """The union of polygons, each filled by its own crossings."""
    mask = np.zeros(shape, bool)
    for polygon in polygons:
        mask |= _polygon(np.asarray(polygon, np.float64).reshape(-1, 2), shape)
    return mask


def _polygon(corners: np.ndarray[Any, np.dtype[np.float64]], shape: tuple[int, int]) -> Bools:
    fine = np.trunc(_STEPS * corners + 0.5).astype(np.int64)
    edges = [_edge(start, end) for start, end in zip(fine, np.roll(fine, -1, axis=0), strict=True)]
    x, y = np.concatenate(edges).T
    moved = np.flatnonzero(np.diff(x))
    column, left = np.divmod(np.minimum(x[moved], x[moved + 1]) - _STEPS // 2, _STEPS)
    row = -(-(np.minimum(y[moved], y[moved + 1]) - _STEPS // 2) // _STEPS)  # rounded up
    inside = (left == 0) & (column >= 0) & (column < shape[1])
    # Column by column, each crossing turns what follows it from outside to inside, or back.
    position = column[inside] * shape[0] + np.clip(row[inside], 0, shape[0])
    crossings = np.bincount(position, minlength=shape[0] * shape[1] + 1)[: shape[0] * shape[1]]
    return np.asarray((np.cumsum(crossings) % 2 == 1).reshape(shape[1], shape[0]).T)


def _edge(start: Indices, end: Indices) -> Indices:
    """The points of an edge on the fine grid, one a step of its longer axis, [n, 2] (x, y).

    The slope is counted from the end with the smaller coordinate, so that an edge has the same points both ways.
    """
    span = np.abs(end - start)
    long = 0 if span[0] >= span[1] else 1
    low, high = (start, end) if start[long] <= end[long] else (end, start)
    steps = np.arange(span[long] + 1)
    points = np.empty((len(steps), 2), np.int64)
    points[:, long] = low[long] + steps
    slope = float(high[1 - long] - low[1 - long]) / span[long] if span[long] else 0.0
    points[:, 1 - long] = np.trunc(low[1 - long] + slope * steps + 0.5)
    return np.asarray(points if low is start else points[::-1], np.intp)


def _runs(segmentation: dict[str, Any], shape: tuple[int, int]) -> Bools:
    """Run lengths of 0 and 1 in turn, column by column; as numbers, or packed into text."""
    lengths = _lengths(segmentation, shape)
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.asarray(values.reshape(shape[1], shape[0]).T)


def _lengths(segmentation: dict[str, Any], shape: tuple[int, int]) -> list[int]:
    """The run lengths, which are whole, not negative and add up to the image."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != list(shape):
        said = "×".join(str(side) for side in size) + " px" if isinstance(size, list) else "of no size"
        raise ValueError(f"it is {'of ' if isinstance(size, list) else ''}{said}")
    lengths = unpacked(counts) if isinstance(counts, str | bytes) else counts
    if not isinstance(lengths, list) or any(type(length) is not int or length < 0 for length in lengths):
        raise ValueError("its run lengths are no whole numbers from 0 on")
    if sum(lengths) != shape[0] * shape[1]:
        raise ValueError(f"its run lengths add up to {sum(lengths)}, not {shape[0] * shape[1]}")
    return lengths


def unpacked(text: str | bytes) -> list[int]:
    """Run lengths from COCO's packed form: five bits a character, from the third on as difference to the last but one.

    Bit 6 of a character (from 48 on) says that another follows; bit 5 of the last is the sign.

    Raises:
        ValueError: another character, or the text ends within a number.
    """
    lengths: list[int] = []
    value = shift = 0
    for byte in text.encode() if isinstance(text, str) else text:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise ValueError("its packed run lengths hold another character")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its packed run lengths end within a number")
    return lengths

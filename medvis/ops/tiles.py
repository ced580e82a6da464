"""Overlapping tiles over a search region, and their seamless merging."""

from __future__ import annotations

import numpy as np

from medvis.core.arrays import Bools, Float32s, Indices


def cover(region: Bools, size: int, overlap: int) -> list[tuple[int, int]]:
    """Corners (row, col) of the tiles that hold every True pixel of the region.

    Tiles lie on a regular grid over the region's bounding box; those without a region pixel are left out. A tile may
    reach over the image's edge when the image is smaller than the tile.

    Args:
        region: bool [rows, cols].
        size: side of a tile in px.
        overlap: px shared by neighbours, smaller than `size`.
    """
    rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if len(rows) == 0:
        return []
    tops = _starts(int(rows[0]), int(rows[-1]) + 1, size, overlap, region.shape[0])
    lefts = _starts(int(cols[0]), int(cols[-1]) + 1, size, overlap, region.shape[1])
    return [(top, left) for top in tops for left in lefts if region[top : top + size, left : left + size].any()]


def cut(image: Float32s, corner: tuple[int, int], size: int) -> Float32s:
    """The square [channels, size, size] at a corner, which may lie outside; mirrored beyond the image's edge."""
    row, col = corner
    rows, cols = image.shape[1:]
    if row >= 0 and col >= 0 and row + size <= rows and col + size <= cols:
        return np.ascontiguousarray(image[:, row : row + size, col : col + size])
    return np.ascontiguousarray(image[:, _mirror(row, size, rows)][:, :, _mirror(col, size, cols)])


def blend(size: int, overlap: int) -> Float32s:
    """Weights [size, size] that rise linearly from the tile's edge over the overlap: no seam where tiles meet."""
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
    ramp = np.minimum(ramp / max(overlap, 1), 1.0).astype(np.float32)
    return np.asarray(np.outer(ramp, ramp), np.float32)


class TileAccumulator:
    """Weighted mean of overlapping pieces on one image.

    Args:
        channels: of the pieces.
        shape: (rows, cols) of the image.
        empty: value where no piece fell.
    """

    def __init__(self, channels: int, shape: tuple[int, int], empty: float) -> None:
        self.sum = np.zeros((channels, *shape), np.float32)
        self.weight = np.zeros(shape, np.float32)
        self.empty = empty

    def add(self, piece: Float32s, corner: tuple[int, int], weight: Float32s) -> None:
        """Adds [channels, s, s] at a corner (parts outside the image are dropped) with weights [s, s]."""
        rows, cols = self.weight.shape
        top, left = max(corner[0], 0), max(corner[1], 0)
        bottom, right = min(corner[0] + piece.shape[1], rows), min(corner[1] + piece.shape[2], cols)
        if top >= bottom or left >= right:
            return
        own = (slice(top - corner[0], bottom - corner[0]), slice(left - corner[1], right - corner[1]))
        self.sum[:, top:bottom, left:right] += piece[:, own[0], own[1]] * weight[own]
        self.weight[top:bottom, left:right] += weight[own]

    def mean(self) -> Float32s:
        """[channels, rows, cols]."""
        covered = self.weight > 0
        out = np.full(self.sum.shape, self.empty, np.float32)
        np.divide(self.sum, self.weight, out=out, where=covered[None].repeat(len(self.sum), 0))
        return out


def _starts(first: int, stop: int, size: int, overlap: int, limit: int) -> list[int]:
    if stop - first <= size or limit <= size:
        return [max(0, min((first + stop - size) // 2, limit - size))]
    count = -(-(stop - first - overlap) // (size - overlap))
    last = min(stop, limit) - size
    return sorted({round(first + (last - first) * index / (count - 1)) for index in range(count)})


def _mirror(start: int, size: int, length: int) -> Indices:
    index = np.arange(start, start + size) % (2 * length)
    return np.asarray(np.where(index < length, index, 2 * length - 1 - index), np.intp)

"""Contrast-limited adaptive histogram equalisation, and an edge-preserving denoiser, both blind to padding.

CLAHE follows Zuiderveld, Graphics Gems IV (1994). It is not cv2's, for two reasons, which the tests show. On 16-bit
images cv2 counts 65 536 bins and rounds its limit up to one whole count, so that with 64×64 px tiles no `clip` below 32
has any effect; and cv2 knows no mask, so that padding, whatever it is filled with, takes part in the histograms of the
tiles it reaches. Here the histogram of valid pixels has 256 bins, which gives `clip` the meaning that it has for cv2 on
8-bit images (it limits the slope of the mapping); between bins the mapping is linear, so that no grey level is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Float64s

BINS = 256
NEIGHBOURHOOD = 7
NEIGHBOURHOOD_SD = 1.8
TOLERANCE = 2.5  # differences up to about so many noise sd are averaged away


def clahe(image: Float32s, clip: float = 2.0, tiles: tuple[int, int] = (8, 8), valid: Bools | None = None) -> Float32s:
    """Equalises contrast tile by tile, with the slope of the mapping limited; in colour on the lightness (CIELAB) only.

    Padded pixels take no part in any histogram and stay what they are. A tile counts in the interpolation by its
    number of valid pixels.

    Args:
        image: float32 [rows, cols] or [rows, cols, 1 or 3] (RGB) in 0…1; never written to.
        clip: the most that a bin may hold, in multiples of its part of a flat histogram. What is cut off is spread over
            all bins, so that the mapping is nowhere steeper than clip + 1; towards 0 it is the identity.
        tiles: (rows, columns) of the grid of tiles, at most one a pixel.
        valid: bool [rows, cols], False on padding; None if there is none.

    Returns:
        float32 in 0…1 of the same shape.

    Raises:
        ValueError: a shape that does not fit, clip ≤ 0 or no tiles.
    """
    _check(image, valid)
    if not (clip > 0 and min(tiles) >= 1):
        raise ValueError(
            f"CLAHE with clip {clip:g} and tiles {list(tiles)}; wanted: clip above 0 and at least one tile"
        )
    everywhere = np.ones(image.shape[:2], dtype=np.bool_) if valid is None else valid
    if image.ndim == 3 and image.shape[2] == 3:
        lab: Float32s = np.asarray(cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2LAB), dtype=np.float32)
        lab[..., 0] = 100 * _equalised(lab[..., 0] / np.float32(100), clip, tiles, everywhere)
        out = np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.float32), 0, 1)
    else:
        out = _equalised(image.reshape(image.shape[:2]), clip, tiles, everywhere).reshape(image.shape)
    return _restored(out, image, valid)


def denoise(image: Float32s, strength: float = 0.05, valid: Bools | None = None) -> Float32s:
    """Takes noise away and leaves edges: a bilateral filter (Tomasi & Manduchi, ICCV 1998) over 7×7 px in float.

    Padded pixels are set so far from every valid grey value that their weight vanishes, and stay what they are.

    Args:
        image: float32 [rows, cols] or [rows, cols, 1 or 3] in 0…1; never written to.
        strength: standard deviation of the noise, in the image's unit.
        valid: bool [rows, cols], False on padding; None if there is none.

    Returns:
        float32 in 0…1 of the same shape.

    Raises:
        ValueError: a shape that does not fit, or strength ≤ 0.
    """
    _check(image, valid)
    if not strength > 0:
        raise ValueError(f"denoising with strength {strength:g}; wanted: a number above 0")
    channels = image.shape[2] if image.ndim == 3 else 1
    tolerance = TOLERANCE * strength * channels  # cv2 adds up the differences of the channels
    source = np.clip(image, 0, 1)
    if valid is not None:
        source[~valid] = 1 + 6 * tolerance
    out: Float32s = np.asarray(
        cv2.bilateralFilter(source, NEIGHBOURHOOD, tolerance, NEIGHBOURHOOD_SD), dtype=np.float32
    )
    return _restored(np.clip(out, 0, 1).reshape(image.shape), image, valid)


def _check(image: Float32s, valid: Bools | None) -> None:
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise ValueError(f"enhancement of an array {list(image.shape)}; wanted: [rows, cols] or [rows, cols, 1 or 3]")
    if valid is not None and valid.shape != image.shape[:2]:
        raise ValueError(
            f"padding mask {list(valid.shape)} on an image {list(image.shape)}; wanted: the same rows and cols"
        )


def _restored(out: Float32s, image: Float32s, valid: Bools | None) -> Float32s:
    if valid is not None:
        out[~valid] = np.clip(image[~valid], 0, 1)
    return np.asarray(out, dtype=np.float32)


@dataclass(frozen=True)
class _Band:
    """The pixels of one axis between two neighbouring tile centres, and how much the second of the two tiles counts."""

    pixels: slice
    first: int
    second: int
    fraction: Float32s


def _equalised(plane: Float32s, clip: float, tiles: tuple[int, int], valid: Bools) -> Float32s:
    rows, cols = (min(wanted, size) for wanted, size in zip(tiles, plane.shape, strict=True))
    position = np.clip(plane, 0, 1) * np.float32(BINS)
    lower = np.minimum(position, BINS - 1).astype(np.int32)
    above = position - lower
    counts = _histograms(lower, valid, (rows, cols))
    curves, weights = _curves(counts, clip), counts.sum(axis=-1)
    out = np.empty(plane.shape, dtype=np.float32)
    for band in _bands(plane.shape[0], rows):
        for column in _bands(plane.shape[1], cols):
            window = band.pixels, column.pixels
            total, weight = np.zeros((2, *lower[window].shape), dtype=np.float32)
            for row, down in ((band.first, 1 - band.fraction), (band.second, band.fraction)):
                for col, right in ((column.first, 1 - column.fraction), (column.second, column.fraction)):
                    own = np.float32(weights[row, col]) * np.outer(down, right)
                    curve = curves[row, col]
                    total += own * (curve[lower[window]] + above[window] * np.diff(curve)[lower[window]])
                    weight += own
            out[window] = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return np.clip(out, 0, 1)


def _histograms(bins: NDArray[np.int32], valid: Bools, tiles: tuple[int, int]) -> Float64s:
    """Counts of valid pixels, float64 [tile rows, tile columns, bins]."""
    out = np.zeros((*tiles, BINS))
    row_edges, col_edges = (
        np.linspace(0, size, count + 1).round().astype(int).tolist()
        for size, count in zip(bins.shape, tiles, strict=True)
    )
    for row in range(tiles[0]):
        for col in range(tiles[1]):
            window = slice(*row_edges[row : row + 2]), slice(*col_edges[col : col + 2])
            out[row, col] = np.bincount(bins[window][valid[window]], minlength=BINS)
    return out


def _curves(counts: Float64s, clip: float) -> Float32s:
    """The mapping of each tile at the edges of the bins, float32 [tile rows, tile columns, bins + 1] from 0 to 1."""
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    density = counts / total
    clipped = np.minimum(density, clip / BINS)
    clipped += (density.sum(axis=-1, keepdims=True) - clipped.sum(axis=-1, keepdims=True)) / BINS
    curve = np.zeros((*counts.shape[:2], BINS + 1), dtype=np.float32)
    curve[..., 1:] = np.cumsum(clipped, axis=-1)
    return curve


def _bands(size: int, tiles: int) -> Iterator[_Band]:
    """The axis cut at the tile centres; beyond the outermost centres one tile alone counts."""
    position: Float32s = np.asarray((np.arange(size) + 0.5) * tiles / size - 0.5, dtype=np.float32)
    first = np.floor(position).astype(int)
    for tile in range(-1, tiles):
        inside = np.flatnonzero(first == tile)
        if inside.size:
            pixels = slice(int(inside[0]), int(inside[-1]) + 1)
            yield _Band(pixels, max(tile, 0), min(tile + 1, tiles - 1), position[pixels] - np.float32(tile))

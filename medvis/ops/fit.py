"""The square view of a whole picture, and the way back from maps of it: training and inference share it."""

from __future__ import annotations

import cv2
import numpy as np

from medvis.core.arrays import Float32s
from medvis.ops.tta import AugmentedView, forward, resized


def fit(image: Float32s, side: int) -> Float32s:
    """The picture with its longer side scaled to `side`, its shape kept, mirrored at its far edges to a square.

    Args:
        image: float32 [channels, rows, cols].
        side: in px. Pixels are averaged where the picture shrinks, and interpolated linearly where it grows.

    Returns:
        float32 [channels, side, side].
    """
    return forward(image, AugmentedView(side / max(image.shape[1:])), side)


def shape_in_square(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(rows, cols) of a picture of `shape` within its square view; beyond them it is mirrored."""
    rows, cols = resized(shape, side / max(shape))
    return rows, cols


def unfit(maps: Float32s, shape: tuple[int, int], side: int) -> Float32s:
    """Maps of a square view back on the picture's grid.

    Args:
        maps: float32 [n, g, g] of the whole square, at any resolution g.
        shape: (rows, cols) of the picture.
        side: of the square view.

    Returns:
        float32 [n, rows, cols].
    """
    rows, cols = shape_in_square(shape, side)
    out = np.empty((len(maps), *shape), np.float32)
    for index, plane in enumerate(spread(maps, side)):
        out[index] = cv2.resize(plane[:rows, :cols], (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return out


def spread(maps: Float32s, side: int) -> Float32s:
    """Square maps [n, g, g] at another resolution: float32 [n, side, side], interpolated linearly."""
    if maps.shape[-1] == side:
        return maps
    out = np.empty((len(maps), side, side), np.float32)
    for index, plane in enumerate(maps):
        out[index] = cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=cv2.INTER_LINEAR)
    return out


def side_of(crop: int, scale: float, multiple_of: int) -> int:
    """Side of the square view at a scale of `crop`: the nearest multiple of what the network needs, at least one."""
    return max(1, int(crop * scale / multiple_of + 0.5)) * multiple_of

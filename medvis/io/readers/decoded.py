"""A picture as its file means it, before it is a scan; and what the formats have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Array, Bools

ALPHA = "the alpha channel was left out"


@dataclass(frozen=True)
class Decoded:
    """One picture.

    Attributes:
        pixels: of the dtype of the file; [rows, cols] grey, or [rows, cols, 3] RGB; upright.
        bits: of a stored sample.
        inverted: whether high values are dark: no highest value is known to turn them round with, or they are labels.
        valid: bool [rows, cols], False where the file says that there is no data; None: it does not.
        lossy: whether its compression does not keep each value.
        notes: on what was left out or assumed.
    """

    pixels: Array
    bits: int
    inverted: bool = False
    valid: Bools | None = None
    lossy: bool = False
    notes: tuple[str, ...] = ()


# Orientation 1…8 of TIFF 6.0 and EXIF → what turns an array [rows, cols, …] upright.
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}

"""Stored values to modality units: rescale and Modality LUT (DICOM PS3.3 C.11.1), and padding (C.7.5.1.1.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from medvis.core.arrays import Array, Bools, Float32s
from medvis.ops.window import lut_index


def rescale(stored: Array, slope: float, intercept: float, out: Float32s | None = None) -> Float32s:
    """`stored · slope + intercept` as float32 (PS3.3 C.11.1.1.2).

    Args:
        stored: stored values, any real dtype and shape.
        slope: Rescale Slope; not 0.
        intercept: Rescale Intercept.
        out: float32 of the same shape to fill, so that a series needs one array only; else a new one.

    Raises:
        ValueError: a slope of 0, or a slope or intercept that is not finite.
    """
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ValueError(f"rescale slope {slope:g}, intercept {intercept:g}; wanted: finite, and a slope other than 0")
    result: Float32s = np.empty(stored.shape, np.float32) if out is None else out
    if slope == 1:
        np.add(stored, np.float32(intercept), out=result, dtype=np.float32, casting="unsafe")
        return result
    np.multiply(stored, np.float32(slope), out=result, dtype=np.float32, casting="unsafe")
    return result if intercept == 0 else np.add(result, np.float32(intercept), out=result)


def modality_lut(stored: Array, table: ArrayLike, first: int, out: Float32s | None = None) -> Float32s:
    """`table[stored − first]`, clamped at both ends (PS3.3 C.11.1.1.1), as float32.

    Args:
        stored: stored values, integers of any shape.
        table: LUT Data [n].
        first: the first stored value mapped, second value of LUT Descriptor.
        out: float32 of the same shape to fill; else a new one.

    Raises:
        ValueError: an empty table.
    """
    entries = np.asarray(table, dtype=np.float32).ravel()
    if entries.size == 0:
        raise ValueError("the Modality LUT has no entries")
    index = lut_index(stored, first, entries.size)
    if out is None:
        return entries[index]
    return np.take(entries, index, out=out, mode="clip")


def padding_mask(stored: Array, value: float, limit: float | None = None) -> Bools:
    """True where a stored value is padding: equal to `value`, or from `value` to `limit`, both included.

    Pixel Padding Value and Pixel Padding Range Limit, PS3.3 C.7.5.1.1.2; the two may come in either order.
    """
    if limit is None or limit == value:
        mask: Bools = np.equal(stored, value)
        return mask
    low, high = min(value, limit), max(value, limit)
    mask = np.greater_equal(stored, low)
    mask &= np.less_equal(stored, high)
    return mask


def signed_value(value: int, allocated: int, bits: int) -> int:
    """A value that was written unsigned although the pixels are signed, as two's complement.

    Args:
        value: as read, e.g. 63536.
        allocated: Bits Allocated of the pixels, e.g. 16.
        bits: Bits Stored of the pixels, e.g. 12.

    Returns:
        The number meant, e.g. −2000. A value that already fits is returned as it is.
    """
    if value < 1 << (bits - 1):
        return value
    return value - (1 << bits if value < 1 << bits else 1 << allocated)

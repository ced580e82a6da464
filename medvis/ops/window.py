"""VOI windows: modality units to a grey scale of 0…1 (DICOM PS3.3 C.11.2).

All functions take an array of any shape and any real, finite values, return a new float32 array of the same shape
with values in 0…1, and never write into their input.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from medvis.core.arrays import Array, Bools, Float32s, Indices

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")

PRESETS: dict[str, tuple[float, float]] = {
    "abdomen": (50.0, 400.0),
    "angio": (300.0, 600.0),
    "bone": (400.0, 1800.0),
    "brain": (40.0, 80.0),
    "cardiac": (50.0, 350.0),
    "kidney": (40.0, 350.0),
    "liver": (60.0, 160.0),
    "lung": (-600.0, 1500.0),
    "mediastinum": (40.0, 400.0),
    "neck": (40.0, 375.0),
    "pelvis": (40.0, 400.0),
    "posterior-fossa": (40.0, 150.0),
    "pulmonary-embolism": (100.0, 700.0),
    "soft-tissue": (50.0, 350.0),
    "spine": (50.0, 250.0),
    "stroke": (40.0, 40.0),
    "subdural": (75.0, 215.0),
    "temporal-bone": (600.0, 2800.0),
}
"""Named CT windows as (center, width) in HU."""

_LARGEST = float(np.finfo(np.float32).max)


def preset(name: str) -> tuple[float, float]:
    """(center, width) in HU of a named window. Raises ValueError if there is none of that name."""
    if name not in PRESETS:
        raise ValueError(f"no window named '{name}'; wanted: one of {', '.join(PRESETS)}")
    return PRESETS[name]


def window(pixels: Array, center: float, width: float, function: str = "LINEAR") -> Float32s:
    """The VOI window `function` (VOI LUT Function, PS3.3 C.11.2.1.3).

    Raises:
        ValueError: an unknown function, or a width below 1 (LINEAR) or not above 0 (the others).
    """
    functions = {"LINEAR": voi_linear, "LINEAR_EXACT": voi_linear_exact, "SIGMOID": voi_sigmoid}
    check_window(center, width, function)
    return functions[function](pixels, center, width)


def check_window(center: float, width: float, function: str) -> None:
    """Raises ValueError for an unknown function, a width below 1 (LINEAR) or not above 0, or what is not finite."""
    if function in FUNCTIONS:
        _check(center, width, 1.0 if function == "LINEAR" else 0.0, function)
        return
    raise ValueError(f"VOI LUT function '{function}'; wanted: one of {', '.join(FUNCTIONS)}")


def voi_linear(pixels: Array, center: float, width: float) -> Float32s:
    """LINEAR, PS3.3 C.11.2.1.2.1: 0 up to c − 0.5 − (w − 1)/2, 1 above c − 0.5 + (w − 1)/2, straight between.

    A width of 1 is a threshold: 0 up to c − 0.5, else 1. Raises ValueError for a width below 1.
    """
    _check(center, width, 1.0, "LINEAR")
    if width == 1:
        above: Bools = np.greater(pixels, center - 0.5)
        return above.astype(np.float32)
    return _ramp(pixels, center - 0.5, width - 1.0)


def voi_linear_exact(pixels: Array, center: float, width: float) -> Float32s:
    """LINEAR_EXACT, PS3.3 C.11.2.1.3.2: 0 up to c − w/2, 1 above c + w/2. Raises ValueError for a width ≤ 0."""
    _check(center, width, 0.0, "LINEAR_EXACT")
    return _ramp(pixels, center, width)


def voi_sigmoid(pixels: Array, center: float, width: float) -> Float32s:
    """SIGMOID, PS3.3 C.11.2.1.3.1: 1 / (1 + exp(−4 (x − c) / w)). Raises ValueError for a width ≤ 0."""
    _check(center, width, 0.0, "SIGMOID")
    out = _scaled(pixels, center, -4.0 / width)
    np.clip(out, -80.0, 80.0, out=out)  # exp() of more would overflow float32; the result is 0 or 1 long before
    np.exp(out, out=out)
    np.add(out, np.float32(1), out=out)
    np.reciprocal(out, out=out)
    return out


def voi_lut(pixels: Array, table: ArrayLike, first: int, bits: int) -> Float32s:
    """A VOI LUT, PS3.3 C.11.2.1.1: `table[x − first]`, its first and last entry beyond its ends.

    Args:
        pixels: values after the Modality LUT; rounded to whole numbers.
        table: LUT Data, unsigned integers [n].
        first: the first input value mapped, second value of LUT Descriptor.
        bits: bits of an entry, third value of LUT Descriptor; 2**bits − 1 becomes 1.

    Raises:
        ValueError: an empty table or bits outside 1…32.
    """
    entries = np.asarray(table).ravel()
    if entries.size == 0 or not 1 <= bits <= 32:
        raise ValueError(f"VOI LUT of {entries.size} entries, {bits} bits; wanted: at least one entry, 1 to 32 bits")
    scaled = np.clip(entries.astype(np.float64) / (2.0**bits - 1.0), 0.0, 1.0).astype(np.float32)
    return np.take(scaled, lut_index(pixels, first, entries.size))


def lut_index(values: Array, first: int, size: int) -> Indices:
    """Index of each value in a table of `size` entries whose first entry maps `first`; clamped at both ends."""
    if np.issubdtype(values.dtype, np.integer):
        whole = values.astype(np.int64)
        return np.clip(whole - first, 0, size - 1).astype(np.intp)
    rounded: Array = np.clip(np.rint(values) - first, 0, size - 1)
    return rounded.astype(np.intp)


def _check(center: float, width: float, least: float, function: str) -> None:
    wide_enough = width >= least if least else width > 0
    if not (math.isfinite(center) and math.isfinite(width) and wide_enough):
        wanted = "a width of at least 1" if least else "a width above 0"
        raise ValueError(f"window {center:g}/{width:g} (center/width); wanted: {wanted} for {function}")


def _ramp(pixels: Array, middle: float, width: float) -> Float32s:
    out = _scaled(pixels, middle, 1.0 / width)
    np.add(out, np.float32(0.5), out=out)
    return np.clip(out, 0.0, 1.0, out=out)


def _scaled(pixels: Array, middle: float, factor: float) -> Float32s:
    """(pixels − middle) · factor in one new array; subtracting first keeps the precision of large values."""
    out: Float32s = np.empty(pixels.shape, np.float32)
    with np.errstate(over="ignore"):  # an infinite distance from the window is clipped like any other
        np.subtract(pixels, np.float32(middle), out=out, dtype=np.float32, casting="unsafe")
        return np.multiply(out, np.float32(min(max(factor, -_LARGEST), _LARGEST)), out=out)

"""Which pixels are padding and no image, as the file says it (PS3.3 C.7.5.1.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from medvis.core.arrays import Array, Bools
from medvis.dicom.read.layout import Layout
from medvis.dicom.read.values import number
from medvis.ops.modality import padding_mask, signed_value


@dataclass(frozen=True)
class Padding:
    """Pixel Padding Value and, of a range, its other end; in stored values."""

    value: float
    limit: float | None = None

    def mask(self, stored: Array) -> Bools:
        """True where padded."""
        return padding_mask(stored, self.value, self.limit)


def padding_of(ds: Dataset, layout: Layout) -> Padding | None:
    """What the file declares; None for colour, where it does not apply."""
    if layout.channels == 3:
        return None
    if layout.floats:
        prefix = "FloatPixelPadding" if layout.allocated == 32 else "DoubleFloatPixelPadding"
        value, limit = number(ds, f"{prefix}Value"), number(ds, f"{prefix}RangeLimit")
        return None if value is None else Padding(value, limit)
    value, limit = number(ds, "PixelPaddingValue"), number(ds, "PixelPaddingRangeLimit")
    if value is None:
        return None
    return Padding(_meant(value, layout), None if limit is None else _meant(limit, layout))


def _meant(value: float, layout: Layout) -> float:
    """The value with the sign of the pixels, whichever VR (US or SS) it was written with."""
    number = int(value)
    if layout.signed:
        return float(signed_value(number, layout.allocated, layout.bits))
    return float(number + (1 << layout.allocated) if number < 0 else number)

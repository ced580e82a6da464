"""Encodings that writers and the standard read differently. The image itself tells which was meant."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, JPEGLossless

from medvis.core.arrays import Array
from medvis.dicom.read.layout import Layout

PREDICTOR = (
    "the lossless JPEG was written with a predictor that took the signed samples as such; it was decoded that way"
)
WORDS = "32-bit pixels in big endian whose VR leaves the order of words open; that which gives an image was taken"
YCBCR = "Photometric Interpretation says RGB, but the pixels are YCbCr and were read as such"
_OUTSIDE, _FEW = 8.0, 5e-3
_SIGNED, _MODULUS = 1 << 15, (1 << 16) - 1
_CLEARER = 0.5
_ENOUGH = 1 << 22
_SCAN = b"\xff\xda\x00\x08\x01"
_SELECTOR = 2  # bytes after _SCAN: the component's id, its tables, and then the predictor


def roughness(values: Array) -> float:
    """Mean distance of vertical neighbours; noise and wrongly read bytes have a great one."""
    return float(np.abs(np.diff(values.astype(np.float64), axis=0)).mean()) if values.shape[0] > 1 else 0.0


def uses_predictor_6(stream: bytes, layout: Layout) -> bool:
    """Whether a lossless JPEG of signed 16-bit samples uses predictor 6, which some writers apply to signed numbers."""
    if layout.syntax != JPEGLossless or not layout.signed or layout.samples != 1 or layout.allocated != 16:
        return False
    at = stream.find(_SCAN) + len(_SCAN) + _SELECTOR
    return stream.find(_SCAN) >= 0 and stream[at : at + 1] == b"\x06"


def mend_predictor_6(decoded: Array) -> Array | None:
    """What the writer meant, or None if the standard's reading is as good (ISO/IEC 10918-1 H.1.2.1).

    Args:
        decoded: int16 [rows, cols], predicted as the standard says: Rb + ((Ra − Rc) >> 1) modulo 2^16.

    Returns:
        int16 [rows, cols], predicted with Ra and Rc as signed numbers.
    """
    unsigned = decoded.astype(np.int64) & _MODULUS
    left, above, corner = unsigned[1:, :-1], unsigned[:-1, 1:], unsigned[:-1, :-1]
    if not (np.abs(left - corner) >= _SIGNED).any():
        return None
    differences = (unsigned[1:, 1:] - above - ((left - corner) >> 1)) & _MODULUS
    rows = [unsigned[0].tolist()]
    for first, deltas in zip(unsigned[1:, 0].tolist(), differences.tolist(), strict=True):
        rows.append(_row(first, deltas, rows[-1]))
    mended = np.array(rows, np.uint16).view(np.int16)
    return mended if roughness(mended) < _CLEARER * roughness(decoded) else None


def _row(first: int, differences: list[int], above: list[int]) -> list[int]:
    """One row, from left to right, since each pixel is predicted from the one before it."""
    row = [first]
    for index, difference in enumerate(differences):
        left = (row[-1] ^ _SIGNED) - _SIGNED
        corner = (above[index] ^ _SIGNED) - _SIGNED
        row.append((difference + above[index + 1] + ((left - corner) >> 1)) & _MODULUS)
    return row


def is_ycbcr(values: Array) -> bool:
    """Whether uint8 [rows, cols, 3], said to be RGB, are luma and chroma (PS3.3 C.7.6.3.1.2).

    Then all of them are colours that exist; black, white and bright colours in RGB are none if taken for YCbCr.
    """
    luma, blue, red = np.moveaxis(values.astype(np.float32) - (0, 128, 128), -1, 0)
    channels = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    outside = np.mean([(channel < -_OUTSIDE) | (channel > 255 + _OUTSIDE) for channel in channels])
    return float(outside) < _FEW and bool(np.ptp(values[..., 1:]) > _OUTSIDE)


def words_are_swapped(ds: Dataset, layout: Layout) -> bool | None:
    """Whether 32-bit pixels in big endian have their less significant word first, as the standard says for VR OW.

    None for any other pixels, where this is no question.

    OW swaps bytes within 16-bit words only (PS3.5 6.2), but writers that swap all four bytes exist, and pydicom reads
    their order.
    """
    wide = layout.syntax == ExplicitVRBigEndian and layout.allocated == 32 and not layout.floats
    if not wide or ds["PixelData"].VR != "OW":
        return None
    count = min(len(ds.PixelData) // 4, _ENOUGH)
    values = np.frombuffer(ds.PixelData, ">u4", count).astype(np.uint32)[:, None]
    return roughness(swap_words(values)) < roughness(values)


def swap_words(values: Array) -> Array:
    """Each 32-bit number with its two 16-bit words exchanged."""
    native = values.astype(np.uint32)
    return ((native << np.uint32(16)) | (native >> np.uint32(16))).astype(values.dtype.newbyteorder("="))


def bits_in_order(ds: Dataset, layout: Layout) -> None:
    """Turns the bytes of one-bit pixels round that big endian stores as words (VR OW, PS3.5 8.1.1), and says OB."""
    element = ds["PixelData"] if layout.allocated == 1 and layout.syntax == ExplicitVRBigEndian else None
    if element is not None and element.VR == "OW":
        element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
        element.VR = "OB"

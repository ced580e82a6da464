"""Frames for which pydicom 3.0 has no decoder: deflated ones (PS3.5 A.4.14), and single-bit ones in RLE (PS3.5 G)."""

from __future__ import annotations

import zlib

import numpy as np
from pydicom.uid import RLELossless

from medvis.core.arrays import Array
from medvis.dicom.read.layout import DEFLATED_FRAME, Layout

_HEADER = 64
_NO_OPERATION = 128


def is_packed(layout: Layout) -> bool:
    """Whether the frames are those that are decoded here."""
    return layout.syntax == DEFLATED_FRAME or (layout.syntax == RLELossless and layout.allocated == 1)


def decode_packed(stream: bytes, layout: Layout, planar: bool) -> Array:
    """One frame.

    Args:
        stream: of the frame: raw deflate (PS3.5 A.4.14, RFC 1951), or RLE of packed bits in one segment (PS3.5 G).
        layout: of the data set.
        planar: whether colour is stored by plane.

    Returns:
        Unsigned or signed integers [rows, cols] or [rows, cols, 3], with whatever stands in unused high bits.

    Raises:
        ValueError: the stream is broken or gives too few bytes.
    """
    values = layout.rows * layout.cols * layout.samples
    size = -(-values * layout.allocated // 8)
    raw = _inflated(stream, size) if layout.syntax == DEFLATED_FRAME else _unpacked_rle(stream, size)
    if len(raw) < size:
        raise ValueError(f"the frame gave {len(raw)} of {size} bytes")
    if layout.allocated == 1:
        flat: Array = np.unpackbits(np.frombuffer(raw, np.uint8), count=values, bitorder="little")
    else:
        flat = np.frombuffer(raw, f"<{'i' if layout.signed else 'u'}{layout.allocated // 8}", values)
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.cols)
    if planar:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.cols), 0, -1)
    return flat.reshape(layout.rows, layout.cols, layout.samples)


def _inflated(stream: bytes, size: int) -> bytes:
    """At most `size` bytes, however much more there would be."""
    try:
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(stream, size)
    except zlib.error as error:
        raise ValueError(f"the deflated frame is broken: {error}") from error


def _unpacked_rle(stream: bytes, size: int) -> bytes:
    """PackBits (PS3.5 G.3.2) of the only segment, which starts where the header's second word says."""
    head = np.frombuffer(stream[:8].ljust(8, b"\x00"), "<u4")
    at = int(head[1])
    if int(head[0]) != 1 or not _HEADER <= at < len(stream):
        raise ValueError("the RLE header is not that of one segment")
    out = bytearray()
    while len(out) < size and at + 1 < len(stream):
        count, at = stream[at], at + 1
        if count < _NO_OPERATION:
            out += stream[at : at + count + 1]
            at += count + 1
        elif count > _NO_OPERATION:
            out += stream[at : at + 1] * (257 - count)
            at += 1
    return bytes(out[:size])

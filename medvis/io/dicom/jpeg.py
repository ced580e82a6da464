"""JPEG and JPEG 2000 streams are checked before a decoder gets them, and 12-bit JPEG is decoded here.

GDCM (lossless JPEG, 12-bit Extended, some JPEG-LS) ends the whole process when a stream contradicts its header, and
OpenJPEG works for minutes on an image of absurd size. Both are told by the first bytes of the stream.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvis.io.dicom.layout import Layout

_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_SIZE_SEGMENT = b"\xff\x4f\xff\x51"
_OFFSET = 1 << 16
_HUFFMAN, _JPEG_LS, _ADOBE = 0xC4, 0xF7, 0xEE


def check_jpeg(stream: bytes, layout: Layout) -> None:
    """Raises ValueError unless the stream is a whole JPEG of the size that the header of the data set says.

    The markers are those of ISO/IEC 10918-1 annex B, and of ISO/IEC 14495-1 for JPEG-LS.
    """
    if stream[:2] != bytes([0xFF, _START]):
        raise ValueError("the frame is no JPEG stream")
    at, size, tables = 2, None, False
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            raise ValueError("the JPEG stream is broken between two segments")
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker in _FRAME_HEADERS:
            size = _frame_size(stream[at : at + 2 + length])
        if marker == _ADOBE and stream[at + 4 : at + 9] == b"Adobe" and stream[at + 15] > 2:
            raise ValueError("the colour transform of the JPEG stream is unknown")
        tables = tables or marker in (_HUFFMAN, _JPEG_LS)
        at += 2 + length
        if marker == _SCAN:
            break
    _compare(size, tables, layout)
    if stream.rfind(bytes([0xFF, _END])) < at:
        raise ValueError("the JPEG stream is cut off")


def check_jpeg2000(stream: bytes, layout: Layout) -> None:
    """Raises ValueError unless the SIZ segment (ISO/IEC 15444-1 A.5.1) has the size that the data set says."""
    at = stream.find(_SIZE_SEGMENT)
    if at < 0 or len(stream) < at + 42:
        raise ValueError("the frame is no JPEG 2000 stream")
    width, height, left, top, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(">8I", stream, at + 8)
    (components,) = struct.unpack_from(">H", stream, at + 40)
    if (height - top, width - left, components) != (layout.rows, layout.cols, layout.samples):
        raise ValueError(
            f"the JPEG 2000 stream is {height - top}x{width - left}x{components}, but the header says"
            f" {layout.rows}x{layout.cols}x{layout.samples}"
        )
    if min(tile_width, tile_height) == 0 or tile_left > left or tile_top > top or max(left, top) > _OFFSET:
        raise ValueError("the tiles of the JPEG 2000 stream make no sense")


def _frame_size(segment: bytes) -> tuple[int, int, int, int]:
    """(rows, cols, components, bits) of a frame header, B.2.2."""
    if len(segment) < 10 or len(segment) != 10 + 3 * segment[9]:
        raise ValueError("the JPEG frame header is broken")
    return int.from_bytes(segment[5:7], "big"), int.from_bytes(segment[7:9], "big"), segment[9], segment[4]


def _compare(size: tuple[int, int, int, int] | None, tables: bool, layout: Layout) -> None:
    if size is None or not tables:
        raise ValueError("the JPEG stream has no frame header or no tables")
    rows, cols, components, bits = size
    if (rows, cols, components) != (layout.rows, layout.cols, layout.samples) or not 2 <= bits <= layout.allocated:
        raise ValueError(
            f"the JPEG stream is {rows}x{cols}x{components} with {bits} bits, but the header says"
            f" {layout.rows}x{layout.cols}x{layout.samples} with {layout.allocated}"
        )


def decode_jpeg12(stream: bytes, layout: Layout) -> NDArray[Any]:
    """One grey frame of 12-bit JPEG Extended, which pydicom's plug-ins refuse: GDCM needs the true precision.

    Args:
        stream: the JPEG stream of the frame.
        layout: of the data set; one sample a pixel, 16 bits allocated.

    Returns:
        uint16 or int16 [rows, cols].

    Raises:
        ValueError: colour, or a stream that is not JPEG or does not decode to rows × cols.
    """
    import gdcm  # noqa: PLC0415 - 0.06 s and needed by this one transfer syntax only

    if layout.samples != 1 or layout.allocated != 16:
        raise ValueError("12-bit JPEG is read only as one 16-bit sample a pixel")
    check_jpeg(stream, layout)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((layout.cols, layout.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(layout.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str.__str__(layout.syntax))))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, int(layout.signed)))
    buffer = image.GetBuffer()
    values = np.frombuffer((buffer or "").encode("utf-8", "surrogateescape"), "<i2" if layout.signed else "<u2")
    if values.size != layout.rows * layout.cols:
        raise ValueError(f"the 12-bit JPEG stream gave {values.size} of {layout.rows * layout.cols} pixels")
    return values.reshape(layout.rows, layout.cols)

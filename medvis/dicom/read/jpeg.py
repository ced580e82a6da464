"""JPEG and JPEG 2000 streams are checked before a decoder gets them.

GDCM (lossless JPEG, 12-bit Extended) ends the whole process when a stream contradicts its header, CharLS (JPEG-LS)
looks long for an end that is lost, and OpenJPEG works for minutes on an image of absurd size. The markers tell; no
plug-in of pydicom looks at them before it decodes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from medvis.dicom.read.layout import Layout

_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_SIZE_SEGMENT = b"\xff\x4f\xff\x51"
_OFFSET = 1 << 16
_HUFFMAN, _JPEG_LS, _JFIF, _ADOBE = 0xC4, 0xF7, 0xE0, 0xEE


def check_jpeg(stream: bytes, layout: Layout) -> int:
    """The bits of a sample; raises ValueError unless the stream is a whole JPEG of the size that the data set says.

    The markers are those of ISO/IEC 10918-1 annex B, and of ISO/IEC 14495-1 for JPEG-LS.
    """
    if stream[:2] != bytes([0xFF, _START]):
        raise ValueError("the frame is no JPEG stream")
    size, tables, end = None, False, 2
    for marker, segment, after in _segments(stream):
        if marker in _FRAME_HEADERS:
            size = _frame_size(segment)
        if marker == _ADOBE and segment[4:9] == b"Adobe" and segment[15:16] > b"\x02":
            raise ValueError("the colour transform of the JPEG stream is unknown")
        tables, end = tables or marker in (_HUFFMAN, _JPEG_LS), after
    if size is None or not tables:
        raise ValueError("the JPEG stream has no frame header or no tables")
    _compare(size, layout)
    if stream.rfind(bytes([0xFF, _END])) < end:
        raise ValueError("the JPEG stream is cut off")
    return size[3]


def check_jpeg_size(stream: bytes, layout: Layout) -> None:
    """Raises ValueError if the stream has another size than the data set says: for decoders that bear all else."""
    for marker, segment, _ in _segments(stream):
        if marker in _FRAME_HEADERS:
            _compare(_frame_size(segment), layout)


def may_be_ycbcr(stream: bytes) -> bool | None:
    """Whether the three components can be YCbCr: True if they must, None if only the pixels can tell, else False.

    Where no JFIF or Adobe marker says what they are, those numbered 1, 2, 3 are YCbCr by custom, but an encoder of RGB
    may write the same. Only the two chroma components are ever stored with fewer samples.
    """
    numbers, sampling = b"", b""
    for marker, segment, _ in _segments(stream):
        if marker in (_JFIF, _ADOBE):
            return False
        if marker in _FRAME_HEADERS:
            numbers, sampling = segment[10:19:3], segment[11:19:3]
    if numbers != b"\x01\x02\x03":
        return False
    return True if len(set(sampling)) > 1 else None


def _segments(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, segment with its marker and length, where the next one starts), up to the first scan's header."""
    at = 2
    while at + 4 <= len(stream):
        if stream[at] != 0xFF:
            raise ValueError("the JPEG stream is broken between two segments")
        marker = stream[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        yield marker, stream[at:end], end
        at = end
        if marker == _SCAN:
            return


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


def _compare(size: tuple[int, int, int, int], layout: Layout) -> None:
    rows, cols, components, bits = size
    if (rows, cols, components) != (layout.rows, layout.cols, layout.samples) or not 2 <= bits <= layout.allocated:
        raise ValueError(
            f"the JPEG stream is {rows}x{cols}x{components} with {bits} bits, but the header says"
            f" {layout.rows}x{layout.cols}x{layout.samples} with {layout.allocated}"
        )

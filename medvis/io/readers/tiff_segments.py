"""Strips and tiles of a TIFF page → samples. Whatever a decoder complains of, or a length that does not fit, is damage.

tifffile and libtiff fill up what is absent; here nothing is.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np

from medvis.core.arrays import Array, Uint8s
from medvis.errors import InputError
from medvis.io.quiet import captured_stderr
from medvis.io.readers.tiff_layout import ADOBE_DEFLATE, DEFLATE, JPEG, LZMA, LZW, NONE, PACKBITS, YCBCR, Layout


class DamagedError(ValueError):
    """What is wrong with a strip or tile."""


def samples_of(data: bytes, layout: Layout, name: str) -> Array:
    """The samples of a page, as stored: [rows, cols, samples], of the dtype that they have in the file.

    Samples of up to 16 bits that are no whole bytes become uint8 or uint16; JPEG's YCbCr becomes RGB.

    Args:
        data: the file.
        layout: of the page.
        name: of file and page, for messages.

    Raises:
        InputError: a strip or tile is absent or damaged.
    """
    high, wide = layout.segment
    down, across = -(-layout.rows // high), -(-layout.cols // wide)
    whole = np.empty((layout.planes, down * high, across * wide, layout.packed), _dtype(layout))
    for index, (offset, count) in enumerate(zip(layout.offsets, layout.counts, strict=True)):
        plane, rest = divmod(index, down * across)
        top, left = rest // across * high, rest % across * wide
        rows = high if layout.tiled else min(high, layout.rows - top)
        try:
            part = _segment(_stored(data, offset, count), layout, rows)
        except DamagedError as error:
            kind = "tile" if layout.tiled else "strip"
            found = f"{name} is truncated or corrupt: {kind} {index + 1} of {len(layout.offsets)} {error}"
            raise InputError(found, hint="copy or export it again") from error
        whole[plane, top : top + rows, left : left + wide] = part
    page = whole[:, : layout.rows, : layout.cols]
    return page[0] if layout.planes == 1 else np.moveaxis(page[..., 0], 0, -1)


def _stored(data: bytes, offset: int, count: int) -> bytes:
    if count < 1:
        raise DamagedError("is empty")
    if offset < 8 or offset + count > len(data):
        raise DamagedError(
            f"lies at bytes {offset} to {offset + count} of a file of {len(data)}: the file is truncated"
        )
    return data[offset : offset + count]


def _segment(stored: bytes, layout: Layout, rows: int) -> Array:
    """[rows, cols of the segment, samples side by side]."""
    if layout.compression == JPEG:
        return _jpeg(stored, layout, rows)
    per_row = -(-layout.segment[1] * layout.packed * layout.bits // 8)
    body = _DECODERS[layout.compression](stored, rows * per_row, layout.segment[0] * per_row)
    lines = np.frombuffer(body, np.uint8, rows * per_row).reshape(rows, per_row)
    if layout.fill_order == 2:
        lines = np.packbits(np.unpackbits(lines, axis=1, bitorder="little"), axis=1)
    shape = (rows, layout.segment[1], layout.packed)
    if layout.bits % 8:
        return _unpacked(lines, layout.bits, shape)
    if layout.predictor == 3:
        return _floats(lines, layout, shape)
    values = lines.view(np.dtype(f"{layout.order}u{layout.bits // 8}")).reshape(shape)
    if layout.predictor == 2:
        values = np.cumsum(values, axis=1, dtype=f"u{layout.bits // 8}")
    return values.astype(f"u{layout.bits // 8}").view(_dtype(layout))


def _dtype(layout: Layout) -> np.dtype[np.generic]:
    return np.dtype(f"{layout.kind}{2 if 8 < layout.bits < 16 else max(layout.bits // 8, 1)}")


def _unpacked(lines: Uint8s, bits: int, shape: tuple[int, int, int]) -> Array:
    """Samples of any number of bits, the first of a row in the highest bits of its first byte."""
    each = np.unpackbits(lines, axis=1)[:, : shape[1] * shape[2] * bits].reshape(*shape, bits)
    values: Array = np.zeros(shape, np.uint8 if bits < 8 else np.uint16)
    for bit in range(bits):
        values = values << 1 | each[..., bit]
    return values


def _floats(lines: Uint8s, layout: Layout, shape: tuple[int, int, int]) -> Array:
    """Adobe's floating-point predictor (TIFF Technical Note 3): differences of bytes, the highest first."""
    size, (rows, cols, samples) = layout.bits // 8, shape
    summed = np.cumsum(lines.reshape(rows, -1, samples), axis=1, dtype=np.uint8).reshape(rows, size, cols * samples)
    return np.ascontiguousarray(summed.swapaxes(1, 2)).view(f">f{size}").reshape(shape).astype(f"f{size}")


def _exact(body: bytes, wanted: int, whole: int) -> bytes:
    """The last strip may be filled up to the height of the others."""
    if len(body) not in (wanted, whole):
        raise DamagedError(f"holds {len(body)} bytes instead of {wanted}")
    return body


def _plain(stored: bytes, wanted: int, whole: int) -> bytes:
    return _exact(stored, wanted, whole)


def _deflate(stored: bytes, wanted: int, whole: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(stored, whole + 1)
        body += stream.decompress(stream.unconsumed_tail, 1)  # the checksum, where nothing but that was left
    except zlib.error as error:
        raise DamagedError(f"cannot be decompressed ({error})") from error
    if not stream.eof and len(body) <= whole:
        raise DamagedError("ends within its compressed data")
    return _exact(body, wanted, whole)


def _lzma(stored: bytes, wanted: int, whole: int) -> bytes:
    import lzma  # noqa: PLC0415 - rarely seen

    stream = lzma.LZMADecompressor()
    try:
        body = stream.decompress(stored, whole + 1)
        if not stream.eof:
            body += stream.decompress(b"", 1)
    except (lzma.LZMAError, EOFError) as error:
        raise DamagedError(f"cannot be decompressed ({error})") from error
    if not stream.eof and len(body) <= whole:
        raise DamagedError("ends within its compressed data")
    return _exact(body, wanted, whole)


def _packbits(stored: bytes, wanted: int, whole: int) -> bytes:
    """TIFF 6.0, section 9."""
    body, at = bytearray(), 0
    while at < len(stored) and len(body) <= whole:
        length, at = stored[at], at + 1
        if length < 128:
            piece = stored[at : at + length + 1]
            if len(piece) <= length:
                raise DamagedError("ends within its compressed data")
            body += piece
            at += length + 1
        elif length > 128:
            body += stored[at : at + 1] * (257 - length)
            at += 1
    return _exact(bytes(body), wanted, whole)


def _lzw(stored: bytes, wanted: int, whole: int) -> bytes:
    """By libtiff: the stream as the only row of a grey picture. It must give all bytes, and not one more."""
    body = _libtiff(stored, wanted)
    if body is None:
        raise DamagedError("cannot be decompressed (LZW)")
    if _libtiff(stored, wanted + 1) is None:
        return body
    if whole == wanted or _libtiff(stored, whole) is None or _libtiff(stored, whole + 1) is not None:
        raise DamagedError(f"holds more than {wanted} bytes (LZW)")
    return body


def _libtiff(stored: bytes, count: int) -> bytes | None:
    """The first `count` bytes of an LZW stream; None where there are fewer, or libtiff complains."""
    from PIL import Image  # noqa: PLC0415 - only where there is LZW

    shorts = ((258, 8), (259, LZW), (262, 1), (277, 1))
    longs = ((256, count), (257, 1), (273, 8 + 2 + 9 * 12 + 4), (278, 1), (279, len(stored)))
    entries = sorted([(code, 3, value) for code, value in shorts] + [(code, 4, value) for code, value in longs])
    head = b"II*\x00" + struct.pack("<IH", 8, len(entries))
    for code, kind, value in entries:
        head += struct.pack("<HHII", code, kind, 1, value)
    try:
        with captured_stderr() as messages, Image.open(io.BytesIO(head + bytes(4) + stored)) as image:
            body = image.tobytes()
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return None if messages else body


_DECODERS: dict[int, Callable[[bytes, int, int], bytes]] = {
    NONE: _plain, ADOBE_DEFLATE: _deflate, DEFLATE: _deflate, LZMA: _lzma, PACKBITS: _packbits, LZW: _lzw,
}  # fmt: skip


def _jpeg(stored: bytes, layout: Layout, rows: int) -> Array:
    """By libjpeg, with the page's tables before it and a marker that says its colours (TIFF Technical Note 2)."""
    import cv2  # noqa: PLC0415 - 0.2 s

    if stored[:2] != b"\xff\xd8":
        raise DamagedError("is no JPEG stream")
    # The tables stand between SOI and EOI; Adobe's marker tells colours apart: 1 is YCbCr, 0 is as it is.
    tables = b"" if layout.tables is None else bytes(layout.tables)[2:-2]
    transform = int(layout.photometric == YCBCR)
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform]) if layout.packed == 3 else b""
    stream = np.frombuffer(b"\xff\xd8" + adobe + tables + stored[2:], np.uint8)
    try:
        with captured_stderr() as messages:
            flag = cv2.IMREAD_COLOR if layout.packed == 3 else cv2.IMREAD_GRAYSCALE
            image = cv2.imdecode(stream, flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DamagedError(f"cannot be decoded (JPEG): {error.err}") from error
    if image is None or messages:
        raise DamagedError(f"cannot be decoded (JPEG){': ' + messages[0] if messages else ''}")
    if image.shape[1] != layout.segment[1] or image.shape[0] not in (rows, layout.segment[0]):
        raise DamagedError(f"is {image.shape[0]}×{image.shape[1]} px instead of {rows}×{layout.segment[1]}")
    return np.asarray(image[:rows, :, ::-1] if image.ndim == 3 else image[:rows, :, None], np.uint8)

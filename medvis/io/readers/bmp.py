"""The BMP kinds that OpenCV reads without a word and wrongly: colours in bit fields, palettes of OS/2, pixels in the
palette. The rest it decodes as it should (`flat`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Array, Uint8s
from medvis.errors import InputError

OS2 = 12
"""Bytes of BITMAPCOREHEADER, of OS/2 1.x and Windows 2: its palettes have three bytes a colour."""
_FIELDS = (3, 6)  # BI_BITFIELDS, BI_ALPHABITFIELDS
_FIVE_BITS = (0x7C00, 0x3E0, 0x1F)  # red, green and blue of 16 bits without masks (BITMAPINFOHEADER)


@dataclass(frozen=True)
class Head:
    """The head of a BMP file.

    Attributes:
        size: of the second header, which tells its version.
        start: of the pixels in the file.
        cols, rows: of the image; rows are negative where the first one is the topmost.
        bits: of a pixel.
        compression: of BITMAPINFOHEADER; 0 for none.
        colours: of the palette.
    """

    size: int
    start: int
    cols: int
    rows: int
    bits: int
    compression: int
    colours: int

    @property
    def row_bytes(self) -> int:
        """Of a row without compression, which ends at a multiple of four."""
        return (self.cols * self.bits + 31) // 32 * 4

    @property
    def has_fields(self) -> bool:
        """Whether red, green and blue are bits of a number."""
        return self.bits in (16, 32) and (self.compression in _FIELDS or (self.bits == 16 and not self.compression))

    @property
    def has_alpha(self) -> bool:
        """Whether there is room for a mask of transparency (BITMAPV3INFOHEADER and later, BI_ALPHABITFIELDS)."""
        return self.has_fields and (self.size >= 56 or self.compression == _FIELDS[1])

    def overlaps(self) -> bool:
        """Whether the pixels begin before the palette ends; that of OS/2 may be shorter than its bits can count."""
        return 0 < self.bits <= 8 and 0 < self.start < 14 + self.size + 4 * self.colours


def head_of_bmp(data: bytes) -> Head:
    """The head of a file; zeros stand for what is behind its end."""
    padded = data.ljust(70, b"\x00")
    start, size = struct.unpack_from("<II", padded, 10)
    if size == OS2:
        cols, rows, _, bits = struct.unpack_from("<HHHH", padded, 18)
        return Head(size, start, cols, rows, bits, 0, 0)
    cols, rows, _, bits, compression = struct.unpack_from("<IiHHI", padded, 18)
    colours = struct.unpack_from("<I", padded, 46)[0] or (1 << bits if bits <= 8 else 0)
    return Head(size, start, cols, rows, bits, compression, min(colours, 256))


def decoded_fields(data: bytes, head: Head, path: str) -> Array:
    """uint8 [rows, cols, 3] RGB, 0 to 255 for none to all bits of each mask, alpha left out.

    Args:
        data: the file.
        head: of it, with `has_fields`.
        path: for messages.

    Raises:
        InputError: a mask has no bits, or bits that are not side by side; or the file is too short.
    """
    masks = struct.unpack_from("<III", data.ljust(70, b"\x00"), 54) if head.compression in _FIELDS else _FIVE_BITS
    rows = abs(head.rows)
    pixels = np.frombuffer(data[head.start : head.start + rows * head.row_bytes], np.uint8)
    if pixels.size < rows * head.row_bytes or not rows or not head.cols:
        raise InputError(f"{path} is a BMP image that is truncated or corrupt", hint="copy or export it again")
    words = pixels.reshape(rows, head.row_bytes).view(f"<u{head.bits // 8}")[:, : head.cols].astype(np.uint32)
    shown = np.stack([_channel(words, mask, path) for mask in masks], axis=-1)
    return shown if head.rows < 0 else shown[::-1]


def _channel(words: Array, mask: int, path: str) -> Uint8s:
    shift = (mask & -mask).bit_length() - 1
    most = mask >> max(shift, 0)
    if most <= 0 or most & (most + 1):
        raise InputError(f"{path} has the bit mask {mask:#x} for a colour", "bits side by side", "export it as PNG")
    channel: Uint8s = np.round(((words & mask) >> shift) * (255 / most)).astype(np.uint8)
    return channel

"""The heads of PNG, JPEG and BMP files: what is not read, what is left out, and sizes that the file is too short for.

A decoder takes the memory for whatever size the head says, before it finds that the pixels are not there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

from medvis.errors import InputError
from medvis.io.readers.bmp import head_of_bmp
from medvis.io.readers.decoded import ALPHA

_HINT = "copy or export it again"
_FRAMES_OF_JPEG = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC9: "arithmetic", 0xCA: "arithmetic"}
_CHANNELS_OF_PNG = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEFLATE = 1032  # bytes that a byte can stand for at most
_JPEG = 512  # pixels that a byte can stand for at most: a block of 8×8 takes a bit or more


def notes_on(data: bytes, kind: str, path: str) -> list[str]:
    """What is left out of a file.

    Args:
        data: the file.
        kind: ``png``, ``jpeg`` or ``bmp``.
        path: for messages.

    Raises:
        InputError: it is of a kind that is not read, or its head is damaged.
    """
    heads: dict[str, Callable[[bytes, str], list[str]]] = {"png": _png_notes, "jpeg": _jpeg_notes, "bmp": _bmp_notes}
    return heads[kind](data, path)


def _corrupt(kind: str, path: str) -> InputError:
    return InputError(f"{path} is a {kind} image that is truncated or corrupt", hint=_HINT)


def _png_notes(data: bytes, path: str) -> list[str]:
    """Raises InputError for an animation: which of its frames is meant, it does not say."""
    chunks = dict(_chunks(data))
    if len(data) < 33 or b"IDAT" not in chunks or zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise _corrupt("PNG", path)
    cols, rows, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if rows * (cols * bits * _CHANNELS_OF_PNG.get(colour, 1) // 8) > _DEFLATE * len(data):
        raise _corrupt("PNG", path)
    if len(chunks.get(b"acTL", b"")) == 8:
        frames = struct.unpack(">I", chunks[b"acTL"][:4])[0]
        if frames > 1:
            raise InputError(
                f"{path} is a PNG animation of {frames} frames", "one picture", "save the frame to look at"
            )
    return [ALPHA] if data[25] in (4, 6) or b"tRNS" in chunks else []


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, body) of the chunks up to the first with pixels."""
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, data[at + 8 : at + 8 + length] if name != b"IDAT" else b""
        if name == b"IDAT":
            return
        at += length + 12


def _jpeg_notes(data: bytes, path: str) -> list[str]:
    """Raises InputError for colours of print, and for a process that is not read."""
    notes: Sequence[str] = ()
    for marker, body in _segments(data):
        if marker == 0xE2 and body.startswith(b"MPF\x00"):
            notes = ["the further pictures of the file (CIPA DC-007 multi-picture format) were left out"]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) >= 6:
            process, bits, channels = _FRAMES_OF_JPEG.get(marker), body[0], body[5]
            if process is None or bits != 8:
                words = f"process SOF{marker - 0xC0} with {bits} bits"
                raise InputError(
                    f"{path}: JPEG {words} is not read", "8 bits, baseline or progressive", "save it as PNG"
                )
            rows, cols = struct.unpack_from(">HH", body, 1)
            if process != "arithmetic" and rows * cols > _JPEG * len(data):
                raise _corrupt("JPEG", path)
            if channels not in (1, 3):
                raise InputError(
                    f"{path}: JPEG of {channels} channels (CMYK) is not read", "grey or RGB", "export as RGB"
                )
    return list(notes)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of the segments before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _bmp_notes(data: bytes, path: str) -> list[str]:
    """A BMP has alpha only where a mask for it is given."""
    head = head_of_bmp(data)
    masked = head.compression in (3, 6)
    if (masked or not head.compression) and head.row_bytes * abs(head.rows) > len(data):
        raise _corrupt("BMP", path)
    if head.overlaps():
        raise InputError(f"{path} is a BMP image whose pixels begin inside its palette", hint=_HINT)
    return [ALPHA] if masked and head.has_alpha and any(data[66:70]) else []

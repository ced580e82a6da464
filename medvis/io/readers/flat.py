"""PNG, JPEG and BMP through OpenCV's decoders. Whatever a decoder complains of is damage; what it drops is said."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from medvis.core.arrays import Array
from medvis.errors import InputError
from medvis.io.quiet import captured_stderr
from medvis.io.readers.decoded import ALPHA, Decoded

# PNG's chunks that say nothing of the pixels: a reader may complain of what is in them, and the picture is whole.
_ANCILLARY = ("iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "tEXt", "zTXt", "iTXt", "tIME", "bKGD", "sBIT", "hIST", "eXIf")
_FRAMES_OF_JPEG = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive", 0xC9: "arithmetic", 0xCA: "arithmetic"}
_HINT = "copy or export it again"


def decoded_flat(data: bytes, kind: str, path: str, labels: bool = False) -> Decoded:
    """A PNG, JPEG or BMP image, upright by its EXIF orientation.

    Args:
        data: the file.
        kind: ``png``, ``jpeg`` or ``bmp``.
        path: for messages.
        labels: give the values of a PNG as stored: indices of a palette, small numbers of less than 8 bits.

    Raises:
        InputError: truncated, corrupt, of several pictures, or of a kind that is not read.
    """
    notes = {"png": _png_notes, "jpeg": _jpeg_notes, "bmp": _bmp_notes}[kind](data, path)
    if kind == "png" and labels and data[25] == 3:
        return Decoded(_indices(data, path), 8, notes=tuple(notes))
    page = _by_opencv(data, kind, path)
    if kind == "png" and data[25] == 4 and page.ndim == 3:  # grey with alpha, which OpenCV expands to colour
        page = page[..., 0]
    if kind == "png" and labels and data[25] == 0 and data[24] < 8:  # 1, 2 or 4 bits, which OpenCV spreads to 8
        page = page // (255 // (2 ** data[24] - 1))
    shown: Array = page[..., ::-1] if page.ndim == 3 else page
    return Decoded(shown, 8 * page.dtype.itemsize, lossy=kind == "jpeg", notes=tuple(notes))


def _by_opencv(data: bytes, kind: str, path: str) -> Array:
    """[rows, cols], or [rows, cols, 3] as BGR; alpha dropped."""
    import cv2  # noqa: PLC0415 - 0.2 s, and a claim does not need it

    try:
        with captured_stderr() as messages:  # these flags, unlike IMREAD_UNCHANGED, apply the EXIF orientation
            page = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise InputError(f"{path} is a {kind.upper()} image that cannot be decoded: {error.err}") from error
    complaints = [line for line in messages if not _harmless(line)]
    if page is None or not page.size or complaints:
        more = f": {complaints[0].strip()[:120]}" if complaints else ""
        raise InputError(f"{path} is a {kind.upper()} image that is truncated or corrupt{more}", hint=_HINT)
    return np.asarray(page)


def _harmless(line: str) -> bool:
    about = line.strip().removeprefix("libpng warning: ")
    return not about or (about.startswith(tuple(f"{name}:" for name in _ANCILLARY)) and "CRC" not in about)


def _indices(data: bytes, path: str) -> Array:
    from PIL import Image, ImageOps  # noqa: PLC0415 - only where masks are read

    _by_opencv(data, "png", path)  # complains of what Pillow passes over
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is a PNG image that is truncated or corrupt: {error}", hint=_HINT) from error


def _png_notes(data: bytes, path: str) -> list[str]:
    """Raises InputError for an animation: which of its frames is meant, it does not say."""
    chunks = dict(_chunks(data))
    if len(data) < 33 or b"IDAT" not in chunks:
        raise InputError(f"{path} is a PNG image that is truncated or corrupt", hint=_HINT)
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
    """A BMP has alpha only where a mask for it is given (BITMAPV3INFOHEADER and later)."""
    del path
    header, bits, compression = (
        int.from_bytes(data[at : at + size], "little") for at, size in ((14, 4), (28, 2), (30, 4))
    )
    return [ALPHA] if header >= 56 and bits == 32 and compression in (3, 6) and any(data[66:70]) else []

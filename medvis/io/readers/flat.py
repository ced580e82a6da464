"""PNG, JPEG and BMP through OpenCV's decoders. Whatever a decoder complains of is damage; what it drops is said."""

from __future__ import annotations

import io
import re

import numpy as np

from medvis.core.arrays import Array
from medvis.errors import InputError
from medvis.io.quiet import captured_stderr
from medvis.io.readers.bmp import OS2, decoded_fields, head_of_bmp
from medvis.io.readers.decoded import Decoded
from medvis.io.readers.flat_heads import notes_on
from medvis.io.readers.turned import turned_elsewhere

# PNG's chunks that say nothing of the pixels: a reader may complain of what is in them, and the picture is whole.
_ANCILLARY = ("iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "tEXt", "zTXt", "iTXt", "tIME", "bKGD", "sBIT", "hIST", "eXIf")
_HINT = "copy or export it again"
_LOG = re.compile(r"\[[^\]]*\] \w+ \S+ ")  # level, time and place that OpenCV puts before a message


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
    notes = notes_on(data, kind, path)
    if kind == "png" and labels and data[25] == 3:
        return Decoded(_indices(data, path), 8, notes=tuple(notes))
    if kind == "bmp":
        return Decoded(_bmp(data, path), 8, notes=tuple(notes))
    turned = turned_elsewhere(data)
    notes += [] if turned is None else [turned]
    page = _by_opencv(data, kind, path)
    if kind == "png" and data[25] == 4 and page.ndim == 3:  # grey with alpha, which OpenCV expands to colour
        page = page[..., 0]
    if kind == "png" and labels and data[25] == 0 and data[24] < 8:  # 1, 2 or 4 bits, which OpenCV spreads to 8
        page = page // (255 // (2 ** data[24] - 1))
    shown: Array = page[..., ::-1] if page.ndim == 3 else page
    return Decoded(shown, 8 * page.dtype.itemsize, lossy=kind == "jpeg", notes=tuple(notes))


def _bmp(data: bytes, path: str) -> Array:
    """uint8 [rows, cols], or [rows, cols, 3] as RGB. OpenCV gives the greys of a palette of OS/2 unless asked."""
    head = head_of_bmp(data)
    if head.has_fields:
        return decoded_fields(data, head, path)
    page = _by_opencv(data, "bmp", path, colour=head.size == OS2)
    grey = page.ndim == 2 or (head.size == OS2 and bool((page == page[..., :1]).all()))
    return page.reshape(*page.shape[:2], -1)[..., 0] if grey else page[..., ::-1]


def _by_opencv(data: bytes, kind: str, path: str, colour: bool = False) -> Array:
    """[rows, cols], or [rows, cols, 3] as BGR, also of greys where `colour` is asked for; alpha dropped."""
    import cv2  # noqa: PLC0415 - 0.2 s, and a claim does not need it

    flags = cv2.IMREAD_ANYDEPTH | (cv2.IMREAD_COLOR if colour else cv2.IMREAD_ANYCOLOR)
    try:
        with captured_stderr() as messages:  # these flags, unlike IMREAD_UNCHANGED, apply the EXIF orientation
            page = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"{path} is a {kind.upper()} image that cannot be decoded: {error.err}") from error
    complaints = [line for line in messages if not _harmless(line)]
    if page is None or not page.size or complaints:
        more = f": {_LOG.sub('', complaints[0].strip())[:120]}" if complaints else ""
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

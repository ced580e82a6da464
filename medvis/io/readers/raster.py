"""The reader of PNG, JPEG, TIFF and BMP images through OpenCV's decoders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from medvis.core.arrays import Array, Bools, Float32s
from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan, Source, Step
from medvis.errors import InputError
from medvis.io.magic import HEAD
from medvis.io.quiet import captured_stderr

_NO_SPACING = "the resolution in a {} image is about print, not about the object"
_BROKEN = ("premature end", "corrupt", "truncated", "crc error", "not enough")


class RasterReader(Reader):
    """Reads 8- and 16-bit, float, grey and colour images; the pages of a TIFF become frames."""

    name = "raster"
    title = "image"
    wanted = "a PNG, JPEG, TIFF or BMP image"
    magic = (
        Magic(b"\x89PNG\r\n\x1a\n", "png"),
        Magic(b"\xff\xd8\xff", "jpeg"),
        Magic(b"II*\x00", "tiff"),
        Magic(b"MM\x00*", "tiff"),
        Magic(b"II+\x00", "tiff"),
        Magic(b"MM\x00+", "tiff"),
        Magic(b"BM", "bmp"),
    )
    patterns = ("*.png", "*.jpg", "*.jpeg", "*.tif", "*.tiff", "*.bmp")
    in_folders = "never"  # which of a folder's pictures belong together, nothing says

    def format_of(self, head: bytes, path: Path) -> str | None:
        """``png``, ``jpeg``, ``tiff`` or ``bmp``; the last only with its reserved bytes, two letters being no magic."""
        known = super().format_of(head, path)
        return None if known == "bmp" and head[6:10] != bytes(4) else known

    def read(self, path: Path) -> Scan:
        """The scan in grey values as stored (0–255 or 0–65535), EXIF orientation applied, alpha left out.

        pixels: float32 [pages, rows, cols, 1 or 3], colour as RGB. No spacing: see `geometry.reasons`.

        Raises:
            InputError: unreadable, truncated or corrupt.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        kind = self.format_of(data[:HEAD], path) or "raster"
        pages, notes = _decode(data, kind, path)
        pages, alpha = _without_alpha(pages, data, kind)
        pixels, valid, more = _as_pixels(pages)
        reason = _NO_SPACING.format(kind.upper())
        single = "a single frame" if len(pages) == 1 else "the pages are not placed in space"
        return Scan(
            pixels=pixels,
            geometry=Geometry(reasons={"spacing": reason, "slice_spacing": single, "positions": "no DICOM geometry"}),
            source=Source(
                path=str(path),
                format=kind,
                sha256=hashlib.sha256(data).hexdigest(),
                files=(path.name,),
                details={"stored_as": str(pages[0].dtype), "channels_equal": _channels_equal(pages)},
            ),
            unit="grey",
            bits=8 * pages[0].dtype.itemsize,
            valid=valid,
            trail=(Step("read", {"reader": "raster", "format": kind}),),
            notes=(*notes, *alpha, *more),
        )


def _decode(data: bytes, kind: str, path: Path) -> tuple[list[Array], list[str]]:
    """Every page as OpenCV gives it: [rows, cols] or BGR(A), of one size."""
    import cv2  # noqa: PLC0415 - 0.2 s, and a claim does not need it

    buffer = np.frombuffer(data, np.uint8)
    try:
        with captured_stderr() as messages:
            if kind == "tiff":
                _, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED)
            else:  # these flags, unlike IMREAD_UNCHANGED, apply the EXIF orientation
                page = cv2.imdecode(buffer, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
                pages = () if page is None else (page,)
    except cv2.error as error:
        raise InputError(f"{path} is a {kind.upper()} image that cannot be decoded: {error.err}") from error
    pages = [page for page in pages if page is not None and page.size]
    if not pages or any(word in line.lower() for line in messages for word in _BROKEN):
        raise InputError(
            f"{path} is a {kind.upper()} image that is truncated or corrupt", hint="copy or export it again"
        )
    same = [page for page in pages if page.shape == pages[0].shape and page.dtype == pages[0].dtype]
    others = len(pages) - len(same)
    return same, [f"{others} page(s) of another size or depth than the first were left out"] if others else []


def _without_alpha(pages: list[Array], data: bytes, kind: str) -> tuple[list[Array], list[str]]:
    """The pages without their alpha channel, which OpenCV has dropped already from a PNG."""
    note = ["the alpha channel was left out"]
    if kind == "png":
        colour_type = data[25]
        if colour_type == 4:  # grey with alpha, which OpenCV expands to colour
            return [page[..., 0] if page.ndim == 3 else page for page in pages], note
        transparent = colour_type == 6 or 0 < data.find(b"tRNS") < data.find(b"IDAT")
        return pages, note if transparent else []
    if pages[0].ndim == 3 and pages[0].shape[2] == 4:
        return [page[..., :3] for page in pages], note
    return pages, []


def _as_pixels(pages: list[Array]) -> tuple[Float32s, Bools | None, list[str]]:
    """One float32 volume in RGB; values that are no finite number become 0 and are masked."""
    rows, cols = pages[0].shape[:2]
    colour = pages[0].ndim == 3 and pages[0].shape[2] == 3
    pixels: Float32s = np.empty((len(pages), rows, cols, 3 if colour else 1), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for index, page in enumerate(pages):
            pixels[index] = page[..., ::-1] if colour else page.reshape(rows, cols, -1)[..., :1]
    if pages[0].dtype.kind != "f":
        return pixels, None, []
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels, None, []
    pixels[~finite] = 0
    valid: Bools = np.all(finite, axis=3)
    return pixels, valid, ["pixels that are no finite number were set to 0 and masked as padding"]


def _channels_equal(pages: list[Array]) -> bool:
    """Whether a colour image shows nothing but greys; True for a grey one."""
    return all(page.ndim == 2 or bool((page[..., :1] == page[..., 1:3]).all()) for page in pages)

"""The reader of PNG, JPEG, TIFF and BMP images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medvis.core.arrays import Bools, Float32s
from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan, Source, Step
from medvis.core.volumes import Volume, Volumes
from medvis.errors import InputError
from medvis.io.magic import HEAD, head_of, looks_like

if TYPE_CHECKING:
    from medvis.io.readers.decoded import Decoded
    from medvis.io.readers.tiff_stacks import Directories, Stack

_NO_SPACING = "the resolution in a {} image is about print, not about the object; --mm-per-pixel gives it"
_NOT_FINITE = "pixels that are no finite number were set to 0 and masked as padding"
_DESCRIBED = "the pixel size is that of the file's description (OME-XML or ImageJ)"
_ROUNDED = "values above 2^24 are rounded to 24 bits"


class RasterReader(Reader):
    """Reads grey and colour images of any depth. A page of a TIFF is a scan, unless the file says what is one stack."""

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
    in_folders = "alone"  # beside a study, they are as a rule thumbnails of it
    names_modality = False

    def format_of(self, head: bytes, path: Path) -> str | None:
        """``png``, ``jpeg``, ``tiff`` or ``bmp``; the last only with its reserved bytes, two letters being no magic."""
        known = super().format_of(head, path)
        return None if known == "bmp" and head[6:10] != bytes(4) else known

    def inside(self, path: Path) -> Sequence[Volume]:
        """The pages of a TIFF with several pictures, each with its number; none for a file of one picture.

        Raises:
            InputError: its directories are broken, or none is a full page.
        """
        try:
            if self.format_of(head_of(path), path) != "tiff":
                return ()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        stacks = _directories(_bytes(path), path).stacks
        return self._volumes(path, stacks) if len(stacks) > 1 else ()

    def read(self, path: Path) -> Scan:
        """The scan in grey values as stored (0–255 or 0–65535), upright, alpha left out; WhiteIsZero turned round.

        pixels: float32 [frames, rows, cols, 1 or 3], colour as RGB. No spacing: see `geometry.reasons`.

        Raises:
            InputError: unreadable, truncated or corrupt, of a kind that is not read, or of several pictures.
        """
        from medvis.io.readers.flat import decoded_flat  # noqa: PLC0415 - what decodes is not for a claim

        data = _bytes(path)
        kind = self.format_of(data[:HEAD], path)
        if kind is None:
            raise InputError(f"{path} is {looks_like(data[:HEAD]) if data else 'empty (0 bytes)'}", self.wanted)
        if kind != "tiff":
            return _scan([decoded_flat(data, kind, str(path))], data, path, kind)
        directories = _directories(data, path)
        if len(directories.stacks) > 1:
            return Volumes(str(path), self._volumes(path, directories.stacks)).single().read()
        return _stack(data, directories, path, 0)

    def _volumes(self, path: Path, stacks: Sequence[Stack]) -> list[Volume]:
        def opened(index: int) -> Scan:
            data = _bytes(path)
            return _stack(data, _directories(data, path), path, index)

        return [
            Volume(stack.label, _described(stack, len(stacks)), (path.name,), None, partial(opened, index))
            for index, stack in enumerate(stacks)
        ]


def _stack(data: bytes, directories: Directories, path: Path, index: int) -> Scan:
    from medvis.io.readers.tiff import decoded_stack  # noqa: PLC0415 - what decodes is not for a claim
    from medvis.io.readers.tiff_spacing import spacing_of  # noqa: PLC0415 - as above

    stack, count = directories.stacks[index], len(directories.pages)
    scan = _scan(decoded_stack(data, directories, stack, str(path)), data, path, "tiff")
    if count > 1:
        numbers = tuple(pages[0] for pages in stack.frames)
        source = replace(scan.source, frame_numbers=numbers, details={**scan.source.details, "pages": count})
        scan = replace(scan, source=source)
    if len(directories.stacks) > 1:
        which = f"page {stack.frames[0][0]}" if len(stack.frames) == 1 else f"from page {stack.frames[0][0]} on"
        scan = replace(scan, notes=(f"{which} of a TIFF file of {count} pages", *scan.notes))
    spacing = spacing_of(directories.pages[1])
    if spacing is None:
        return scan.derive(notes=(*directories.notes, *scan.notes))
    first = directories.pages[stack.frames[0][0]]
    turned = 274 in first.tags and int(first.tags[274].value) > 4  # rows and columns change places
    reasons = {name: reason for name, reason in scan.geometry.reasons.items() if name != "spacing"}
    geometry = replace(scan.geometry, spacing=spacing[::-1] if turned else spacing, reasons=reasons)
    return scan.derive(geometry=geometry, notes=(*directories.notes, *scan.notes, _DESCRIBED))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _directories(data: bytes, path: Path) -> Directories:
    from medvis.io.readers.tiff_stacks import directories_of  # noqa: PLC0415 - as above

    return directories_of(data, str(path))


def _described(stack: Stack, count: int) -> str:
    pages = f"page {stack.frames[0][0]}" if len(stack.frames) == 1 else f"{len(stack.frames)} slices"
    return f"{pages}, one of {count} pictures"


def _scan(frames: Sequence[Decoded], data: bytes, path: Path, kind: str) -> Scan:
    pixels, valid, notes = _as_pixels(frames)
    first = frames[0]
    single = "a single frame" if len(frames) == 1 else "the pages are not placed in space"
    reasons = {"spacing": _NO_SPACING.format(kind.upper()), "slice_spacing": single, "positions": "no DICOM geometry"}
    return Scan(
        pixels=pixels,
        geometry=Geometry(reasons=reasons),
        source=Source(
            path=str(path),
            format=kind,
            sha256=hashlib.sha256(data).hexdigest(),
            files=(path.name,),
            details={"stored_as": str(first.pixels.dtype), "channels_equal": _channels_equal(frames)},
        ),
        unit="grey",
        bits=first.bits,
        valid=valid,
        inverted=first.inverted,
        trail=(Step("read", {"reader": "raster", "format": kind}),),
        notes=tuple(dict.fromkeys([*(note for frame in frames for note in frame.notes), *notes])),
    )


def _as_pixels(frames: Sequence[Decoded]) -> tuple[Float32s, Bools | None, list[str]]:
    """One float32 volume; values that are no finite number become 0 and are masked, as is what holds no data."""
    rows, cols = frames[0].pixels.shape[:2]
    pixels: Float32s = np.empty((len(frames), rows, cols, 3 if frames[0].pixels.ndim == 3 else 1), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for index, frame in enumerate(frames):
            pixels[index] = frame.pixels.reshape(rows, cols, -1)
    notes = []
    if frames[0].pixels.dtype.kind in "iu" and frames[0].pixels.dtype.itemsize > 2 and np.abs(pixels).max() > 2**24:
        notes.append(_ROUNDED)
    if frames[0].pixels.dtype.kind != "f" and all(frame.valid is None for frame in frames):
        return pixels, None, notes
    finite = np.isfinite(pixels)
    known = [np.ones((rows, cols), bool) if frame.valid is None else frame.valid for frame in frames]
    valid: Bools = np.stack(known) & finite.all(axis=3)
    if not finite.all():
        pixels[~finite] = 0
        notes.append(_NOT_FINITE)
    return pixels, None if valid.all() else valid, notes


def _channels_equal(frames: Sequence[Decoded]) -> bool:
    """Whether a colour image shows nothing but greys; True for a grey one."""
    greys = (frame.pixels.ndim == 2 or bool((frame.pixels[..., :1] == frame.pixels[..., 1:]).all()) for frame in frames)
    return all(greys)

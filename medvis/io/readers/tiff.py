"""TIFF: the samples of a page as grey values or RGB, as its tags mean them (TIFF 6.0)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from medvis.core.arrays import Array, Bools
from medvis.errors import InputError
from medvis.io.readers.decoded import ALPHA, UPRIGHT, Decoded
from medvis.io.readers.tiff_layout import JPEG, PALETTE, PHOTOMETRIC, WHITE_IS_ZERO, Layout, layout_of
from medvis.io.readers.tiff_segments import samples_of
from medvis.io.readers.tiff_stacks import Directories, Stack

AS_RGB = "the picture's 3 channels, whose meaning is no colour, were taken as red, green and blue"
_ASSOCIATED = 1


def decoded_stack(
    data: bytes, directories: Directories, stack: Stack, path: str, labels: bool = False
) -> list[Decoded]:
    """The frames of a stack.

    Args:
        data: the file.
        directories: of it.
        stack: of them.
        path: for messages.
        labels: give the values as stored: indices of a palette, not its colours; of WhiteIsZero, no negative.

    Raises:
        InputError: a page is damaged, or of a kind that is not read; or the pages do not fit each other.
    """
    frames = []
    for numbers in stack.frames:
        pages = [_page(data, directories, number, path, labels) for number in numbers]
        frames.append(pages[0] if len(pages) == 1 else _joined(pages, f"{path}, page {numbers[0]}"))
    first = frames[0].pixels
    if any(frame.pixels.shape != first.shape or frame.pixels.dtype != first.dtype for frame in frames):
        raise InputError(f"{path} is a stack of pages of several sizes or depths", "slices of one kind")
    return frames


def _page(data: bytes, directories: Directories, number: int, path: str, labels: bool) -> Decoded:
    name = path if len(directories.pages) == 1 else f"{path}, page {number}"
    layout = layout_of(directories.pages[number], directories.order, name)
    stored = samples_of(data, layout, name)
    shown, notes = _meaningful(stored, layout, name)
    valid, lossy = _with_data(shown, layout), layout.compression == JPEG
    picture = Decoded(shown, layout.bits, valid=valid, lossy=lossy, notes=tuple(notes))
    if picture.valid is not None:
        picture = replace(picture, notes=(*notes, f"pixels of the file's no-data value {layout.nodata} were masked"))
    if layout.photometric == PALETTE and not labels:
        picture = replace(picture, pixels=_coloured(shown, layout), bits=8)
    elif layout.photometric == WHITE_IS_ZERO and layout.kind == "u" and layout.bits <= 16 and not labels:
        picture = replace(picture, pixels=_negative(shown, layout.bits))
    elif layout.photometric == WHITE_IS_ZERO:  # no highest value, or neighbours that float32 cannot tell apart there
        picture = replace(picture, inverted=True)
    return _upright(picture, layout.orientation)


def _meaningful(stored: Array, layout: Layout, name: str) -> tuple[Array, list[str]]:
    """[rows, cols] or [rows, cols, 3] of what is no extra sample, and a note on what is."""
    base, extra = PHOTOMETRIC[layout.photometric], layout.samples - PHOTOMETRIC[layout.photometric]
    kinds = (*layout.extra, *([0] * extra))[:extra]
    alpha = sum(kind in (1, 2) for kind in kinds)
    if base == 1 and extra == 2 and not alpha and layout.photometric != PALETTE:
        return stored, [AS_RGB]
    if base == 1 and extra > alpha:
        raise InputError(
            f"{name} has {layout.samples} samples a pixel, and does not say what {extra - alpha} of them are",
            "grey or RGB, with or without alpha",
            "export the channel that shall be looked at",
        )
    notes = []
    if extra == 1:
        notes = [f"{ALPHA}; the colours are multiplied by it" if kinds[0] == _ASSOCIATED else ALPHA]
    elif extra:
        notes = [f"{extra} samples a pixel beside the colours were left out"]
    return stored[..., 0] if base == 1 else stored[..., :base], notes


def _with_data(shown: Array, layout: Layout) -> Bools | None:
    """Where there is data, by GDAL's tag; None where all is."""
    if layout.nodata is None:
        return None
    with suppress(ValueError, OverflowError):
        number = float(layout.nodata)
        whole = layout.kind != "f"
        if not whole or number.is_integer():
            absent = shown == (int(layout.nodata.partition(".")[0]) if whole else shown.dtype.type(number))
            valid: Bools = ~(absent if absent.ndim == 2 else absent.all(-1))
            return None if valid.all() else valid
    return None


def _coloured(indices: Array, layout: Layout) -> Array:
    """RGB of 8 bits. The palette is of 16; where none of it is above 255, 8 were meant (libtiff takes it so, too)."""
    table = np.array(layout.palette, np.int64).reshape(3, -1).T
    return np.asarray((table if table.max() < 256 else table >> 8).astype(np.uint8)[indices])


def _negative(shown: Array, bits: int) -> Array:
    return np.asarray(shown.dtype.type(2**bits - 1) - shown)


def _upright(picture: Decoded, orientation: int) -> Decoded:
    turn = UPRIGHT[orientation]
    valid = None if picture.valid is None else np.asarray(turn(picture.valid), bool)
    return replace(picture, pixels=turn(picture.pixels), valid=valid)


def _joined(pages: Sequence[Decoded], name: str) -> Decoded:
    """The channels of one picture, each of a page of its own, as its colours."""
    first = pages[0].pixels
    if len(pages) != 3 or any(page.pixels.shape != first.shape or page.pixels.ndim != 2 for page in pages):
        raise InputError(
            f"{name} is a picture of {len(pages)} channels", "1 or 3 grey ones of one size", "export one channel"
        )
    masks = [page.valid for page in pages if page.valid is not None]
    notes = dict.fromkeys([*(note for page in pages for note in page.notes), AS_RGB])
    valid = np.logical_or.reduce(masks) if len(masks) == len(pages) else None
    return replace(pages[0], pixels=np.stack([page.pixels for page in pages], -1), valid=valid, notes=tuple(notes))

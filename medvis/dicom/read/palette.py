"""Colours of PALETTE COLOR images: the lookup tables (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6) as the file stores them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from medvis.core.arrays import Array
from medvis.dicom.read.values import numbers, text, value
from medvis.errors import InputError

_COLOURS = ("Red", "Green", "Blue")
_AGAIN = "copy or export it again"


@dataclass(frozen=True)
class Palette:
    """The table of an image.

    Attributes:
        colours: uint8 or uint16 [entries, 3], RGB.
        first: the pixel value that the first entry is for.
        bits: of an entry.
        notes: what had to be assumed.
    """

    colours: Array
    first: int
    bits: int
    notes: tuple[str, ...] = ()

    def apply(self, indices: Array) -> Array:
        """RGB [rows, cols, 3] of pixel values [rows, cols]; those beyond an end have the colour of that end."""
        places = np.clip(indices.astype(np.int64) - self.first, 0, len(self.colours) - 1)
        coloured: Array = self.colours[places]
        return coloured


def palette_of(ds: Dataset, signed: bool, path: Path | str) -> Palette:
    """The palette of a data set.

    Args:
        ds: the data set.
        signed: of its pixels, and so of the first value that is mapped.
        path: for messages.

    Raises:
        InputError: a table is absent, too short, or does not fit the others.
    """
    descriptors = [numbers(ds, f"{name}PaletteColorLookupTableDescriptor", 3) for name in _COLOURS]
    red = descriptors[0]
    if red is None or any(descriptor not in (None, red) for descriptor in descriptors):
        raise InputError(f"{path} lacks a palette of three tables of one kind", "Red, Green and Blue alike", _AGAIN)
    count, first, bits = (int(item) for item in red)
    count = count % (1 << 16) or 1 << 16
    if signed and first >= 1 << 15:
        first -= 1 << 16
    if bits not in (8, 16):
        raise InputError(f"{path} has a palette with entries of {bits} bits", "8 or 16", _AGAIN)
    notes = ["the palette's transparency was left out"] if "AlphaPaletteColorLookupTableData" in ds else []
    if "RedPaletteColorLookupTableData" not in ds and "SegmentedRedPaletteColorLookupTableData" in ds:
        return Palette(_segmented(ds, count, first), first, bits, tuple(notes))
    tables = [_entries(ds, f"{name}PaletteColorLookupTableData", count) for name in _COLOURS]
    least = min(len(table) for table in tables)
    if least < count:
        raise InputError(f"{path} has a palette of {least} entries", f"{count}, as its descriptor says", _AGAIN)
    colours = np.stack(tables, axis=-1)
    if bits == 16 and colours.max() < 1 << 8:
        bits = 8
        notes.append("the palette says 16 bits, but no entry needs more than 8, which were believed")
    return Palette(colours, first, bits, tuple(notes))


def mixes_colours(ds: Dataset) -> bool:
    """Whether a palette beside the greys shows some of them in colour (PS3.3 C.8.16.2.1.1.1)."""
    return (text(ds, "PixelPresentation") or "").upper() in ("COLOR", "MIXED")


def words_of(data: bytes, count: int, little: bool) -> Array:
    """Entries of a table that is stored as OW: words, or bytes two to a word, which big endian turns round.

    Args:
        data: the value of the element, as it is in the file.
        count: of the entries.
        little: byte order of the file.

    Returns:
        uint16 or uint8 [count], or fewer where there are not as many.
    """
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")
    if len(words) >= count:
        return words[:count].astype(np.uint16)
    if little:
        return np.frombuffer(data, np.uint8)[:count]
    return words.astype("<u2").view(np.uint8)[:count]


def _entries(ds: Dataset, keyword: str, count: int) -> Array:
    raw = value(ds, keyword)
    if isinstance(raw, bytes):
        return words_of(raw, count, ds.original_encoding[1] is not False)
    return np.array((numbers(ds, keyword) or [])[:count], np.uint16)


def _segmented(ds: Dataset, count: int, first: int) -> Array:
    """The tables of segments (PS3.3 C.7.9.2), unfolded by pydicom."""
    every = np.arange(first, first + count).reshape(1, -1)
    unfolded: Array = apply_color_lut(every, ds)[0, :, :3]
    return unfolded

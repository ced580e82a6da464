"""Offset tables of encapsulated pixel data that do not say where the frames start (PS3.5 A.4)."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from struct import unpack

from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments

from medvis.dicom.read.layout import Layout

OFFSETS = "the offset table contradicts the fragments of the pixel data; the frames were found without it"
_EMPTY = b"\xfe\xff\0\xe0\0\0\0\0"


def without_wrong_offsets(ds: Dataset, layout: Layout) -> bool:
    """Drops offset tables that are wrong from `ds`, so that fragments are counted instead; True if there were any.

    As DCMTK and GDCM do: with a fragment a frame, or one frame, nothing depends on the table.
    """
    if layout.native:
        return False
    stream = BytesIO(ds.PixelData)
    try:
        basic = parse_basic_offsets(stream)
        start = stream.tell()
        starts = [offset - start for offset in parse_fragments(stream)[1]]
    except Exception:  # said when the frames are decoded
        return False
    extended, lengths = _numbers(ds, "ExtendedOffsetTable"), _numbers(ds, "ExtendedOffsetTableLengths")
    wrong = False
    if "ExtendedOffsetTable" in ds and (not _fits(extended, starts, layout.frames) or len(lengths) != layout.frames):
        del ds["ExtendedOffsetTable"]
        wrong = bool(extended)
    if basic and not _fits(basic, starts, layout.frames):
        ds["PixelData"].value = _EMPTY + ds.PixelData[start:]
        wrong = True
    return wrong


def _fits(offsets: list[int], starts: list[int], frames: int) -> bool:
    """Whether each frame starts with a fragment, the first with the first; and all of them if they are as many."""
    if len(starts) == frames:
        return offsets == starts
    rising = all(one < other for one, other in pairwise(offsets))
    return len(offsets) == frames and offsets[0] == 0 and rising and set(offsets) <= set(starts)


def _numbers(ds: Dataset, keyword: str) -> list[int]:
    raw = ds.get(keyword)
    return list(unpack(f"<{len(raw) // 8}Q", raw[: len(raw) // 8 * 8])) if isinstance(raw, bytes) else []

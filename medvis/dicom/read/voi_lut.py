"""The VOI LUTs of the file, which a viewer applies instead of a window (PS3.3 C.11.2.1.1)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from medvis.core.scan import VoiLut
from medvis.dicom.read.layout import Layout
from medvis.dicom.read.modality import lut_table
from medvis.dicom.read.values import FrameGroups, items, number, text

_DIFFERENT = "the images have different VOI LUTs, so that none is applied for display"
_BROKEN = "a VOI LUT of the file is broken and is not applied for display"


def lut_items(ds: Dataset, frame: int = 0) -> list[Dataset]:
    """The items of VOI LUT Sequence of a frame (0-based, in file order): its own, else those of the whole file."""
    own = FrameGroups(ds).get(frame, "FrameVOILUTSequence")
    return ([] if own is None else items(own, "VOILUTSequence")) or items(ds, "VOILUTSequence")


def voi_luts(
    ds: Dataset, layout: Layout, frame: int, others: Iterable[list[Dataset]]
) -> tuple[tuple[VoiLut, ...], list[str]]:
    """The VOI LUTs that all images of a scan share, and a note where one cannot be applied.

    Args:
        ds: of the image that speaks for all.
        layout: of it.
        frame: of it, 0-based.
        others: the items (`lut_items`) of the other images.
    """
    own_items = lut_items(ds, frame)
    if any(other != own_items for other in others):
        return (), [_DIFFERENT]
    signed = layout.signed or (number(ds, "RescaleIntercept") or 0) < 0
    tables = [(lut_table(item, signed), text(item, "LUTExplanation")) for item in own_items]
    luts = tuple(
        VoiLut(tuple(int(entry) for entry in table[0]), table[1], table[2], explanation)
        for table, explanation in tables
        if table is not None
    )
    return luts, [_BROKEN] if len(luts) < len(tables) else []

"""A Segmentation as it is read: which segment is where, on which frame of the scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from medvis.core.arrays import Bools, Uint8s
from medvis.dicom.objects.frame_references import frame_index
from medvis.dicom.objects.source_study import SourceStudy

LABELMAP = "LABELMAP"


class Plane(NamedTuple):
    """One segment on one frame.

    Attributes:
        rank: 0-based frame of the Segmentation.
        segment: its number.
        frame: 0-based frame of the scan; −1 if it refers to none.
        bits: bool [rows, cols], where it is.
    """

    rank: int
    segment: int
    frame: int
    bits: Bools


@dataclass(frozen=True)
class Segments:
    """What other objects need to refer to a Segmentation.

    Attributes:
        key: SOP Class and SOP Instance UID.
        tracking: number of a segment → its Tracking UID.
    """

    key: tuple[str, str]
    tracking: dict[int, str]

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.key[1]


def segments_of(ds: Dataset) -> Segments:
    """The segments of a Segmentation."""
    tracking = {
        int(item.SegmentNumber): str(item.TrackingUID) for item in ds.SegmentSequence if item.get("TrackingUID")
    }
    return Segments((str(ds.SOPClassUID), str(ds.SOPInstanceUID)), tracking)


def planes_of(ds: Dataset, source: SourceStudy) -> Iterator[Plane]:
    """Every segment on every frame of a Segmentation of any type."""
    frames = frame_index(ds, source)
    stored = _stored(ds)
    if ds.SegmentationType != LABELMAP:
        for rank, (segment, plane) in enumerate(zip(numbers_of(ds), stored, strict=True)):
            yield Plane(rank, segment, frames[rank], plane > 0)
        return
    for rank, plane in enumerate(stored):
        for segment in np.unique(plane[plane > 0]).tolist():
            yield Plane(rank, segment, frames[rank], plane == segment)


def _stored(ds: Dataset) -> Iterator[Uint8s]:
    """One plane at a time, since all together may be larger than the scan; pydicom 3.0 cannot if one ends in a byte."""
    shape = (ds.Rows, ds.Columns)
    if ds.BitsAllocated == 1 and shape[0] * shape[1] % 8:
        yield from ds.pixel_array.reshape(-1, *shape)
    else:
        yield from iter_pixels(ds)


def numbers_of(ds: Dataset) -> list[int]:
    """Referenced Segment Number of each frame, which a single segment may have put among the shared groups."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    groups = (
        group if "SegmentIdentificationSequence" in group else shared for group in ds.PerFrameFunctionalGroupsSequence
    )
    return [int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in groups]

"""The gate: what was written is read back and compared with the case, before anybody can see it.

It trusts nothing of the writers: pixels come from the file, places from the functional groups of the file, and those
they are compared with from the headers of the source files.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Bools, Float64s
from medvis.core.case import require
from medvis.core.outcome import Outcome
from medvis.dicom.objects.seg.segments import planes_of
from medvis.dicom.objects.source import Parent
from medvis.dicom.read.position import Place, places_of
from medvis.errors import OutputError

TOLERANCE_MM = 0.01
"""Between centroids. Both are means over the same pixel centres, so that no half pixel is to be allowed for: what
remains is the rounding of decimal strings to 16 characters, which is far below a micrometre."""
_HINT = "nothing was published; please report this as a bug of medvis"
Sums = dict[int, list[Float64s]]


def refuse(what: str) -> OutputError:
    """The error of a result that is not what was meant."""
    return OutputError(f"the round trip failed: {what}", hint=_HINT)


def check_envelope(ds: Dataset, parent: Parent) -> None:
    """Patient and study are those of the source; series and instance are not. Raises OutputError."""
    for keyword in ("PatientID", "StudyInstanceUID"):
        if str(ds.get(keyword) or "") != str(parent.header.get(keyword) or ""):
            raise refuse(f"{keyword} of the result is not that of the source")
    if ds.SeriesInstanceUID == parent.series or ds.SOPInstanceUID in {one.uid for one in parent.instances()}:
        raise refuse("the result has a UID of its source")


def check_segments(ds: Dataset, outcome: Outcome, parent: Parent) -> None:
    """Every segment is the mask of its finding, voxel by voxel, and its centroid in patient mm is that of the mask.

    Raises:
        OutputError: a voxel too many or too few, a segment or frame too many or too few, or a place that has moved.
    """
    check_envelope(ds, parent)
    mask = require(outcome.case.mask, "seg", "mask", "segment")
    ids = [finding.id for finding in outcome.report.findings]
    numbers = [int(item.SegmentNumber) for item in ds.SegmentSequence if item.SegmentNumber]  # 0 is a background
    if numbers != list(range(1, len(ids) + 1)):
        raise refuse(f"{len(ids)} findings, but {len(numbers)} segments")
    left = {(number, frame) for frame, plane in enumerate(mask) for number in np.unique(plane[plane > 0]).tolist()}
    places = places_of(ds, int(ds.NumberOfFrames))
    written: Sums = {}
    meant: Sums = {}
    for rank, segment, frame, bits in planes_of(ds, parent):
        number = ids[segment - 1]
        if (number, frame) not in left or not np.array_equal(bits, mask[frame] == number):
            raise refuse(f"the outline of finding {number} on frame {frame + 1} is not that of the report")
        left.remove((number, frame))
        _add(written, number, places[rank], bits)
        _add(meant, number, parent.places[frame], mask[frame] == number)
    if left:
        raise refuse(f"finding {min(left)[0]} is missing on {len(left)} frame(s)")
    if parent.placed:
        _compare(written, meant)


def _add(sums: Sums, number: int, place: Place, bits: Bools) -> None:
    """Adds (sum of the pixels' positions in mm, their count); nothing where there is no place."""
    if place.position is None or place.orientation is None or place.spacing.mm is None:
        return
    rows, cols = np.nonzero(bits)
    along_row, along_col = place.orientation[:3] * place.spacing.mm[1], place.orientation[3:] * place.spacing.mm[0]
    total = rows.size * place.position + cols.sum() * along_row + rows.sum() * along_col
    sums.setdefault(number, []).append(np.append(total, rows.size))


def _compare(written: Sums, meant: Sums) -> None:
    for number, parts in meant.items():
        here, there = (np.sum(found, axis=0) for found in (written.get(number, [np.full(4, np.nan)]), parts))
        distance = float(np.linalg.norm(here[:3] / here[3] - there[:3] / there[3]))
        if not distance <= TOLERANCE_MM:
            raise refuse(f"finding {number} lies {distance:.4g} mm beside its place in the patient")

"""The gate of the Segmentation: voxel by voxel, and where each finding lies in the patient.

Pixels and planes come from the file that was written, and those they are compared with from the source's headers.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Bools, Float64s
from medvis.core.case import require
from medvis.core.outcome import Outcome
from medvis.dicom.objects.round_trip import TOLERANCE_MM, check_envelope, refuse
from medvis.dicom.objects.seg.segments import planes_of
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.read.image_plane import ImagePlane, image_planes_of

Sums = dict[int, list[Float64s]]


def check_segments(ds: Dataset, outcome: Outcome, source: SourceStudy) -> None:
    """Every segment is the mask of its finding, voxel by voxel, and its centroid in patient mm is that of the mask.

    Raises:
        OutputError: a voxel too many or too few, a segment or frame too many or too few, or a place that has moved.
    """
    check_envelope(ds, source)
    mask = require(outcome.case.mask, "seg", "mask", "segment")
    ids = [finding.id for finding in outcome.report.findings]
    numbers = [int(item.SegmentNumber) for item in ds.SegmentSequence if item.SegmentNumber]  # 0 is a background
    if numbers != list(range(1, len(ids) + 1)):
        raise refuse(f"{len(ids)} findings, but {len(numbers)} segments")
    left = {(number, frame) for frame, plane in enumerate(mask) for number in np.unique(plane[plane > 0]).tolist()}
    planes = image_planes_of(ds, int(ds.NumberOfFrames))
    written: Sums = {}
    meant: Sums = {}
    for rank, segment, frame, bits in planes_of(ds, source):
        number = ids[segment - 1]
        if (number, frame) not in left or not np.array_equal(bits, mask[frame] == number):
            raise refuse(f"the outline of finding {number} on frame {frame + 1} is not that of the report")
        left.remove((number, frame))
        _add(written, number, planes[rank], bits)
        _add(meant, number, source.planes[frame], mask[frame] == number)
    if left:
        raise refuse(f"finding {min(left)[0]} is missing on {len(left)} frame(s)")
    if source.placed:
        _compare(written, meant)


def _add(sums: Sums, number: int, plane: ImagePlane, bits: Bools) -> None:
    """Adds (sum of the pixels' positions in mm, their count); nothing where there is no place."""
    if plane.position is None or plane.orientation is None or plane.spacing.mm is None:
        return
    rows, cols = np.nonzero(bits)
    along_row, along_col = plane.orientation[:3] * plane.spacing.mm[1], plane.orientation[3:] * plane.spacing.mm[0]
    total = rows.size * plane.position + cols.sum() * along_row + rows.sum() * along_col
    sums.setdefault(number, []).append(np.append(total, rows.size))


def _compare(written: Sums, meant: Sums) -> None:
    for number, parts in meant.items():
        here, there = (np.sum(parts_of, axis=0) for parts_of in (written.get(number, [np.full(4, np.nan)]), parts))
        distance = float(np.linalg.norm(here[:3] / here[3] - there[:3] / there[3]))
        if not distance <= TOLERANCE_MM:
            raise refuse(f"finding {number} lies {distance:.4g} mm beside its place in the patient")

"""The pixels of a Segmentation, plane by plane: all planes as one dense array would be larger than the scan.

highdicom is given one pixel a segment, from which it works out the frames and all that belongs to them. The true pixels
are put in afterwards, in the order of those frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medvis.core.arrays import Bools, Labels, Uint8s
from medvis.core.case import Prediction
from medvis.core.logits import sigmoid
from medvis.dicom.objects.frame_references import frame_index
from medvis.dicom.objects.seg.segments import LABELMAP, numbers_of
from medvis.dicom.objects.source_study import SourceStudy

FULL = 255
"""Maximum Fractional Value."""
_BYTE = 8

SegmentNumbers = Uint8s | NDArray[np.uint16]


def tokens(mask: Labels, frames: list[int], numbers: Mapping[int, int]) -> SegmentNumbers:
    """[frames, 1, most segments on a frame]: each segment that is on a frame as one pixel with its number.

    Args:
        mask: int32 [frames, rows, cols], 0 or the number of the finding.
        frames: those that hold one.
        numbers: finding → segment.
    """
    present = [[numbers[item] for item in np.unique(mask[frame]).tolist() if item in numbers] for frame in frames]
    kind = np.uint8 if len(numbers) < 256 else np.uint16
    out = np.zeros((len(frames), 1, max(map(len, present))), kind)
    for row, segments in zip(out, present, strict=True):
        row[0, : len(segments)] = segments
    return out


def put_pixels(
    ds: Dataset, source: SourceStudy, mask: Labels, numbers: Mapping[int, int], prediction: Prediction | None
) -> None:
    """Puts the outlines in place of the tokens: bits, shares of 255, or the numbers of the segments.

    Args:
        ds: the Segmentation; its frames refer to those of the scan.
        source: the source.
        mask: as for `tokens`.
        numbers: likewise.
        prediction: for the shares; without it they are 255 wherever a segment is.
    """
    ds.Rows, ds.Columns = mask.shape[1:]
    frames = frame_index(ds, source)
    if ds.SegmentationType == LABELMAP:
        table = np.zeros(max(int(mask.max()), *numbers) + 1, np.dtype(f"<u{ds.BitsAllocated // _BYTE}"))
        table[list(numbers)] = list(numbers.values())
        data = b"".join(table[mask[frame]].tobytes() for frame in frames)
    else:
        findings = {segment: finding for finding, segment in numbers.items()}
        pairs = zip(frames, numbers_of(ds), strict=True)
        if ds.SegmentationType == "BINARY":
            data = pack_bits(mask[frame] == findings[segment] for frame, segment in pairs)
        else:
            inside = ((frame, mask[frame] == findings[segment]) for frame, segment in pairs)
            data = b"".join(_shares(bits, frame, prediction).tobytes() for frame, bits in inside)
    ds.PixelData = data + bytes(len(data) % 2)


def pack_bits(planes: Iterator[Bools]) -> bytes:
    """One bit a pixel, the first one lowest, no gap between the frames (PS3.5 8.1.1, PS3.3 C.8.20.2.1)."""
    parts = []
    while eight := list(islice(planes, _BYTE)):  # which fill whole bytes, however many pixels a frame has
        parts.append(np.packbits(np.stack(eight), bitorder="little").tobytes())
    return b"".join(parts)


def _shares(inside: Bools, frame: int, prediction: Prediction | None) -> Uint8s:
    """The probability of each pixel, 1 to 255, where a segment is.

    What rounds to 0 inside an outline becomes 1, so that the outline remains the one of the report.
    """
    if prediction is None:
        return np.where(inside, FULL, 0).astype(np.uint8)
    probability = np.rint(sigmoid(prediction.mask_logits[frame].max(0)) * FULL)
    return np.where(inside, np.maximum(probability, 1), 0).astype(np.uint8)

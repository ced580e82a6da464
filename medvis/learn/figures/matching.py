"""Which findings hit which lesions of a reference: the one rule that training, calibration and evaluation share.

A finding and a lesion are regions of one frame. They *touch* where they have a pixel in common. A finding *hits* a
lesion if their intersection over union (IoU) reaches a threshold, the pixels of all other lesions left out: one finding
that covers two neighbouring lesions can so hit both. Then, as in free-response analysis (FROC; Bunch et al. 1978):

- a lesion is detected if at least one finding hits it;
- a finding that touches no lesion is a false positive;
- a finding that touches a lesion without hitting it is neither: it counts as no detection and as no false positive.

Where the reference outlines one target a frame (`one_lesion`), all of its pieces together are the lesion; otherwise
(`separate_lesions`) each 8-connected piece is one. Where the reference is a box, the box of the finding is compared.
Pixels of which the readers do not agree can be left out (`ignoring`): a finding that touches them and no lesion is
neither a hit nor a false positive.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Labels
from medvis.learn.figures.metrics import iou

# (x1, y1, x2, y2) in px, both ends inside.
Box = tuple[float, float, float, float]
# Number of the pixels that count neither as a lesion nor as background.
IGNORED = -1
# Number of a lesion → IoU of one finding with it (`IGNORED` → 0); what the finding does not touch is absent.
Overlaps = dict[int, float]


def separate_lesions(reference: Bools) -> Labels:
    """The 8-connected pieces of a mask numbered from 1, int32 [rows, cols]; 0 is background."""
    _, lesions = cv2.connectedComponents(reference.astype(np.uint8), connectivity=8)
    return np.asarray(lesions, np.int32)


def one_lesion(reference: Bools) -> Labels:
    """The whole mask as lesion 1, however many pieces it has, int32 [rows, cols]."""
    return reference.astype(np.int32)


def ignoring(lesions: Labels, ignored: Bools) -> Labels:
    """Lesions with the pixels of `ignored` outside them numbered `IGNORED`, int32 [rows, cols]."""
    return np.asarray(np.where(ignored & (lesions == 0), IGNORED, lesions), np.int32)


def overlaps(finding: Bools, lesions: Labels) -> Overlaps:
    """The IoU of one finding with each lesion that it touches, the pixels of all other lesions left out.

    Args:
        finding: bool [rows, cols].
        lesions: int32 [rows, cols], numbered from 1; −1: `IGNORED`.
    """
    touched = [int(number) for number in np.unique(lesions[finding]) if number]
    background = lesions == 0
    shapes = {number: lesions == number for number in touched}
    return {
        number: 0.0 if number == IGNORED else iou(finding & (lesion | background), lesion)
        for number, lesion in shapes.items()
    }


def match(findings: Labels, lesions: Labels, numbers: Iterable[int] | None = None) -> dict[int, Overlaps]:
    """The `overlaps` of every finding of one frame.

    Args:
        findings: int32 [rows, cols], numbered from 1.
        lesions: int32 [rows, cols], numbered from 1; −1: `IGNORED`.
        numbers: of the findings that count; None: all in the mask.

    Returns:
        Number of the finding → its overlaps, in the order of `numbers`; empty for a false positive.
    """
    chosen = findings_of(findings) if numbers is None else numbers
    return {number: overlaps(findings == number, lesions) for number in chosen}


def findings_of(mask: NDArray[np.integer]) -> list[int]:
    """The numbers in a mask of findings, ascending, without the background."""
    return [int(number) for number in np.unique(mask) if number]


def hits(overlapping: Overlaps, least: float) -> list[int]:
    """The lesions that a finding hits: IoU of at least `least`."""
    return [number for number, overlap in overlapping.items() if overlap >= least and number != IGNORED]


def best_overlap(matched: dict[int, Overlaps]) -> float:
    """The largest IoU of any finding with any lesion; 0 where none touches one."""
    return max((overlap for overlapping in matched.values() for overlap in overlapping.values()), default=0.0)


def false_positives(matched: dict[int, Overlaps]) -> list[int]:
    """The findings that touch no lesion, and nothing that is ignored."""
    return [number for number, overlapping in matched.items() if not overlapping]


def touched(regions: Labels, others: Bools) -> list[bool]:
    """Whether each region has a pixel in common with `others`; in one pass, for masks of thousands of pieces.

    Args:
        regions: int32 [rows, cols], numbered from 1 without a gap.
        others: bool [rows, cols].
    """
    numbers = set(np.unique(regions[others]).tolist())
    return [number in numbers for number in range(1, int(regions.max(initial=0)) + 1)]


def box_overlaps(findings: Labels, box: Box) -> dict[int, float]:
    """The IoU of a reference box with the box around each finding that touches it.

    Args:
        findings: int32 [rows, cols], numbered from 1.
        box: of the reference, (x1, y1, x2, y2) in px, both ends inside.
    """
    x1, y1, x2, y2 = (round(value) for value in box)
    touching = findings_of(findings[y1 : y2 + 1, x1 : x2 + 1])
    return {number: box_iou(_box_around(findings == number), box) for number in touching}


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes in px, both ends inside."""
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]) + 1)
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]) + 1)
    shared = width * height
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return shared / (sum(areas) - shared)


def _box_around(region: Bools) -> Box:
    rows, cols = np.nonzero(region)
    return float(cols.min()), float(rows.min()), float(cols.max()), float(rows.max())

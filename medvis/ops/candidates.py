"""Candidates on a probability map: connected regions above a threshold, and evidence pooled over one of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s


@dataclass(frozen=True)
class CandidateRegion:
    """One connected region: its peak probability, its centre (row, col), its longer side, and its pixels.

    `box` is half-open (row0, col0, row1, col1); `shape` is bool over that box.
    """

    peak: float
    center: tuple[float, float]
    extent: int
    box: tuple[int, int, int, int]
    shape: Bools


def candidate_regions(probability: Float32s, threshold: float, most: int) -> list[CandidateRegion]:
    """Connected regions above a threshold, likeliest first, `most` of them at the most.

    Args:
        probability: float32 [rows, cols] in 0…1.
        threshold: what a pixel must exceed.
        most: how many to return.
    """
    above = np.asarray(probability > threshold, np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(above, connectivity=8)
    regions = []
    for label in range(1, count):
        left, top, width, height, _ = (int(value) for value in stats[label])
        window = (slice(top, top + height), slice(left, left + width))
        shape = labels[window] == label
        peak = float(probability[window][shape].max())
        centre = (float(centres[label][1]), float(centres[label][0]))
        regions.append(
            CandidateRegion(peak, centre, max(width, height), (top, left, top + height, left + width), shape)
        )
    regions.sort(key=lambda region: (-region.peak, region.box))
    return regions[:most]


def region_mask(region: CandidateRegion, corner: tuple[int, int], size: int, margin: int) -> Float32s:
    """The candidate's own pixels, grown by `margin`, as float32 [size, size] on a crop's grid (1 inside, 0 outside)."""
    canvas = np.zeros((size, size), np.float32)
    top, left, bottom, right = region.box
    rows = slice(max(top - corner[0], 0), min(bottom - corner[0], size))
    cols = slice(max(left - corner[1], 0), min(right - corner[1], size))
    if rows.start < rows.stop and cols.start < cols.stop:
        own = region.shape[rows.start + corner[0] - top :, cols.start + corner[1] - left :]
        canvas[rows, cols] = own[: rows.stop - rows.start, : cols.stop - cols.start]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(canvas, kernel), np.float32)


def attention_pooling(evidence: Float32s, mask: Float32s, own: Float32s) -> Float32s:
    """Class logits of one candidate: the evidence averaged over its own part of the predicted mask.

    Args:
        evidence: float32 [k, h/8, w/8].
        mask: float32 [h, w], mask probability.
        own: float32 [h, w] in 0…1, where the candidate is.

    Returns:
        float32 [k].
    """
    rows, cols = evidence.shape[1:]
    weight = cv2.resize(mask * own + 1e-3 * own, (cols, rows), interpolation=cv2.INTER_AREA)
    total = float(weight.sum())
    if total <= 0:
        return np.asarray(evidence.mean((1, 2)), np.float32)
    return np.asarray((evidence * (weight / total)).sum((1, 2)), np.float32)

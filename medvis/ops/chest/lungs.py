"""The search region of a chest CT: where lung is, and where lung would be if no mass had taken its place.

Threshold and morphology on Hounsfield units, slice by slice (the classical recipe, e.g. Hu, Hoffman & Reinhardt, IEEE
TMI 20(6), 2001): air inside the body, without gut, table and windpipe. A nodule on the pleura looks like chest wall to
a threshold, so the region is the convex hull of the lungs; a mass that fills a corner of the chest lies outside of even
that, so the chest is also mirrored at its midline: what is lung on one side is searched on the other. It is meant to be
generous, because what it leaves out is not searched.

All of it is cv2: importing the morphology of scikit-image costs more time than the whole region. A test holds the two
to the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s, Uint8s

AIR_HU = -400.0  # between soft tissue and parenchyma
GAS_HU = -940.0  # the core of a small piece of parenchyma is denser than this, windpipe and gut are not
PURE_GAS_HU = -970.0  # the same for a large piece, which may be emphysema
AIR_TOLERANCE_HU = 20.0  # what is no denser than this over the air around the body is that air, however calibrated
CORE_MM = 3.0  # how far from its edge the core of a piece begins: deeper than the partial volume
SHEET_MM = 5.0  # thinner tissue than this is table top, blanket or clothes, not chest wall
REACH_MM = 40.0  # how far from lung the region goes, within the hull: across a mass of 5 cm
MARGIN_MM = 4.0  # so that the pleura itself is inside
LEAST_MM2 = 60.0  # a smaller piece of air is a speck
LUNG_MM2 = 800.0  # a frame with a piece as large as this shows lung beyond doubt
# Air around a head in a closed holder surrounds it, in an open one half of it; some slice of a lung is compact.
MOST_ENCLOSED = 1.5  # area of a lung with all that it surrounds, over its own
WIDEST_HULL = 2.5  # area of its convex hull, over its own
TRUNK_MM2 = 20_000.0  # a trunk is larger, and a body beyond doubt; a crop around a nodule is not
LIMB_MM2 = 2_000.0  # an arm beside the trunk is larger, a fold of the blanket or a bar of the table is not
ASSUMED_MM = 0.7  # pixel size where the image does not tell


@dataclass(frozen=True)
class LungField:
    """The region to search.

    Attributes:
        mask: bool [frames, rows, cols]. If no lung was found: the body, on frames where it surely is one, else every
            valid pixel.
        reason: why no lung was seen on any frame, in one clause; None if it was.
        searched: what the mask holds: ``lungs``; ``body``; ``image``, where no frame shows a body.
    """

    mask: Bools
    reason: str | None = None
    searched: Literal["lungs", "body", "image"] = "lungs"

    @property
    def found(self) -> bool:
        """Whether lung was seen on any frame."""
        return self.searched == "lungs"


def lung_field(hu: Float32s, valid: Bools | None = None, spacing: tuple[float, float] | None = None) -> LungField:
    """The lungs of an axial chest CT, with everything they enclose or border on.

    A lung that is opaque throughout (effusion, collapse) is found only as the mirror image of the other one.

    Args:
        hu: float32 [frames, rows, cols], Hounsfield units, frames in order; never written to.
        valid: bool [frames, rows, cols], False on padding; None if there is none.
        spacing: (row, column) in mm; None: 0.7 mm is assumed. Discs are round in pixels.

    Raises:
        ValueError: the arrays do not have three dimensions, or not the same ones.
    """
    if hu.ndim != 3 or (valid is not None and valid.shape != hu.shape):
        padding = "none" if valid is None else str(list(valid.shape))
        raise ValueError(f"lung field of {list(hu.shape)}, padding {padding}; wanted: [frames, rows, cols] for both")
    step = sqrt(spacing[0] * spacing[1]) if spacing else ASSUMED_MM
    bodies = [body_of(plane, None if valid is None else valid[i], step) for i, plane in enumerate(hu)]
    gas = _gas(hu, valid, bodies)
    pieces = [parenchyma(plane, body, step, gas) for plane, body in zip(hu, bodies, strict=True)]
    certain = [area >= LUNG_MM2 for _, area in pieces]
    if not any(sure and _has_lung(lung, step) for (lung, _), sure in zip(pieces, certain, strict=True)):
        return _without_lung(hu, valid, bodies, step)
    lungs = _connected([lung for lung, _ in pieces], certain)
    mask = np.zeros(hu.shape, dtype=np.bool_)
    for frame, (lung, body) in enumerate(zip(lungs, bodies, strict=True)):
        if lung.any():
            mask[frame] = enclose(lung, body, step)
    return LungField(mask)


def _without_lung(hu: Float32s, valid: Bools | None, bodies: list[Uint8s], step: float) -> LungField:
    """Blankets and the table are no place for a nodule even where no lung tells where to look."""
    mask = np.ones(hu.shape, dtype=np.bool_) if valid is None else valid.copy()
    everything = int(mask.sum())
    for frame, body in enumerate(bodies):
        _, labels, table, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
        areas = table[:, cv2.CC_STAT_AREA] * step * step
        areas[0] = 0
        if areas.max() >= TRUNK_MM2:
            mask[frame] &= (areas >= LIMB_MM2)[labels]
    return LungField(mask, _reason(hu, bodies), "image" if int(mask.sum()) == everything else "body")


def body_of(plane: Float32s, valid: Bools | None, step: float) -> Uint8s:
    """The body with all that is in it, 0/1 of uint8 [rows, cols]: what air from outside cannot reach."""
    tissue = np.asarray(plane >= AIR_HU).view(np.uint8)
    if valid is not None:
        tissue &= valid.view(np.uint8)
    space = 1 - cv2.morphologyEx(tissue, cv2.MORPH_OPEN, disc(SHEET_MM / 2 / step))
    framed = cv2.copyMakeBorder(space, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, labels = cv2.connectedComponents(framed, connectivity=4)
    return np.asarray(labels[1:-1, 1:-1] != labels[0, 0]).view(np.uint8)


def parenchyma(plane: Float32s, body: Uint8s, step: float, gas: float = PURE_GAS_HU) -> tuple[Uint8s, float]:
    """Air in the body that is neither gas nor a speck, 0/1 of uint8 [rows, cols], and its largest piece in mm².

    A piece of LUNG_MM2 is gas where its core is below `gas` HU.
    """
    air = (plane < AIR_HU).view(np.uint8) & body
    depth = _distance(air)
    _, labels, table, _ = cv2.connectedComponentsWithStats(air, connectivity=4)
    lungs, largest = np.zeros_like(air), 0.0
    for number, (col, row, width, height, count) in enumerate(table):
        area = float(count) * step * step
        if number == 0 or area < LEAST_MM2:
            continue
        window = np.s_[row : row + height, col : col + width]
        piece = labels[window] == number
        deep = np.where(piece, depth[window], 0.0)
        core = plane[window][deep >= min(CORE_MM / step, 0.6 * float(deep.max()))]
        if float(np.median(core)) >= (GAS_HU if area < LUNG_MM2 else gas):
            lungs[window] |= piece.view(np.uint8)
            largest = max(largest, area)
    return lungs, largest


def _gas(hu: Float32s, valid: Bools | None, bodies: list[Uint8s]) -> float:
    """HU under which a large piece is gas: as the air around the body is, where that reads too high."""
    sparse = np.s_[::4, ::4]  # a median needs no more
    outside = [
        plane[sparse][(plane[sparse] < AIR_HU) & (body[sparse] == 0) & (True if valid is None else valid[i][sparse])]
        for i, (plane, body) in enumerate(zip(hu, bodies, strict=True))
    ]
    medians = [float(np.median(air)) for air in outside if air.size]
    return max(PURE_GAS_HU, float(np.median(medians)) + AIR_TOLERANCE_HU) if medians else PURE_GAS_HU


def _has_lung(air: Uint8s, step: float) -> bool:
    """Whether a piece of air in the body has the shape of a lung, and not of what is around a head in its holder."""
    _, labels, table, _ = cv2.connectedComponentsWithStats(air, connectivity=4)
    for number, (col, row, width, height, count) in enumerate(table):
        if number and count * step * step >= LUNG_MM2:
            piece = (labels[row : row + height, col : col + width] == number).astype(np.uint8)
            if int(filled(piece).sum()) <= MOST_ENCLOSED * count and int(hull(piece).sum()) <= WIDEST_HULL * count:
                return True
    return False


def enclose(lung: Uint8s, body: Uint8s, step: float) -> Bools:
    """What the lungs of one frame enclose or border on: bool [rows, cols], inside the body.

    The convex hull of the lungs and their mirror image bridges every notch, that of a pleural nodule as well as that of
    a mass in the corner between ribs and spine; the limit on the distance to real lung keeps heart and liver out of it.
    """
    far = _distance(1 - filled(lung)) > REACH_MM / step
    region = hull(lung | mirrored(lung, _midline(lung, body)))
    region[far] = 0
    return np.asarray(cv2.bitwise_and(cv2.dilate(region, disc(MARGIN_MM / step)), body), dtype=np.bool_)


def disc(radius: float) -> Uint8s:
    """All pixels within `radius` px of the centre, uint8: the footprint of `skimage.morphology.disk`."""
    reach = int(radius)
    row, col = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(row * row + col * col <= radius * radius).astype(np.uint8)


def filled(mask: Uint8s) -> Uint8s:
    """The mask with its holes, however large."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED), dtype=np.uint8)


def hull(mask: Uint8s) -> Uint8s:
    """The convex hull of all pixels of the mask."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = cv2.convexHull(np.concatenate(outlines))
    return np.asarray(cv2.fillConvexPoly(np.zeros_like(mask), corners, 1), dtype=np.uint8)


def mirrored(mask: Uint8s, twice: int) -> Uint8s:
    """The mask reversed about column `twice` / 2; what falls outside is lost."""
    out = np.zeros_like(mask)
    low, high = max(twice - mask.shape[1] + 1, 0), min(twice + 1, mask.shape[1])
    out[:, low:high] = mask[:, twice - high + 1 : twice - low + 1][:, ::-1]
    return out


def _distance(mask: Uint8s) -> Float32s:
    """Distance in px, within 2 %, of each pixel of the mask to the nearest one outside of it."""
    if mask.all():  # there is nothing to measure to
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5), dtype=np.float32)


def _midline(lung: Uint8s, body: Uint8s) -> int:
    """Twice the column of the midline.

    It is the middle between the outer walls of the two lungs; where that is more than a tenth of the body's width off
    the middle of the body, one lung must be missing, and the middle of the body is taken.
    """
    lungs, trunk = (np.flatnonzero(mask.any(axis=0)) for mask in (lung, body))
    twice, trunk_twice = int(lungs[0] + lungs[-1]), int(trunk[0] + trunk[-1])
    return twice if abs(twice - trunk_twice) <= 0.2 * len(trunk) else trunk_twice


def _connected(lungs: list[Uint8s], certain: list[bool]) -> list[Uint8s]:
    """Where no piece is large, only what overlaps a neighbour's lung stays: apex and base, but not the neck."""
    out = [lung if sure else np.zeros_like(lung) for lung, sure in zip(lungs, certain, strict=True)]
    for order in (range(1, len(lungs)), range(len(lungs) - 2, -1, -1)):
        towards = -order.step
        for frame in order:
            if not certain[frame] and out[frame + towards].any():
                out[frame] |= _touching(lungs[frame], out[frame + towards])
    return out


def _touching(mask: Uint8s, other: Uint8s) -> Uint8s:
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    kept = np.unique(labels[other.view(np.bool_)])
    return np.isin(labels, kept[kept > 0]).view(np.uint8)


def _reason(hu: Float32s, bodies: Iterable[Uint8s]) -> str:
    if not bool((hu < AIR_HU).any()):
        return f"nothing in the image is below {AIR_HU:.0f} HU"
    if not any(body.any() for body in bodies):
        return f"nothing in the image is a body of more than {AIR_HU:.0f} HU"
    return f"no air inside the body is a lung of {LUNG_MM2 / 100:.0f} cm² or more on any frame"

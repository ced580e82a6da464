"""Where the edge of a finding runs: at half the contrast between its inside and its surroundings.

An edge that is blurred by the scanner and by the size of the pixels is still where the density is half-way between the
two sides (half-maximum; Ko et al., Radiology 228, 2003, on CT volumes of small nodules). Readers draw their contours
outside of that, so that a network that learned from them takes air into its outlines. Both sides are estimated at each
place of the edge, since a wall lies on one side of a nodule and lung on the other, and a nodule may have a dense core.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Float64s

MARGIN_MM = 8.0  # of the pixels around an outline that are looked at
RIM_MM = (1.2, 4.0)  # how far outside an outline its surroundings are looked at
CORE_MM = 0.3  # how far inside an outline, beyond one pixel, its inside is looked at
REACH_MM = 1.5  # sd of the Gaussian by which the inside is averaged for each place of the edge
LEAST_CONTRAST = 50.0  # HU; findings of less contrast have no edge to look for
ROUNDS = 2  # a wide outline has air in its core, the one that is made of it has none
FEW = 4  # pixels that make a core
TOUCHING_MM = 1.5  # tissue that goes on beyond this is a wall or a vessel
VESSEL_MM = 3.0  # half the width of what is cut off as a vessel or spicule, at most
VESSEL_FRACTION = 0.25  # the same as a share of the finding's diameter
PART = 0.25  # of the largest part on a slice; smaller ones are crumbs


def fraction_inside(
    hu: NDArray[np.floating], inside: Bools, spacing: tuple[float, float], heights: Float64s
) -> Float32s:
    """How much of each pixel belongs to the finding by its density: 0 surroundings, 1 inside, ½ at the edge.

    Args:
        hu: [frames, rows, cols], Hounsfield units, around the finding; a margin of `MARGIN_MM` and a slice each way.
        inside: bool of the same shape, the finding, at least one pixel.
        spacing: (row, column) in mm.
        heights: float64 [frames], of the slices along their normal in mm.

    Returns:
        float32 of the same shape, 0…1; the outline itself (0 and 1) where one of the two sides is not known.
    """
    fraction = _fraction(hu, inside, float(np.sqrt(spacing[0] * spacing[1])), heights)
    return inside.astype(np.float32) if fraction is None else fraction


def _fraction(hu: NDArray[np.floating], inside: Bools, step: float, heights: Float64s) -> Float32s | None:
    """`fraction_inside`; None where there is no edge to look for."""
    core = _core(inside, step)
    rim = np.stack([_between(plane, step, RIM_MM) for plane in _with_neighbours(inside)]) & ~inside
    if not rim.any():
        return None
    dense, thin = float(np.median(hu[core])), float(np.percentile(hu[rim], 20))
    around = rim & (hu < (dense + thin) / 2)
    if dense - thin < LEAST_CONTRAST or not around.any():
        return None
    height = max(REACH_MM, float(np.abs(np.diff(heights)).min(initial=np.inf)) if len(heights) > 1 else REACH_MM)
    within = _local_mean(hu, core, (REACH_MM / step, height), heights)
    beyond = _local_mean(hu, around, (2 * REACH_MM / step, 2 * height), heights)
    with np.errstate(invalid="ignore"):
        fraction = (hu - beyond) / np.maximum(within - beyond, LEAST_CONTRAST)
    return np.clip(np.where(np.isfinite(fraction), fraction, inside), 0, 1).astype(np.float32)


def refined_outline(
    hu: NDArray[np.floating], inside: Bools, others: Bools, spacing: tuple[float, float], heights: Float64s
) -> Bools:
    """An outline moved to half contrast.

    What is outside the edge is left out, and so are vessels and spicules; a slice above or below is taken in where the
    finding goes on. Walls, and what belongs to other findings, are not grown into.

    Args:
        hu: as of `fraction_inside`.
        inside: likewise, the outline.
        others: bool of the same shape, the other findings.
        spacing: as of `fraction_inside`.
        heights: likewise.

    Returns:
        bool of the same shape; the outline as it was if nothing would be left of it.
    """
    step = float(np.sqrt(spacing[0] * spacing[1]))
    kept = inside
    for _ in range(ROUNDS):
        fraction = _fraction(hu, kept, step, heights)
        if fraction is None:
            return inside
        dense = fraction >= 0.5
        kept = np.stack([_cleaned(plane, step) for plane in dense & inside])
        if not kept.any():
            return inside
    for index, near in _beside(inside):
        kept[index] |= _gone_on(dense[index], near & ~others[index], step)
    return kept


def _core(inside: Bools, step: float) -> Bools:
    """The pixels away from the edge in the plane, without the first and last of at least three slices."""
    depth = np.stack([_depth(plane) for plane in inside]) * step
    core = depth > 1.2 * step + CORE_MM
    frames = np.flatnonzero(inside.any((1, 2)))
    middle = core.copy()
    if len(frames) >= 3:
        middle[[frames[0], frames[-1]]] = False
    deepest = depth >= depth.max() - 1e-3
    return next((choice for choice in (middle, core, deepest) if choice.sum() >= FEW), inside)


def _depth(plane: Bools) -> Float32s:
    padded = np.pad(plane, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1], np.float32)


def _between(plane: Bools, step: float, limits: tuple[float, float]) -> Bools:
    """The pixels whose distance to the plane's is between two limits in mm; none of an empty plane."""
    if not plane.any():
        return np.zeros(plane.shape, np.bool_)
    far = cv2.distanceTransform((~plane).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * step
    return np.asarray((far > limits[0]) & (far <= limits[1]))


def _with_neighbours(inside: Bools) -> Bools:
    out = inside.copy()
    out[1:] |= inside[:-1]
    out[:-1] |= inside[1:]
    return out


def _local_mean(hu: NDArray[np.floating], where: Bools, reach: tuple[float, float], heights: Float64s) -> Float32s:
    """The Gaussian mean of the pixels of `where` around each pixel; NaN where there is none in reach.

    `reach`: standard deviations in the plane in px, and along the normal in mm.
    """
    weights = where.astype(np.float32)
    values = np.where(where, hu, 0).astype(np.float32)
    size = 2 * int(3 * reach[0] + 1) + 1
    sums, counts = (
        np.stack([cv2.GaussianBlur(plane, (size, size), reach[0], borderType=cv2.BORDER_CONSTANT) for plane in stack])
        for stack in (values, weights)
    )
    across = np.exp(-((heights[:, None] - heights[None]) ** 2) / (2 * reach[1] ** 2)).astype(np.float32)
    across[across < np.exp(-4.5)] = 0  # three standard deviations
    total, count = (np.tensordot(across, stack, axes=1) for stack in (sums, counts))
    return np.where(count > 1e-4, total / np.maximum(count, 1e-6), np.nan).astype(np.float32)


def _cleaned(plane: Bools, step: float) -> Bools:
    """A section without crumbs, vessels and spicules, and with its holes filled."""
    if not plane.any():
        return plane
    diameter = 2 * float(np.sqrt(plane.sum() / np.pi)) * step
    radius = min(VESSEL_MM, VESSEL_FRACTION * diameter) / step
    body = plane.astype(np.uint8)
    if radius >= 1:
        body = _opened(plane, radius).astype(np.uint8)
    body = body if body.any() else plane.astype(np.uint8)
    contours, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(body), contours, -1, 1, cv2.FILLED)
    _, labels, table, _ = cv2.connectedComponentsWithStats(filled, connectivity=8)
    areas = table[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= PART * areas.max())[labels] & (labels > 0))


def _opened(plane: Bools, radius: float) -> Bools:
    """What discs of a radius in px cover that lie within."""
    eroded = _depth(plane) > radius
    far = cv2.distanceTransform((~eroded).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(plane & (far <= radius) & eroded.any())


def _beside(inside: Bools) -> Iterator[tuple[int, Bools]]:
    """Slices without the finding next to slices with it, and where it is there."""
    has = np.asarray(inside.any((1, 2)))
    for index in np.flatnonzero(~has):
        near = [side for side in (index - 1, index + 1) if 0 <= side < len(inside) and has[side]]
        if near:
            yield int(index), np.logical_or.reduce([inside[side] for side in near])


def _gone_on(dense: Bools, near: Bools, step: float) -> Bools:
    """What of a neighbouring slice's outline is dense here as well, but for what reaches well beyond it."""
    zone = near | _between(near, step, (0.0, TOUCHING_MM))
    _, labels = cv2.connectedComponents((dense & zone).astype(np.uint8), connectivity=8)
    beyond = np.unique(labels[zone & ~near & (labels > 0) & _on_border(zone)])
    return np.asarray((labels > 0) & near & ~np.isin(labels, beyond))


def _on_border(zone: Bools) -> Bools:
    return np.asarray(zone & (cv2.erode(zone.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0))

"""Frames in spatial order: sorted along the slice normal, never by number or name, with their Geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, degrees

import numpy as np

from medvis.core.arrays import Float64s, Indices
from medvis.core.geometry import Geometry
from medvis.dicom.read.image_plane import ImagePlane
from medvis.dicom.read.pixel_size import Spacing
from medvis.ops.slice_geometry import drift_of, heights_of, missing_in, usual_step

SAME_PLACE = 1e-3
"""mm; two frames that are closer than this along the normal show the same slice."""
SAME_DIRECTION = 5e-3
_DRIFT = 1.0
_NAMED = 6
_NO_POSITION = "the file gives no position and orientation in the patient"
_NOT_OF_EACH = "the file gives no position in the patient for each of its frames"


@dataclass(frozen=True)
class Stack:
    """The order of the frames and where they lie.

    Attributes:
        order: int [frames]; frame i of the scan is frame `order[i]` of the input.
        geometry: in that order.
        notes: on gaps, uneven spacing and the like.
    """

    order: Indices
    geometry: Geometry
    notes: tuple[str, ...]


def stack_of(planes: Sequence[ImagePlane], frame_of_reference: str | None) -> Stack:
    """Orders the frames where they have distinct places along one normal; else keeps their order and says why."""
    spacing = common_spacing(planes)
    notes = [] if spacing.note is None else [spacing.note]
    reasons = {} if spacing.reason is None else {"spacing": spacing.reason}
    count = len(planes)
    order = np.arange(count)
    problem = misfit(planes)
    if problem is not None:
        orientation = _orientation(planes[0]) if problem == _NOT_OF_EACH else None
        reasons |= {"positions": problem} | ({"orientation": problem} if orientation is None else {})
        reasons["slice_spacing"] = problem if count > 1 else "a single frame"
        return Stack(order, Geometry(spacing.mm, orientation=orientation, reasons=reasons), tuple(notes))
    orientation = _orientation(planes[0])
    positions = np.stack([_position(plane) for plane in planes])
    heights = heights_of(positions, orientation)
    slice_spacing = None
    if count == 1:
        reasons["slice_spacing"] = "a single frame"
    elif np.diff(np.sort(heights)).min() < SAME_PLACE:
        reasons["slice_spacing"] = "several frames share one position, so that they are no stack of slices"
    else:
        order = np.argsort(heights, kind="stable")
        slice_spacing, notes_on_step = _step(heights[order])
        if slice_spacing is None:
            reasons["slice_spacing"] = notes_on_step[0]
        notes += [*notes_on_step, *_shear(positions[order], orientation)]
    geometry = Geometry(spacing.mm, slice_spacing, positions[order], orientation, frame_of_reference, reasons)
    return Stack(order, geometry, tuple(notes))


def misfit(planes: Sequence[ImagePlane]) -> str | None:
    """Why the frames cannot be placed in one coordinate system, or None if they can."""
    without = [plane.position is None or plane.orientation is None for plane in planes]
    if any(without):
        turned = [plane.orientation for plane in planes if plane.orientation is not None]
        if not any(plane.position is not None for plane in planes) and len(turned) == len(planes) > 1:
            return _different(planes) or _NOT_OF_EACH
        return (
            planes[0].why_not or _NO_POSITION
            if all(without)
            else "only some of the frames have a position and orientation"
        )
    return _different(planes)


def _different(planes: Sequence[ImagePlane]) -> str | None:
    first = _orientation(planes[0])
    if any(np.abs(_orientation(plane) - first).max() > SAME_DIRECTION for plane in planes):
        return "the frames have different orientations"
    return None


def common_spacing(planes: Sequence[ImagePlane]) -> Spacing:
    """The spacing of all frames, or None if they differ."""
    first = planes[0].spacing
    for plane in planes:
        if plane.spacing.mm is None or first.mm is None:
            if plane.spacing.mm != first.mm:
                return Spacing(None, "only some frames have a pixel spacing")
        elif not np.allclose(plane.spacing.mm, first.mm, rtol=1e-3):
            return Spacing(None, "the frames have different pixel spacings")
    return first


def listed(heights: Sequence[float] | Float64s) -> str:
    """Some heights in words, e.g. ``3, 4.5 mm``; long lists are shortened."""
    shown = ", ".join(f"{height:.6g}" for height in heights[:_NAMED])
    return f"{shown}{', …' if len(heights) > _NAMED else ''} mm"


def _step(heights: Float64s) -> tuple[float | None, list[str]]:
    """The distance of slices, None where they are uneven; and a note if something is wrong with it."""
    step, missing = usual_step(heights), missing_in(heights)
    if missing is None:
        gaps = np.diff(heights)
        return None, [f"slices are unevenly spaced, {gaps.min():.4g} to {gaps.max():.4g} mm{_in_nifti(heights)}"]
    if missing.size:
        where = f"at {listed(missing)} along the normal, where {step:.4g} mm is usual"
        apart = f"findings are not followed across the gap{_in_nifti(heights)}"
        return step, [f"{missing.size} slice(s) are missing, {where}; {apart}"]
    return step, []


def _in_nifti(heights: Float64s) -> str:
    """What a format with one step for all slices makes of them."""
    off = float(np.abs(heights - np.linspace(heights[0], heights[-1], len(heights))).max())
    return (
        f"; mask.nii.gz has one step for all slices, so that places in it are up to {off:.2g} mm off along the normal"
    )


def _shear(positions: Float64s, orientation: Float64s) -> list[str]:
    """A gantry tilt moves each slice sideways, so that the stack is no box; volumes stay exact (Cavalieri)."""
    drift = drift_of(positions, orientation)
    farthest = float(np.linalg.norm(drift, axis=1).max())
    if farthest <= _DRIFT:
        return []
    heights = heights_of(positions, orientation)
    heights = heights - heights[0]
    slope = heights @ drift / (heights @ heights)
    if np.linalg.norm(drift - np.outer(heights, slope), axis=1).max() > _DRIFT:
        return [f"the origins of the slices do not lie on a line: they move sideways by up to {farthest:.4g} mm"]
    angle = degrees(atan2(float(np.linalg.norm(slope)), 1.0))
    return [
        f"slices are shifted sideways by up to {farthest:.4g} mm (gantry tilt of {angle:.1f}°); their positions are"
        " used as they are, volumes are corrected for it"
    ]


def _position(plane: ImagePlane) -> Float64s:
    if plane.position is None:
        raise ValueError(_NO_POSITION)
    return plane.position


def _orientation(plane: ImagePlane) -> Float64s:
    if plane.orientation is None:
        raise ValueError(_NO_POSITION)
    return plane.orientation

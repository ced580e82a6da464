"""Frames in spatial order: sorted along the slice normal, never by number or name, with their Geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvis.core.scan import Geometry
from medvis.io.dicom.place import Place, Spacing, Vector

SAME_PLACE = 1e-3
"""mm; two frames that are closer than this along the normal show the same slice."""
_SAME_DIRECTION = 5e-3
_GAP = 1.5
_UNEVEN = 0.05
_NO_POSITION = "the file gives no position and orientation in the patient"


@dataclass(frozen=True)
class Stack:
    """The order of the frames and where they lie.

    Attributes:
        order: int [frames]; frame i of the scan is frame `order[i]` of the input.
        geometry: in that order.
        notes: on gaps, uneven spacing and the like.
    """

    order: NDArray[np.intp]
    geometry: Geometry
    notes: tuple[str, ...]


def stack_of(places: Sequence[Place], frame_of_reference: str | None) -> Stack:
    """Orders the frames where they have distinct places along one normal; else keeps their order and says why."""
    spacing = common_spacing(places)
    notes = [] if spacing.note is None else [spacing.note]
    reasons = {} if spacing.reason is None else {"spacing": spacing.reason}
    count = len(places)
    order = np.arange(count)
    problem = misfit(places)
    if problem is not None:
        reasons |= {"positions": problem, "orientation": problem}
        reasons["slice_spacing"] = problem if count > 1 else "a single frame"
        return Stack(order, Geometry(spacing.mm, reasons=reasons), tuple(notes))
    orientation = _orientation(places[0])
    positions = np.stack([_position(place) for place in places])
    distances = positions @ normal_of(orientation)
    slice_spacing = None
    if count == 1:
        reasons["slice_spacing"] = "a single frame"
    elif np.diff(np.sort(distances)).min() < SAME_PLACE:
        reasons["slice_spacing"] = "several frames share one position, so that they are no stack of slices"
    else:
        order = np.argsort(distances, kind="stable")
        slice_spacing = float(np.median(np.diff(distances[order])))
        notes.extend(_evenness(distances[order]))
        notes.extend(_shear(positions[order], orientation))
    geometry = Geometry(spacing.mm, slice_spacing, positions[order], orientation, frame_of_reference, reasons)
    return Stack(order, geometry, tuple(notes))


def misfit(places: Sequence[Place]) -> str | None:
    """Why the frames cannot be placed in one coordinate system, or None if they can."""
    if any(place.position is None or place.orientation is None for place in places):
        return _NO_POSITION
    first = _orientation(places[0])
    if any(np.abs(_orientation(place) - first).max() > _SAME_DIRECTION for place in places):
        return "the frames have different orientations"
    return None


def common_spacing(places: Sequence[Place]) -> Spacing:
    """The spacing of all frames, or None if they differ."""
    first = places[0].spacing
    for place in places:
        if place.spacing.mm is None or first.mm is None:
            if place.spacing.mm != first.mm:
                return Spacing(None, "only some frames have a pixel spacing")
        elif not np.allclose(place.spacing.mm, first.mm, rtol=1e-3):
            return Spacing(None, "the frames have different pixel spacings")
    return first


def normal_of(orientation: Vector) -> Vector:
    """The unit normal of a plane: row direction × column direction."""
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal), np.float64)


def _evenness(distances: Vector) -> list[str]:
    gaps = np.diff(distances)
    median = float(np.median(gaps))
    wide = gaps > _GAP * median
    if wide.any():
        return [
            f"{int(wide.sum())} gap(s) between slices of up to {gaps.max():.4g} mm where {median:.4g} mm is usual:"
            " slices may be missing"
        ]
    if np.abs(gaps - median).max() > _UNEVEN * median:
        return [f"slices are unevenly spaced, {gaps.min():.4g} to {gaps.max():.4g} mm"]
    return []


def _shear(positions: Vector, orientation: Vector) -> list[str]:
    """A gantry tilt moves each slice sideways, so that the stack is no box."""
    moved = positions - positions[0]
    sideways = moved - np.outer(moved @ normal_of(orientation), normal_of(orientation))
    drift = float(np.linalg.norm(sideways, axis=1).max())
    return [f"slices are shifted sideways by up to {drift:.4g} mm (gantry tilt)"] if drift > 1.0 else []


def _position(place: Place) -> Vector:
    if place.position is None:
        raise ValueError(_NO_POSITION)
    return place.position


def _orientation(place: Place) -> Vector:
    if place.orientation is None:
        raise ValueError(_NO_POSITION)
    return place.orientation

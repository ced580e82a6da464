"""Which images of a series could be slices of one stack, in words what tells the stacks apart, and doubled slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from medvis.core.arrays import Float64s
from medvis.dicom.read.header import Header
from medvis.dicom.read.stack import SAME_DIRECTION, SAME_PLACE, common_spacing

# Slices that make it sure that a frame of reference each is no accident.
_LEAST = 3
_OWN_FRAMES = (
    "each image names a Frame of Reference UID of its own, which says nothing; their positions are taken as they are"
)
_NO_FRAME = "some images name no Frame of Reference UID; their positions are taken as those of the others"


@dataclass(frozen=True)
class Stacks:
    """The stacks of a series.

    Attributes:
        members: of each; what has no place in the patient is alone, and so is a multi-frame image.
        notes: what was assumed, and what tells the stacks apart.
    """

    members: list[list[Header]]
    notes: tuple[str, ...]


def stacks_of(images: Sequence[Header]) -> Stacks:
    """Puts images of one size, orientation, spacing and frame of reference together (PS3.3 C.7.4.1)."""
    placed = [header for header in images if _placed(header)]
    frames = {header.frame_of_reference for header in placed if header.frame_of_reference is not None}
    every_own = len(placed) >= _LEAST and len(frames) == len(placed)
    stacks: list[list[Header]] = []
    # Images without a frame of reference come last: they belong to whatever they fit.
    for header in sorted(placed, key=lambda header: header.frame_of_reference is None):
        fitting = next((stack for stack in stacks if not _apart(header, stack[0], every_own)), None)
        if fitting is None:
            stacks.append([header])
        else:
            fitting.append(header)
    unplaced = [[header] for header in images if not _placed(header)]
    notes = [_OWN_FRAMES] if every_own and len(stacks) < len(placed) else []
    if frames and len(frames) < len(placed) and any(header.frame_of_reference is None for header in placed):
        notes.append(_NO_FRAME)
    if len(stacks) > 1:
        first = stacks[0][0]
        why = dict.fromkeys(name for stack in stacks[1:] for name in _apart(stack[0], first, every_own))
        notes.append(f"the series has {len(stacks)} stacks of slices: they differ in {' and '.join(why)}")
    return Stacks([*unplaced, *stacks], tuple(notes))


def without_doubles(ordered: Sequence[Header], heights: Float64s) -> tuple[tuple[Header, ...], str | None]:
    """The images without those that show the same pixels at the same place as the one before, and a note of them.

    Such a slice was exported twice, under another SOP Instance UID; nothing depends on which of the two is kept.

    Args:
        ordered: images of one stack, by their place along the normal.
        heights: float64 [images], ascending, of each in mm.
    """
    again = [int(index) for index in np.flatnonzero(np.diff(heights) < SAME_PLACE)]
    if not again or any(header.frame is not None for header in ordered):
        return tuple(ordered), None
    # Several images at most places are phases, echoes and the like, as a rule: the first pair tells it.
    if 2 * len(again) >= len(ordered) and _shown(ordered[again[0]]) != _shown(ordered[again[0] + 1]):
        return tuple(ordered), None
    dropped = {index + 1 for index in again if _shown(ordered[index]) == _shown(ordered[index + 1])}
    if not dropped:
        return tuple(ordered), None
    note = f"{len(dropped)} image(s) with the pixels and place of another one were left out"
    return tuple(header for index, header in enumerate(ordered) if index not in dropped), note


def _shown(header: Header) -> tuple[str, str]:
    """The stored pixels and what turns them into values."""
    ds = header.file.with_pixels()
    slope = f"{ds.get('RescaleSlope')} {ds.get('RescaleIntercept')} {ds.get('PixelRepresentation')}"
    return sha256(bytes(ds.get("PixelData") or b"")).hexdigest(), slope


def _placed(header: Header) -> bool:
    return header.frames == 1 and header.plane.position is not None and header.plane.orientation is not None


def _apart(header: Header, other: Header, every_own: bool) -> list[str]:
    """What keeps two images from being slices of one stack, in words; empty: nothing does."""
    why = ["size"] if header.shape != other.shape else []
    frames = {header.frame_of_reference, other.frame_of_reference} - {None}
    if len(frames) > 1 and not every_own:
        why.append("Frame of Reference UID")
    mine, theirs = header.plane.orientation, other.plane.orientation
    if mine is None or theirs is None or np.abs(mine - theirs).max() > SAME_DIRECTION:
        why.append("orientation")
    planes = [header.plane, other.plane]
    if common_spacing(planes).mm is None and any(plane.spacing.mm for plane in planes):
        why.append("pixel spacing")
    return why

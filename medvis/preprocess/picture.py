"""What the user says of pictures: the CT window that one was saved in, and the size of its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medvis.core.arrays import Float32s
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Step
from medvis.errors import InputError
from medvis.ops.padding import corner_padding
from medvis.settings import NOTHING_SAID, PictureFacts

STEP = "picture"
UNNAMED = "US"  # PS3.3 C.11.1.1.2: unspecified
NOT_USED = "what is said of pictures (--picture-window, --mm-per-pixel, --unit) was not used: the file says it itself"


def is_picture(scan: Scan) -> bool:
    """Whether a scan holds grey values or colours without a scale, as pictures do."""
    return scan.modality is None and scan.unit == "grey"


def with_facts(scan: Scan, facts: PictureFacts) -> Scan:
    """A picture in Hounsfield units and with the spacing that the user has given; another scan as it is, with a note.

    The window's transformation is turned round: 0…2^bits - 1 lie evenly on center ± width/2 (PS3.3 C.11.2.1.3.2,
    LINEAR_EXACT). What lay outside the window when the picture was saved is at its ends.

    Args:
        scan: as it was read.
        facts: what the user says; nothing of it changes nothing.

    Raises:
        InputError: a window is given for colours, or for values that no window was applied to.
    """
    if facts == NOTHING_SAID:
        return scan
    step = Step(STEP, {**facts.model_dump(mode="json", exclude_none=True), "given_by": "user"})
    if facts.unit is not None and scan.modality is None and scan.unit == UNNAMED:
        return _in_given_unit(scan, facts.unit, step)
    if not is_picture(scan):
        return replace(scan, notes=(*scan.notes, NOT_USED)) if facts.unit != scan.unit else scan
    if facts.unit is not None:
        raise InputError(
            f"{scan.source.path} is a picture, and --unit {facts.unit} is given",
            "--picture-window CENTER,WIDTH, which says what its grey values stand for",
        )
    changed = scan.derive(step, geometry=_geometry(scan, facts))
    return changed if facts.window is None else _in_hounsfield_units(changed, *facts.window)


def _in_given_unit(scan: Scan, unit: str, step: Step) -> Scan:
    """A volume whose file names no unit, in the one that the user has given; the corners that a CT pads are masked."""
    corners = np.stack([corner_padding(frame[..., 0]) for frame in scan.pixels])
    valid = scan.valid
    if corners.any():
        valid = ~corners if valid is None else valid & ~corners
    return scan.derive(step, unit=unit, valid=valid, notes=(*scan.notes, f"the values are {unit}, as given"))


def _geometry(scan: Scan, facts: PictureFacts) -> Geometry:
    spacing = facts.spacing
    if spacing is None:
        return scan.geometry
    reasons = {name: reason for name, reason in scan.geometry.reasons.items() if name != "spacing"}
    return replace(scan.geometry, spacing=spacing, reasons=reasons)


def _in_hounsfield_units(scan: Scan, center: float, width: float) -> Scan:
    low, high = float(scan.pixels.min()), float(scan.pixels.max())
    top = 2**scan.bits - 1
    stored = str(scan.source.details.get("stored_as", "uint"))
    if scan.channels != 1 or low < 0 or high > top or scan.bits > 16 or not stored.startswith("uint"):
        found = f"{scan.channels} channels" if scan.channels != 1 else f"{stored} values from {low:g} to {high:g}"
        raise InputError(
            f"{scan.source.path} has {found}, and --picture-window is given",
            "a grey picture of unsigned whole numbers, at most 16 bits, that was saved through a CT window",
        )
    grey = top - scan.pixels if scan.inverted else scan.pixels
    pixels: Float32s = np.asarray(center + (grey / np.float32(top) - np.float32(0.5)) * width, np.float32)
    note = f"the picture's grey values were put on the Hounsfield scale of the window given, {center:g}/{width:g}"
    clipped = f"{note}; densities outside {center - width / 2:g} to {center + width / 2:g} HU are at its ends"
    return scan.derive(pixels=pixels, unit="HU", inverted=False, notes=(*scan.notes, clipped))

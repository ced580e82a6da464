"""The slices below and above a CT picture of a data set, on the picture's own Hounsfield scale.

index.csv names them in `before` and `after`, `slice_step_mm` away. They are pictures with a grey scale of their own:
``gain · grey + offset`` (columns `before_gain`, `before_offset`, `after_gain`, `after_offset`) brings them to that of
the picture. Gain 1 and offset 0 together say that the two could not be matched; such a neighbour is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools, Float32s
from medvis.errors import InputError
from medvis.learn.data.index import Row
from medvis.ops.chest.hounsfield import estimate_scale
from medvis.pipeline import load
from medvis.settings import NOTHING_SAID, PictureFacts

SIDES = ("before", "after")
UNMATCHED = (1.0, 0.0)


@dataclass(frozen=True)
class SliceTriple:
    """A picture between its neighbours.

    Attributes:
        values: float32 [rows, cols, 3], HU below, at and above; the picture itself where there is no neighbour.
        known: bool [2], whether the ones below and above are there.
    """

    values: Float32s
    known: Bools


def read_triple(row: Row, distance: float, facts: PictureFacts = NOTHING_SAID) -> SliceTriple:
    """The planes `distance` mm below and above a picture.

    Where the neighbour is farther away than that, the plane between is interpolated; where it is nearer, it stands for
    the plane.

    Args:
        row: of index.csv.
        distance: in mm.
        facts: what the task says of pictures.

    Raises:
        InputError: a file is no grey picture of 8 bits, or a neighbour is of another size or without its grey match.
    """
    grey = _grey(row.image)
    if facts.window is None:
        low, high = estimate_scale(grey.astype(np.uint8))
    else:
        center, width = facts.window
        low, high = center - width / 2, center + width / 2
    at, known = _hounsfield(grey, low, high), np.zeros(2, bool)
    planes = [at, at, at]
    for index, side in enumerate(SIDES):
        beside = _beside(row, side)
        if beside is None:
            continue
        if beside.shape != at.shape:
            raise InputError(f"'{side}' of row '{row.id}' is of another size than its picture", "slices of one series")
        step = row.number("slice_step_mm") or distance
        share = np.float32(min(1.0, distance / step))
        planes[2 * index] = np.asarray(at + (_hounsfield(beside, low, high) - at) * share, np.float32)
        known[index] = True
    return SliceTriple(np.stack(planes, axis=-1), known)


def _beside(row: Row, side: str) -> Float32s | None:
    """The neighbour's grey values on the scale of the picture; None where there is none that could be matched."""
    path = row.file(side)
    if path is None:
        return None
    gain, offset = row.number(f"{side}_gain"), row.number(f"{side}_offset")
    if gain is None or offset is None:
        raise InputError(f"row '{row.id}' has '{side}' without {side}_gain and {side}_offset", "both, or no neighbour")
    if (gain, offset) == UNMATCHED:
        return None
    return np.asarray(_grey(path) * np.float32(gain) + np.float32(offset), np.float32)


def _grey(path: Path) -> Float32s:
    scan = load(path)
    if scan.frames != 1 or scan.channels != 1 or scan.unit != "grey" or scan.bits != 8:
        found = f"{scan.frames} frame(s), {scan.channels} channel(s), {scan.bits} bits, unit {scan.unit}"
        raise InputError(f"{path} has {found}", "one grey picture of 8 bits")
    return np.asarray(scan.pixels[0, ..., 0], np.float32)


def _hounsfield(grey: Float32s, low: float, high: float) -> Float32s:
    """As `ops.chest.hounsfield.to_hounsfield`, on a scale that is known already."""
    return np.asarray(low + grey * ((high - low) / 255.0), np.float32)

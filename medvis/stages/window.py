"""Modality units → the model's view: the config's window, never the file's own display window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from medvis.core.arrays import Float32s
from medvis.core.case import Case
from medvis.core.frames import made
from medvis.core.scan import Scan
from medvis.errors import InputError
from medvis.ops.chest.hounsfield import to_hounsfield
from medvis.ops.window import preset
from medvis.ops.window import window as voi_window
from medvis.stages.base import BaseStage, StageSettings

# Sides below this hold no anatomy to look at, and the network's coarsest map would be empty.
MIN_SIDE = 32
ESTIMATED = "The picture's grey values were put on an estimated Hounsfield scale; densities are approximate."


COLOURS = "The picture's colours were turned to grey; the model was trained on grey pictures."
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as every decoder of JPEG does


class WindowSettings(StageSettings):
    """The window that the model sees: a named preset, or center and width; without either, a range.

    Attributes:
        preset: name of a CT window, e.g. lung.
        center, width, function: as PS3.3 C.11.2.1.2 has them.
        range: ``valid``: from the least to the greatest pixel that is no padding. ``stored``: a picture of at most 8
            bits as it is, 0…255; deeper ones as with ``valid``. In both, MONOCHROME1 is turned so that high is bright.
        grey: turn colours to grey (luma), for a task whose pictures are grey but may be stored as RGB.
    """

    preset: str | None = None
    center: float | None = None
    width: float | None = Field(default=None, gt=0)
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR_EXACT"
    range: Literal["valid", "stored"] = "valid"
    grey: bool = False


class Window(BaseStage):
    """Fills `view`: float32 in 0…1."""

    name: ClassVar[str] = "window"
    Settings: ClassVar[type[StageSettings]] = WindowSettings
    gives: ClassVar[tuple[str, ...]] = ("view",)

    def __call__(self, case: Case) -> Case:
        """Raises InputError for an image that is too small or holds one value only."""
        scan, notes = case.scan, case.notes
        estimate = _needs_estimate(scan, self.context.task.accepts.units)
        _usable(scan)
        if estimate:
            scan, notes = _on_hounsfield_scale(scan), (*notes, ESTIMATED)
        to_grey = self.settings.grey and scan.channels == 3
        if to_grey and any(np.ptp(frame, axis=2).any() for frame in scan.pixels):
            notes = (*notes, COLOURS)
        windowed = self._windowed(scan)

        def frame(index: int) -> Float32s:
            view = windowed(scan.pixels[index])
            if scan.valid is not None:
                view[~scan.valid[index]] = 0.0
            if to_grey:
                view = (view @ np.array(LUMA, np.float32))[..., None]
            return np.asarray(view, np.float32)

        case = Case(scan=scan, task=case.task, notes=notes)
        return case.derive(self.step(), view=made(frame, (*scan.pixels.shape[:3], 1 if to_grey else scan.channels)))

    def _windowed(self, scan: Scan) -> Callable[[Float32s], Float32s]:
        """What turns a frame of the scan, all its channels, into an array of its own in 0…1."""
        settings: WindowSettings = self.settings
        center, width = preset(settings.preset) if settings.preset else (settings.center, settings.width)
        if center is not None and width is not None:
            return partial(voi_window, center=center, width=width, function=settings.function)
        low, high = _valid_range(scan)
        if settings.range == "stored" and scan.bits <= 8 and low >= 0 and high < 2**scan.bits:
            low, high = 0.0, float(2**scan.bits - 1)
        # A calibrated scale such as HU has no polarity; a grey one is what a screen shows (PS3.3 C.7.6.3.1.2).
        inverted = scan.inverted and scan.unit != "HU"
        return partial(_stretched, low=low, high=high, inverted=inverted)


def _stretched(pixels: Float32s, low: float, high: float, inverted: bool) -> Float32s:
    view = ((pixels - low) / (high - low)).astype(np.float32)
    return 1 - view if inverted else view


def _needs_estimate(scan: Scan, wanted: list[str]) -> bool:
    """Whether this is an 8-bit picture for a task in HU; raises InputError if the unit is another wrong one."""
    if not wanted or scan.unit in wanted:
        return False
    if scan.unit == "grey" and "HU" in wanted and scan.bits == 8:
        return True
    raise InputError(
        f"{scan.source.path} is in unit '{scan.unit}'", f"{' or '.join(wanted)} for this task", "see 'medvis info PATH'"
    )


def _on_hounsfield_scale(scan: Scan) -> Scan:
    frames: Float32s = np.stack([to_hounsfield(frame.astype(np.uint8)) for frame in scan.pixels])
    return scan.derive(pixels=frames, unit="HU")


def _usable(scan: Scan) -> None:
    rows, cols = scan.shape
    if min(rows, cols) < MIN_SIDE:
        raise InputError(
            f"{scan.source.path} is {cols}×{rows} pixels", f"at least {MIN_SIDE}×{MIN_SIDE}", "give the original image"
        )
    low, high = _valid_range(scan)
    if not high > low:
        raise InputError(
            f"{scan.source.path} holds one value only ({low:g} {scan.unit})",
            "an image with contrast",
            "check the export",
        )


def _valid_range(scan: Scan) -> tuple[float, float]:
    if scan.valid is None:
        return float(scan.pixels.min()), float(scan.pixels.max())
    if not scan.valid.any():
        raise InputError(f"{scan.source.path} holds nothing but padding", "an image")
    shown = scan.valid[..., None]  # `where` spares a copy of the volume
    return float(scan.pixels.min(where=shown, initial=np.inf)), float(scan.pixels.max(where=shown, initial=-np.inf))

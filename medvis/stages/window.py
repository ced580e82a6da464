"""Modality units → the model's view: the config's window, never the file's own display window."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from medvis.core.case import Case
from medvis.core.scan import Pixels, Scan
from medvis.errors import InputError
from medvis.ops.hounsfield import to_hounsfield
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
        view = self._view(scan)
        if scan.valid is not None:
            view[~scan.valid] = 0.0
        if self.settings.grey and scan.channels == 3:
            if np.ptp(scan.pixels, axis=3).any():
                notes = (*notes, COLOURS)
            view = (view @ np.array(LUMA, np.float32))[..., None]
        case = Case(scan=scan, task=case.task, notes=notes)
        return case.derive(self.step(), view=np.asarray(view, np.float32))

    def _view(self, scan: Scan) -> Pixels:
        """All channels in 0…1, in an array of its own."""
        settings: WindowSettings = self.settings
        center, width = preset(settings.preset) if settings.preset else (settings.center, settings.width)
        if center is not None and width is not None:
            return voi_window(scan.pixels, center, width, settings.function)
        low, high = _valid_range(scan)
        if settings.range == "stored" and scan.bits <= 8 and low >= 0 and high < 2**scan.bits:
            low, high = 0.0, float(2**scan.bits - 1)
        view = ((scan.pixels - low) / (high - low)).astype(np.float32)
        # A calibrated scale such as HU has no polarity; a grey one is what a screen shows (PS3.3 C.7.6.3.1.2).
        return 1 - view if scan.inverted and scan.unit != "HU" else view


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
    frames: Pixels = np.stack([to_hounsfield(frame.astype(np.uint8)) for frame in scan.pixels])
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
    pixels = scan.pixels if scan.valid is None else scan.pixels[scan.valid]
    if pixels.size == 0:
        raise InputError(f"{scan.source.path} holds nothing but padding", "an image")
    return float(pixels.min()), float(pixels.max())

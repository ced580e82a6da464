"""Modality units → what the model sees: a window or a range, in 0…1. Training and inference call the same functions.

The window is that of the task, and the one that the model has learned (`medvis.model.contract`); it is never the
file's own display window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medvis.core.arrays import Float32s
from medvis.core.frames import lazy_stack
from medvis.core.scan import Scan
from medvis.errors import InputError, SettingsError
from medvis.ops.chest.hounsfield import to_hounsfield
from medvis.ops.window import check_window, preset
from medvis.ops.window import window as voi_window

# Sides below this hold no anatomy to look at, and the network's coarsest map would be empty.
MIN_SIDE = 32
ESTIMATED = (
    "The model was shown the picture on an estimated Hounsfield scale, since the file does not say its CT window."
)
GIVE_WINDOW = "for a picture of a CT slice say the window that it was saved in: --picture-window CENTER,WIDTH"
COLOURS = "The picture's colours were turned to grey; the model was trained on grey pictures."
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as every decoder of JPEG does


class WindowSettings(BaseModel):
    """The window that the model sees: a named preset, or center and width; without either, a range.

    Attributes:
        preset: name of a CT window, e.g. lung.
        center, width, function: as PS3.3 C.11.2.1.2 has them.
        range: ``valid``: from the least to the greatest pixel that is no padding. ``stored``: a picture of at most 8
            bits as it is, 0…255; deeper ones as with ``valid``. In both, MONOCHROME1 is turned so that high is bright.
        grey: turn colours to grey (luma), for a task whose pictures are grey but may be stored as RGB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    preset: str | None = None
    center: float | None = Field(default=None, ge=-1e6, le=1e6)
    width: float | None = Field(default=None, gt=0, le=1e7)
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR_EXACT"
    range: Literal["valid", "stored"] = "valid"
    grey: bool = False

    def center_and_width(self) -> tuple[float, float] | None:
        """Of the window, in modality units; None where a range is shown instead.

        Raises:
            SettingsError: no preset of that name, a width that the function cannot have, or one of both alone.
        """
        try:
            if self.preset:
                return preset(self.preset)
            if self.center is None and self.width is None:
                return None
            if self.center is None or self.width is None:
                raise ValueError("a window has both a center and a width; without either, a range is shown")
            check_window(self.center, self.width, self.function)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return self.center, self.width

    def contract(self) -> dict[str, Any]:
        """These settings as `medvis.model.contract.LearnedWindow` has them."""
        window = self.center_and_width()
        if window is None:
            return {"range": self.range}
        return {"center": window[0], "width": window[1], "function": self.function}


def in_unit_of(scan: Scan, wanted: list[str]) -> tuple[Scan, tuple[str, ...]]:
    """The scan in one of the units that a task wants, and what had to be assumed for that.

    An 8-bit grey picture for a task in Hounsfield units is put on an estimated scale.

    Args:
        scan: as it was read.
        wanted: e.g. ``["HU"]``; empty: any.

    Raises:
        InputError: the scan is in another unit, or a picture without contrast.
    """
    if not wanted or scan.unit in wanted:
        return scan, ()
    if scan.unit == "grey" and "HU" in wanted and scan.bits == 8:
        require_contrast(scan)
        frames: Float32s = np.stack([to_hounsfield(frame.astype(np.uint8)) for frame in scan.pixels])
        return scan.derive(pixels=frames, unit="HU"), (ESTIMATED,)
    hint = GIVE_WINDOW if scan.unit == "grey" and "HU" in wanted else "see 'medvis info PATH'"
    raise InputError(f"{scan.source.path} is in unit '{scan.unit}'", f"{' or '.join(wanted)} for this task", hint)


def windowed(scan: Scan, settings: WindowSettings) -> Float32s:
    """What the model sees of a scan, before any enhancement.

    Args:
        scan: in the unit that the window is in.
        settings: the window or range.

    Returns:
        float32 [frames, rows, cols, channels] in 0…1; padding is 0. A stack that makes its frames when they are read.

    Raises:
        InputError: too small, nothing but padding, or one value only.
    """
    require_contrast(scan)
    to_grey = settings.grey and scan.channels == 3
    shown = _transform(scan, settings)

    def frame(index: int) -> Float32s:
        view = shown(scan.pixels[index])
        if scan.valid is not None:
            view[~scan.valid[index]] = 0.0
        if to_grey:
            view = (view @ np.array(LUMA, np.float32))[..., None]
        return np.asarray(view, np.float32)

    return lazy_stack(frame, (*scan.pixels.shape[:3], 1 if to_grey else scan.channels))


def loses_colours(scan: Scan, settings: WindowSettings) -> bool:
    """Whether the window turns real colours to grey."""
    return settings.grey and scan.channels == 3 and any(np.ptp(frame, axis=2).any() for frame in scan.pixels)


def require_contrast(scan: Scan) -> None:
    """Raises InputError for an image that is too small, nothing but padding, or of one value only."""
    rows, cols = scan.shape
    if min(rows, cols) < MIN_SIDE:
        raise InputError(
            f"{scan.source.path} is {rows}×{cols} pixels", f"at least {MIN_SIDE}×{MIN_SIDE}", "give the original image"
        )
    low, high = _valid_range(scan)
    if not high > low:
        raise InputError(
            f"{scan.source.path} holds one value only ({low:g} {scan.unit})",
            "an image with contrast",
            "check the export",
        )


def _transform(scan: Scan, settings: WindowSettings) -> Callable[[Float32s], Float32s]:
    """What turns a frame of the scan, all its channels, into an array of its own in 0…1."""
    window = settings.center_and_width()
    if window is not None:
        return partial(voi_window, center=window[0], width=window[1], function=settings.function)
    low, high = _valid_range(scan)
    if settings.range == "stored" and scan.bits <= 8 and low >= 0 and high < 2**scan.bits:
        low, high = 0.0, float(2**scan.bits - 1)
    # A calibrated scale such as HU has no polarity; a grey one is what a screen shows (PS3.3 C.7.6.3.1.2).
    inverted = scan.inverted and scan.unit != "HU"
    return partial(_stretched, low=low, high=high, inverted=inverted)


def _stretched(pixels: Float32s, low: float, high: float, inverted: bool) -> Float32s:
    view = ((pixels - low) / (high - low)).astype(np.float32)
    return 1 - view if inverted else view


def _valid_range(scan: Scan) -> tuple[float, float]:
    if scan.valid is None:
        return float(scan.pixels.min()), float(scan.pixels.max())
    if not scan.valid.any():
        raise InputError(f"{scan.source.path} holds nothing but padding", "an image")
    shown = scan.valid[..., None]  # `where` spares a copy of the volume
    return float(scan.pixels.min(where=shown, initial=np.inf)), float(scan.pixels.max(where=shown, initial=-np.inf))

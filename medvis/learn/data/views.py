"""Pictures of a data set as the model sees them: read by the readers, shown by the stages that inference uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Float32s
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.errors import InputError, SettingsError
from medvis.pipeline import Pipeline, load
from medvis.preprocess.picture import with_facts
from medvis.preprocess.upright import Upright
from medvis.preprocess.window import in_unit_of
from medvis.settings import NOTHING_SAID, PictureFacts, TaskConfig

# Grey values of a picture that is shown in a range: what augmentation of pictures counts in.
PICTURE_RANGE = (0.0, 255.0)


@dataclass(frozen=True)
class InputRange:
    """The modality units that the network's input 0…1 stands for: what cuts and augmentation are given in."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """Units from 0 to 1."""
        return self.high - self.low

    def fraction(self, value: float) -> float:
        """A value in modality units on the scale of the network's input; it may lie outside 0…1."""
        return (value - self.low) / self.span

    def units(self, view: Float32s) -> Float32s:
        """A view in 0…1 in modality units, any shape; what lay outside the range is at its ends."""
        return np.asarray(self.low + view * self.span, np.float32)

    def view(self, values: Float32s) -> Float32s:
        """Modality units → 0…1, any shape."""
        return np.asarray(np.clip((values - self.low) / self.span, 0, 1), np.float32)


class ViewReader:
    """Shows pictures as inference does: everything before `infer`, whatever the model of the task has learned so far.

    `range` is what 0…1 stands for; `depth_mm` the distance of the slices below and above that are shown as well;
    `shown` all of what decides how a picture is shown.

    Args:
        config: of the task.

    Raises:
        SettingsError: the task has no stages that show anything.
    """

    def __init__(self, config: TaskConfig) -> None:
        self.config = config
        self._pipeline = Pipeline(config.model_copy(update={"input_contract": "ignore"}))
        names = [stage.name for stage in self._pipeline.stages]
        if "infer" not in names:
            raise SettingsError(f"task '{config.task}' has no stage 'infer'", "window, enhance, infer, …")
        self._last = names[names.index("infer") - 1]
        shown = self._pipeline.shown()
        self.range = InputRange(*_range_of(shown))
        self.depth_mm: float | None = shown["views"].get("depth_mm")
        picture = config.picture.model_dump(mode="json", exclude_none=True)
        self.shown = {**shown, "views": {"depth_mm": self.depth_mm}, "picture": picture}

    def picture(self, path: Path) -> Float32s:
        """The view of a picture: float32 [rows, cols, channels] in 0…1.

        Raises:
            InputError: unreadable, damaged, several frames, or not for this task.
        """
        return self.view(load(path))

    def view(self, scan: Scan) -> Float32s:
        """The view of a scan of one frame; as `picture`."""
        if scan.frames != 1:
            raise InputError(f"{scan.source.path} has {scan.frames} frames", "pictures of one frame to train on")
        case, _ = self._pipeline.run(self._pipeline.accept(scan), last=self._last)
        assert case.view is not None  # the last stage before `infer` has given it
        return np.ascontiguousarray(Upright.of(case.scan.geometry).images(np.asarray(case.view[0])), np.float32)

    def ct(self, hu: Float32s, source: str, spacing: float | None = None) -> Float32s:
        """The view of one CT picture of known Hounsfield units: float32, shape as `hu`, in 0…1.

        Args:
            hu: float32 [rows, cols], or [rows, cols, n]: n slices, each shown as one of its own.
            source: its file, for error messages.
            spacing: of its pixels in mm, where that is known.

        Raises:
            InputError: it is too small or has no contrast.
        """
        if hu.ndim == 3:
            slices = [self.ct(hu[..., index], source, spacing) for index in range(hu.shape[2])]
            return np.stack(slices, axis=-1)
        return self.view(ct_scan(hu, source, spacing))[..., 0]


def ct_scan(hu: Float32s, source: str, spacing: float | None = None) -> Scan:
    """A CT picture of known Hounsfield units as a scan of one frame; the arguments as of `ViewReader.ct`."""
    geometry = Geometry(spacing=None if spacing is None else (spacing, spacing))
    pixels = np.array(hu[None, :, :, None], np.float32)
    return Scan(pixels, geometry, Source(path=source, format="png", sha256=""), unit="HU", modality="CT")


def read_hounsfield(path: Path, facts: PictureFacts = NOTHING_SAID) -> Float32s:
    """A chest CT picture in Hounsfield units, float32 [rows, cols]: by the window given, else of 8 bits by estimate.

    Raises:
        InputError: unreadable, of several frames or colours, in another unit, or without contrast.
    """
    scan, _ = in_unit_of(with_facts(load(path), facts), ["HU"])
    if scan.frames != 1 or scan.channels != 1:
        raise InputError(f"{path} has {scan.frames} frame(s) and {scan.channels} channel(s)", "one grey picture")
    return np.asarray(scan.pixels[0, ..., 0], np.float32)


def _range_of(shown: dict[str, Any]) -> tuple[float, float]:
    window = shown.get("window", {})
    if "center" not in window:
        return PICTURE_RANGE
    return window["center"] - window["width"] / 2, window["center"] + window["width"] / 2

"""Contrast enhancement of the model's view."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from medvis.core.arrays import Bools, Float32s
from medvis.core.case import Case, require
from medvis.core.frames import made
from medvis.ops.clahe import clahe, denoise
from medvis.preprocess.upright import Upright
from medvis.stages.base import BaseStage, StageSettings


class EnhanceSettings(StageSettings):
    """`clip` and `tiles` are CLAHE's; `strength` is the denoiser's."""

    method: Literal["clahe", "denoise", "none"] = "clahe"
    clip: float = Field(default=2.0, gt=0)
    tiles: tuple[int, int] = (8, 8)
    strength: float = Field(default=0.05, gt=0, description="Noise sd to remove, as a share of the view's range")


class Enhance(BaseStage):
    """Changes `view` in place of the old one; padding is left out of it."""

    name: ClassVar[str] = "enhance"
    Settings: ClassVar[type[StageSettings]] = EnhanceSettings
    needs: ClassVar[tuple[str, ...]] = ("view",)
    gives: ClassVar[tuple[str, ...]] = ("view",)

    def __call__(self, case: Case) -> Case:
        """The case with the enhanced view."""
        view = require(case.view, self.name, "view", "window")
        if self.settings.method == "none":
            return case.derive(self.step())
        turn = Upright.of(case.scan.geometry)
        return case.derive(self.step(), view=made(partial(self._frame, case.scan.valid, view, turn), view.shape))

    def _frame(self, padding: Bools | None, view: Float32s, turn: Upright, index: int) -> Float32s:
        valid = None if padding is None else turn.planes(padding[index])
        return turn.images(self._enhanced(turn.images(view[index]), valid))

    def _enhanced(self, frame: Float32s, valid: Bools | None) -> Float32s:
        settings: EnhanceSettings = self.settings
        if settings.method == "clahe":
            return np.asarray(clahe(frame, settings.clip, settings.tiles, valid), np.float32)
        return np.asarray(denoise(frame, settings.strength, valid), np.float32)

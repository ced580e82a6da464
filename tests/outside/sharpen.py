"""An outside stage: an unsharp mask over the model's view."""

import cv2
import numpy as np

from medvis.core.case import require
from medvis.stages.base import BaseStage, StageSettings


class SharpenSettings(StageSettings):
    amount: float = 0.5
    sigma: float = 1.0


class Sharpen(BaseStage):
    name = "sharpen"
    Settings = SharpenSettings
    needs = ("view",)
    gives = ("view",)

    def __call__(self, case):
        view = require(case.view, self.name, "view", "window")
        frames = [self._frame(frame) for frame in view]
        return case.derive(self.step(), view=np.stack(frames))

    def _frame(self, frame):
        smooth = cv2.GaussianBlur(frame, (0, 0), self.settings.sigma).reshape(frame.shape)
        return np.clip(frame + self.settings.amount * (frame - smooth), 0, 1)

"""What the model's decision rests on: the class activation, cleaned for display."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from medvis.core.case import Case, require
from medvis.stages.base import BaseStage, StageSettings


class ExplainSettings(StageSettings):
    """What of the activation is shown.

    Attributes:
        floor: activation below which nothing is shown.
        odds: how much more a target cell weighed than another one when the evidence was trained; undone here.
    """

    floor: float = Field(default=0.1, ge=0, lt=1)
    odds: float = Field(default=1.0, ge=1)


class Explain(BaseStage):
    """Fills `evidence`: the first label's class activation, float32 in 0…1, 0 where nothing was looked at."""

    name: ClassVar[str] = "explain"
    Settings: ClassVar[type[StageSettings]] = ExplainSettings
    needs: ClassVar[tuple[str, ...]] = ("prediction",)
    gives: ClassVar[tuple[str, ...]] = ("evidence",)

    def __call__(self, case: Case) -> Case:
        """The case with its evidence map."""
        prediction = require(case.prediction, self.name, "prediction", "infer")
        share = prediction.evidence
        share = share / (share + self.settings.odds * (1 - share))
        seen = np.where(share >= self.settings.floor, share, 0)
        return case.derive(self.step(), evidence=seen.astype(np.float32))

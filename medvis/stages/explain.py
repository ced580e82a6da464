"""What the model's decision rests on: the class activation, cleaned for display."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from medvis.core.case import Case, Floats, require
from medvis.core.frames import held
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.labels import leading, ranked


class ExplainSettings(StageSettings):
    """What of the activation is shown.

    Attributes:
        floor: activation below which nothing is shown.
        odds: how much more a target cell weighed than another one when the evidence was trained; undone here.
    """

    floor: float = Field(default=0.1, ge=0, lt=1)
    odds: float = Field(default=1.0, ge=1)


class Explain(BaseStage):
    """Fills `evidence`: the class activation, float32 in 0…1, 0 where nothing was looked at.

    It is that of the first label or, where the whole image has classes, of the likeliest one that is not normal:
    `evidence_of` names it.
    """

    name: ClassVar[str] = "explain"
    Settings: ClassVar[type[StageSettings]] = ExplainSettings
    needs: ClassVar[tuple[str, ...]] = ("prediction",)
    gives: ClassVar[tuple[str, ...]] = ("evidence",)

    def __call__(self, case: Case) -> Case:
        """The case with its evidence map."""
        prediction = require(case.prediction, self.name, "prediction", "infer")
        seen = held(self._shown(share) for share in prediction.evidence)
        name = self._named(case)
        facts = {} if name is None else {"evidence_of": name}
        return case.derive(self.step(**facts), evidence=seen, evidence_of=name)

    def _shown(self, share: Floats) -> Floats:
        share = share / (share + self.settings.odds * (1 - share))
        return np.where(share >= self.settings.floor, share, 0).astype(np.float32)

    def _named(self, case: Case) -> str | None:
        """The class that the evidence speaks for, in the words of the report."""
        if case.classes is None or case.prediction is None or case.prediction.logits is None:
            return None
        shares = ranked(case.prediction.logits, self.context.card)
        return case.classes[shares.index(leading(shares))].name

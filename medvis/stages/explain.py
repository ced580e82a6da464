"""What the model's decision rests on: the class activation, cleaned for display."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from medvis.core.arrays import Float32s
from medvis.core.case import Case, Prediction, require
from medvis.core.frames import packed_stack
from medvis.stages.base import BaseStage, StageSettings


class ExplainSettings(StageSettings):
    """What of the activation is shown.

    Attributes:
        floor: activation below which nothing is shown.
        odds: how much more a target cell weighed than another one when the evidence was trained; undone here.
    """

    floor: float = Field(default=0.1, ge=0, lt=1)
    odds: float = Field(default=1.0, ge=1, le=1000)


class Explain(BaseStage):
    """Fills `evidence`: the class activation, float32 in 0…1, 0 where nothing was searched.

    It is that of the first label or, where the whole image has classes, of the likeliest one that is not normal:
    `evidence_of` names it. What a pixel adds to a class is shown as strongly as the class is likely, the odds counted
    from the card's threshold: what is just positive has 0.5.
    """

    name: ClassVar[str] = "explain"
    Settings: ClassVar[type[StageSettings]] = ExplainSettings
    needs: ClassVar[tuple[str, ...]] = ("prediction",)
    gives: ClassVar[tuple[str, ...]] = ("evidence",)

    def __call__(self, case: Case) -> Case:
        """The case with its evidence map."""
        prediction = require(case.prediction, self.name, "prediction", "infer")
        name, strength = self._class(case, prediction)
        shown = packed_stack(self._shown(plane * strength) for plane in prediction.evidence)
        facts = {} if name is None else {"evidence_of": name}
        return case.derive(self.step(**facts), evidence=shown, evidence_of=name)

    def _shown(self, evidence: Float32s) -> Float32s:
        evidence = shifted(evidence, self.settings.odds)
        return np.where(evidence >= self.settings.floor, evidence, 0).astype(np.float32)

    def _class(self, case: Case, prediction: Prediction) -> tuple[str | None, float]:
        """The class that the evidence speaks for, in the words of the report, and how strongly that is shown."""
        distribution, card = prediction.distribution, self.context.card
        if distribution is None:
            return None, 1.0
        leading = distribution.leading
        name = None if case.classes is None else case.classes[distribution.ranked.index(leading)].name
        if not card.label_set.pooled:
            return name, 1.0
        threshold = min(max(card.thresholds.get("positive", 0.5), 1e-6), 1 - 1e-6)
        return name, float(shifted(np.float32(leading.probability), threshold / (1 - threshold)))


def shifted(probability: Float32s | np.float32, odds: float) -> Float32s:
    """Probabilities with their odds divided by `odds` > 0: what had these odds becomes 0.5, and 0 and 1 stay."""
    return np.asarray(probability / (probability + odds * (1 - probability)), np.float32)

"""Class logits of a whole image → calibrated probabilities in words, likeliest first."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from medvis.core.case import Case, require
from medvis.core.labels import LabelProbability
from medvis.core.report import Code, Reading
from medvis.errors import SettingsError, StageError
from medvis.stages.base import BaseStage, StageSettings


class ClassifySettings(StageSettings):
    """What the model's labels are called in the report.

    Attributes:
        names: label → words; by default as on the card.
        codes: label → code.
    """

    names: dict[str, str] = Field(default={})
    codes: dict[str, Code] = Field(default={})


class Classify(BaseStage):
    """Fills `classes`."""

    name: ClassVar[str] = "classify"
    Settings: ClassVar[type[StageSettings]] = ClassifySettings
    needs: ClassVar[tuple[str, ...]] = ("prediction",)
    gives: ClassVar[tuple[str, ...]] = ("classes",)

    def __call__(self, case: Case) -> Case:
        """The case with the probabilities of its classes (of its binary labels, where a task has those instead).

        Raises:
            StageError: the task is not of kind `whole`.
            SettingsError: a name or a code is for no label of the model.
        """
        prediction = require(case.prediction, self.name, "prediction", "infer")
        if prediction.distribution is None:
            raise StageError("stage 'classify' has no class logits of the whole image", "a task of kind: whole")
        card, settings = self.context.card, self.settings
        known = [label.name for label in card.labels]
        for label in (*settings.names, *settings.codes):
            if label not in known:
                raise SettingsError(
                    f"stages.classify: '{label}' is no label of the model", f"one of {', '.join(known)}"
                )
        ranked, spread = prediction.distribution.ranked, prediction.logits_spread
        readings = tuple(self._reading(entry) for entry in ranked)
        top = None if spread is None else round(float(spread[ranked[0].index]), 4)
        return case.derive(self.step(spread=top), classes=readings)

    def _reading(self, entry: LabelProbability) -> Reading:
        label = entry.label.name
        return Reading(
            name=self.settings.names.get(label, label),
            probability=round(entry.probability, 4),
            code=self.settings.codes.get(label),
        )

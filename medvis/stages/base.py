"""What every stage is made from: its settings, and the context that it may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from medvis.core.protocols import Stage
from medvis.core.scan import Step
from medvis.errors import ModelError
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.settings import TaskConfig


class StageSettings(BaseModel):
    """Base of a stage's settings: frozen; an unknown key, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass
class Context:
    """What the stages of one task share.

    Attributes:
        task: the task's configuration.
        open_model: loads and checks the bundle; called on first use only, so that `window` needs no model.
        open_card: reads the model's card alone; without it the card is the loaded model's.
        stages: of the pipeline, in their order.
        tick: told (done, total) by a stage that goes frame by frame, to show progress.
    """

    task: TaskConfig
    open_model: Callable[[], Predictor] | None = None
    open_card: Callable[[], Card] | None = None
    stages: tuple[Stage, ...] = ()
    tick: Callable[[int, int], None] | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model. Raises ModelError if the task has none."""
        if self.open_model is None:
            raise ModelError(f"task '{self.task.task}' has no model", hint="name a bundle in its YAML")
        return self.open_model()

    @property
    def card(self) -> Card:
        """The model's card, which is read alone while the model is not loaded. Raises ModelError if there is none."""
        loaded = "predictor" in vars(self)
        return self.predictor.card if loaded or self.open_card is None else self.open_card()


class BaseStage:
    """A stage with its settings and context; subclasses add `__call__`."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, context: Context) -> None:  # noqa: ANN401 - an instance of self.Settings
        self.settings = settings
        self.context = context

    def input_contract(self, settings: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of self.Settings
        """What the stage does to the model's input, by fields of `medvis.model.contract.InputContract`.

        A stage that gives a view and has no field of its own there stands among ``stages`` with all its settings:
        what it does was learned as well, or was not.
        """
        return {"stages": {self.name: settings.model_dump(mode="json")}} if "view" in self.gives else {}

    def step(self, **facts: Any) -> Step:  # noqa: ANN401 - JSON values
        """This stage's entry on the trail: its settings, and facts of this run."""
        return Step(self.name, {**self.settings.model_dump(mode="json"), **facts})

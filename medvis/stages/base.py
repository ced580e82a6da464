"""What every stage is made from: its settings, and the context that it may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from medvis.core.scan import Step
from medvis.errors import ModelError
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.settings import TaskConfig


class StageSettings(BaseModel):
    """Base of a stage's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass
class Context:
    """What the stages of one task share.

    Attributes:
        task: the task's configuration.
        open_model: loads and checks the bundle; called on first use only, so that `window` needs no model.
        tick: told (done, total) by a stage that goes frame by frame, to show progress.
    """

    task: TaskConfig
    open_model: Callable[[], Predictor] | None = None
    tick: Callable[[int, int], None] | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model. Raises ModelError if the task has none."""
        if self.open_model is None:
            raise ModelError(f"task '{self.task.task}' has no model", hint="name a bundle in its YAML")
        return self.open_model()

    @property
    def card(self) -> Card:
        """The model's card."""
        return self.predictor.card


class BaseStage:
    """A stage with its settings and context; subclasses add `__call__`."""

    name: ClassVar[str]
    Settings: ClassVar[type[StageSettings]]
    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: Any, context: Context) -> None:  # noqa: ANN401 - an instance of self.Settings
        self.settings = settings
        self.context = context

    def step(self, **facts: Any) -> Step:  # noqa: ANN401 - JSON values
        """This stage's entry on the trail: its settings, and facts of this run."""
        return Step(self.name, {**self.settings.model_dump(mode="json"), **facts})

"""Modality units → the model's view: the task's window, never the file's own display window."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel

from medvis.core.case import Case
from medvis.preprocess.window import COLOURS, WindowSettings, in_unit_of, loses_colours, windowed
from medvis.stages.base import BaseStage

WINDOW = "window"
ESTIMATED = "estimated_unit"


class Window(BaseStage):
    """Fills `view`: float32 in 0…1."""

    name: ClassVar[str] = WINDOW
    Settings: ClassVar[type[BaseModel]] = WindowSettings
    gives: ClassVar[tuple[str, ...]] = ("view",)

    def __call__(self, case: Case) -> Case:
        """The case with its view. Raises InputError for an image that is too small or holds one value only.

        The view alone is made on an estimated scale: the scan stays in the unit of its file.
        """
        shown, assumed = in_unit_of(case.scan, self.context.task.accepts.units)
        notes = (*case.notes, *assumed)
        if loses_colours(shown, self.settings):
            notes = (*notes, COLOURS)
        view = windowed(shown, self.settings)
        step = self.step(**{ESTIMATED: shown.unit}) if assumed else self.step()
        return Case(scan=case.scan, task=case.task, notes=notes).derive(step, view=view)

    def input_contract(self, settings: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of self.Settings
        """See `BaseStage.input_contract`."""
        return {"window": settings.contract()}

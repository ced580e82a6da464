"""Contrast enhancement of the model's view."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel

from medvis.core.case import Case, require
from medvis.preprocess.enhance import EnhanceSettings, enhanced
from medvis.stages.base import BaseStage


class Enhance(BaseStage):
    """Changes `view` in place of the old one; padding is left out of it."""

    name: ClassVar[str] = "enhance"
    Settings: ClassVar[type[BaseModel]] = EnhanceSettings
    needs: ClassVar[tuple[str, ...]] = ("view",)
    gives: ClassVar[tuple[str, ...]] = ("view",)

    def __call__(self, case: Case) -> Case:
        """The case with the enhanced view."""
        view = require(case.view, self.name, "view", "window")
        return case.derive(self.step(), view=enhanced(view, case.scan, self.settings))

    def input_contract(self, settings: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of self.Settings
        """See `BaseStage.input_contract`."""
        return {"enhancement": settings.contract()}

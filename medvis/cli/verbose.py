"""`--verbose`: what each stage of a case did and how long it took, on standard error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medvis.cli.console import console
from medvis.cli.failures import printable
from medvis.cli.tables import flat

if TYPE_CHECKING:
    from medvis.batch.progress import Progress
    from medvis.core.report import Report

_MOST = 240  # characters of a stage's settings; all of them are in report.json


class Stopwatch:
    """Passes the progress of a case on, and measures from name to name: reading, each stage, report, writing."""

    def __init__(self, inner: Progress) -> None:
        self.laps: dict[str, float] = {}
        self._inner, self._name, self._began = inner, "", time.perf_counter()

    def __call__(self, name: str = "", done: float | None = None, total: int | None = None) -> None:
        """As `medvis.batch.progress.Progress`; behind a comma stands which frame it is."""
        plain = name.partition(",")[0]
        if plain != self._name:
            self.stop()
            self._name, self._began = plain, time.perf_counter()
        self._inner(name, done, total)

    def stop(self) -> None:
        """The last lap ends."""
        if self._name:
            self.laps[self._name] = self.laps.get(self._name, 0.0) + time.perf_counter() - self._began
        self._name = ""


def show_stages(laps: Mapping[str, float], report: Report | None) -> None:
    """One line a stage. Of a case that failed (no report) the last one is where it did."""
    from rich.text import Text

    screen = console()
    trail: dict[str, Any] = {}
    if report is not None:
        made = report.provenance
        trail = {step["name"]: step["settings"] for step in made.trail}
        head = f"  task {made.task}, model {made.model_name} ({made.backend}), medvis {made.medvis}"
        screen.print(Text(printable(head), "dim"), soft_wrap=True)
    for name, seconds in laps.items():
        line = f"  {name:<9}{seconds:8.3f} s  {_settings(trail.get(name, {}))}".rstrip()
        screen.print(Text(printable(line), "dim"), soft_wrap=True)
    if report is None and laps:
        screen.print(Text(f"  failed in {[*laps][-1]}", "dim"))


def _settings(settings: Mapping[str, Any]) -> str:
    words = " ".join(f"{key}={value}" for key, value in flat(dict(settings)) if value != "unknown")
    return words if len(words) <= _MOST else f"{words[:_MOST]}…"

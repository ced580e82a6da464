"""What the user sees of a batch, and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medvis.cli.console import emit, waiting
from medvis.cli.fail_on import Flags
from medvis.cli.failures import explain, print_error
from medvis.cli.verbose import Stopwatch, show_stages
from medvis.errors import FLAGGED, BatchError

if TYPE_CHECKING:
    from medvis.batch.existing import Kept
    from medvis.batch.progress import Progress
    from medvis.batch.run import Failure, Item
    from medvis.batch.select import Selection
    from medvis.core.outcome import Outcome
    from medvis.core.report import Report
    from medvis.core.volumes import Volumes


class Shown:
    """What the user sees of a batch, and what came of it (a `medvis.batch.run.Observer`).

    Args:
        json: print every report.
        quiet: say nothing but errors.
        flags: of ``--fail-on``.
        verbose: say what each stage did and how long it took.
    """

    def __init__(self, json: bool, quiet: bool, flags: Flags, verbose: bool = False) -> None:
        self._json, self._quiet, self._flags, self._verbose = json, quiet, flags, verbose
        self._laps: dict[str, float] = {}
        self._decisions: Counter[str] = Counter()
        self._flagged = self._skipped = self._differing = 0
        self._codes: list[int] = []

    def selected(self, volumes: Volumes, selection: Selection) -> None:
        """Says what is in no report: what was left out, and what else lies there."""
        if self._quiet:
            return
        for item in selection.left_out:
            print_error(f"left out {item.error.found}")
        if len(volumes.usable()) > 1:  # of a single volume, the notes are in its report
            for note in volumes.notes:
                print_error(f"note: {note}")
        for text in volumes.left_out:
            print_error(f"note: {text}")

    @contextmanager
    def working(self, item: Item) -> Iterator[Progress]:
        """A progress bar, and the time that each step takes."""
        with waiting(_position_text(item), quiet=self._quiet) as progress:
            watch = Stopwatch(progress)
            self._laps = watch.laps
            try:
                yield watch
            finally:
                watch.stop()

    def finished(self, item: Item, outcome: Outcome, files: Sequence[Path], seconds: float) -> None:
        """Prints the report as JSON, if that is wanted, and a summary."""
        if self._json:
            emit(_json_text(outcome.report, item.alone))
        if not self._quiet:
            from medvis.cli.summary import show

            show(outcome.report, files, seconds)
        if self._verbose:
            show_stages(self._laps, outcome.report)
        self._laps = {}
        self._decisions[outcome.report.verdict.decision] += 1
        self._flagged += self._flags.meet(outcome.report)

    def skipped(self, kept: Kept) -> None:
        """Counts it; what it says counts for ``--fail-on`` as if it had been found now."""
        self._skipped += 1
        self._differing += kept.differs
        self._flagged += self._flags.meet(kept.report)

    def failed(self, failure: Failure) -> None:
        """One line a failure; the error itself where there is nothing else to do."""
        if self._verbose:
            show_stages(self._laps, None)
        self._laps = {}
        if failure.alone:
            raise failure.error
        self._codes.append(explain(failure.error, failure.name))

    def settle(self) -> None:
        """Ends the run with its exit code, unless that is 0.

        A failure wins over a flag: a script must not take for a whole answer what lacks a case. All that failed alike
        end with their own code, a batch with failures in it as such.
        """
        failed, done = len(self._codes), self._decisions.total() + self._skipped
        if not self._quiet and done and (failed + done > 1 or self._skipped):
            self._count()
        if failed and not done and len(set(self._codes)) == 1:
            raise typer.Exit(self._codes[0])
        if failed:
            flagged = f", and --fail-on names {self._flagged} of the others" if self._flagged else ""
            raise BatchError(f"{failed} of {failed + done} cases failed{flagged}")
        if self._flagged:
            raise typer.Exit(FLAGGED)

    def _count(self) -> None:
        """One line on all cases."""
        parts = []
        if self._decisions:
            verdicts = ", ".join(f"{count} {decision}" for decision, count in sorted(self._decisions.items()))
            parts.append(f"{self._decisions.total()} diagnosed ({verdicts})")
        if self._skipped:
            differing = f", {self._differing} of them by other settings, model or version" if self._differing else ""
            parts.append(f"{self._skipped} skipped, their results exist{differing}")
        if self._codes:
            parts.append(f"{len(self._codes)} failed")
        print_error("; ".join(parts))


def _position_text(item: Item) -> str:
    """Which volume of which input it is, in words."""
    number, total = item.input_position
    name = item.input.called or item.input.path.name
    text = name if total == 1 else f"{number} of {total}, {name}"
    number, total = item.position
    return text if total == 1 else f"{text}, {number} of {total}, {item.volume.label}"


def _json_text(report: Report, alone: bool) -> str:
    """The text of report.json; of several reports, one compact line each (JSON Lines)."""
    from medvis.io.writers.json_report import report_text

    return report_text(report) if alone else report.model_dump_json() + "\n"

"""`medvis diagnose`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.console import emit, waiting
from medvis.cli.fail_on import FailOn, Flags, flags_of
from medvis.cli.failures import explain, print_error
from medvis.cli.options import (
    INPUT_HELP,
    OUT,
    Force,
    MmPerPixel,
    PictureWindow,
    Quiet,
    ResultFolder,
    Series,
    Set,
    Task,
    Unit,
    overrides,
    with_picture,
)
from medvis.cli.writing import Write, writers
from medvis.errors import FLAGGED, BatchError, UsageError

if TYPE_CHECKING:
    from medvis.batch.progress import Progress
    from medvis.batch.run import Failure, Item
    from medvis.batch.select import Selection
    from medvis.core.outcome import Outcome
    from medvis.core.report import Report
    from medvis.core.volumes import Volumes


def diagnose(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help=INPUT_HELP)],
    output: ResultFolder = None,
    task: Task = "auto",
    write: Write = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the report; with several paths, one a line. Files only with -o.")
    ] = False,
    quiet: Quiet = False,
    force: Force = False,
    series: Series = None,
    settings: Set = None,
    picture_window: PictureWindow = None,
    mm_per_pixel: MmPerPixel = None,
    unit: Unit = None,
    fail_on: FailOn = None,
) -> None:
    """Several paths or volumes: one folder each below FOLDER; one that fails does not stop the others.

    PATH may also be the DICOMweb URL of a study or a series, https://…/studies/UID (needs medvis[pacs]).
    """
    from medvis.batch.pipelines import Pipelines
    from medvis.batch.run import Batch, Input
    from medvis.batch.select import result_folders, select
    from medvis.pacs.remote import opened

    if json and write is not None and output is None:
        raise UsageError("--write beside --json", "-o FOLDER to write into")
    flags = flags_of(fail_on)
    changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
    folder = None if json and output is None else output or OUT
    folders = [None] * len(paths) if folder is None else result_folders(paths, folder)
    selector = partial(select, series=series)
    batch = Batch(Pipelines(task, changes), writers(write), force, selector, opened)
    shown = _Shown(json, quiet, flags)
    batch.run([Input(path, below) for path, below in zip(paths, folders, strict=True)], shown)
    shown.settle()


class _Shown:
    """What the user sees of a batch, and what came of it (a `medvis.batch.run.Observer`)."""

    def __init__(self, json: bool, quiet: bool, flags: Flags) -> None:
        self._json, self._quiet, self._flags = json, quiet, flags
        self._done = self._flagged = 0
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

    def working(self, item: Item) -> AbstractContextManager[Progress]:
        """A progress bar."""
        return waiting(_position_text(item), quiet=self._quiet)

    def finished(self, item: Item, outcome: Outcome, files: Sequence[Path], seconds: float) -> None:
        """Prints the report as JSON, if that is wanted, and a summary."""
        if self._json:
            emit(_json_text(outcome.report, item.alone))
        if not self._quiet:
            from medvis.cli.summary import show

            show(outcome.report, files, seconds)
        self._done += 1
        self._flagged += self._flags.meet(outcome.report)

    def failed(self, failure: Failure) -> None:
        """One line a failure; the error itself where there is nothing else to do."""
        if failure.alone:
            raise failure.error
        self._codes.append(explain(failure.error, failure.name))

    def settle(self) -> None:
        """Ends the run with its exit code, unless that is 0.

        A failure wins over a flag: a script must not take for a whole answer what lacks a case. All that failed alike
        end with their own code, a batch with failures in it as such.
        """
        failed = len(self._codes)
        if failed and not self._done and len(set(self._codes)) == 1:
            raise typer.Exit(self._codes[0])
        if failed:
            flagged = f", and --fail-on names {self._flagged} of the others" if self._flagged else ""
            raise BatchError(f"{failed} of {failed + self._done} cases failed{flagged}")
        if self._flagged:
            raise typer.Exit(FLAGGED)


def _position_text(item: Item) -> str:
    """Which volume of which input it is, in words."""
    number, total = item.input_position
    text = item.input.path.name if total == 1 else f"{number} of {total}, {item.input.path.name}"
    number, total = item.position
    return text if total == 1 else f"{text}, {number} of {total}, {item.volume.label}"


def _json_text(report: Report, alone: bool) -> str:
    """The text of report.json; of several reports, one compact line each (JSON Lines)."""
    from medvis.io.writers.json_report import report_text

    return report_text(report) if alone else report.model_dump_json() + "\n"

"""`medvis diagnose`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.console import emit, waiting
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
    chosen,
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
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"Verdicts that exit with code {FLAGGED}: positive, negative, refer."),
    ] = None,
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
    flags = chosen(fail_on, "--fail-on", ("positive", "negative", "refer")) if fail_on is not None else []
    changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
    folder = None if json and output is None else output or OUT
    folders = [None] * len(paths) if folder is None else result_folders(paths, folder)
    selector = partial(select, series=series)
    batch = Batch(Pipelines(task, changes), writers(write), force, selector, opened)
    shown = _Shown(json, quiet)
    batch.run([Input(path, below) for path, below in zip(paths, folders, strict=True)], shown)
    if any(verdict in flags for verdict in shown.verdicts()):
        raise typer.Exit(FLAGGED)


class _Shown:
    """What the user sees of a batch, and what came of it (a `medvis.batch.run.Observer`)."""

    def __init__(self, json: bool, quiet: bool) -> None:
        self._json, self._quiet = json, quiet
        self._verdicts: list[str] = []
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
        self._verdicts.append(outcome.report.verdict.decision)

    def failed(self, failure: Failure) -> None:
        """One line a failure; the error itself where there is nothing else to do."""
        if failure.alone:
            raise failure.error
        self._codes.append(explain(failure.error, failure.name))

    def verdicts(self) -> list[str]:
        """The verdicts; ends a run with failures: with their code if all failed alike, else as a batch of failures."""
        if self._codes and not self._verdicts and len(set(self._codes)) == 1:
            raise typer.Exit(self._codes[0])
        if self._codes:
            raise BatchError(f"{len(self._codes)} of {len(self._codes) + len(self._verdicts)} cases failed")
        return self._verdicts


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

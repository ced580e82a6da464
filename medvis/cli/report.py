"""`medvis report`: the end of a chain of stages, with the results of `medvis diagnose`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from medvis.cli.console import emit, waiting
from medvis.cli.options import (
    OUT,
    STDIO,
    Force,
    Json,
    MmPerPixel,
    PictureWindow,
    Quiet,
    ResultFolder,
    Set,
    Unit,
    overrides,
    with_picture,
)
from medvis.cli.stages import CasePath
from medvis.cli.writing import Write, writers
from medvis.errors import UsageError

if TYPE_CHECKING:
    from medvis.core.case import Case
    from medvis.core.outcome import Outcome


def report(
    path: CasePath = STDIO,
    output: ResultFolder = None,
    write: Write = None,
    json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
    settings: Set = None,
    picture_window: PictureWindow = None,
    mm_per_pixel: MmPerPixel = None,
    unit: Unit = None,
) -> None:
    """With --json, files are written only with -o. Give the same settings to every stage of a chain."""
    from medvis.batch.existing import check_folders
    from medvis.batch.publish import check_scan, publish
    from medvis.cli.casepipe import read_case
    from medvis.io.writers.json_report import report_text

    if json and write is not None and output is None:
        raise UsageError("--write beside --json", "-o FOLDER to write into")
    folder = None if json and output is None else output or OUT
    chosen = writers(write)
    check_folders([folder], chosen, force)
    changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
    case = read_case(path, "report")  # before the bar: in a pipe this waits for others that have a bar of their own
    check_scan(case.scan, chosen if folder is not None else ())
    began = time.perf_counter()
    with waiting("report", quiet=quiet):
        outcome = _outcome(case, changes)
        files = publish(outcome, folder, chosen, force) if folder is not None else []
    if json:
        emit(report_text(outcome.report))
    if not quiet:
        from medvis.cli.summary import show

        show(outcome.report, files, time.perf_counter() - began)


def _outcome(case: Case, changes: dict[str, Any]) -> Outcome:
    """All stages after `segment`, and the report."""
    from medvis.batch.chain import run_part
    from medvis.pipeline import Pipeline

    pipeline = Pipeline(case.task, changes)
    return pipeline.conclude(*run_part(pipeline, case, "report"))

"""`medvis diagnose`: the main job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import emit, waiting
from medvis.cli.failures import explain
from medvis.cli.options import Force, Quiet, Set, Task, Write, chosen, overrides, writers
from medvis.errors import FLAGGED, BatchError, UsageError

if TYPE_CHECKING:
    from medvis.cli.cases import Pipelines
    from medvis.core.report import Report

OUT = Path("medvis-out")


def diagnose(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="A DICOM, NIfTI or picture file, or a folder with a series.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help=f"Where the results go.  [default: {OUT}]"),
    ] = None,
    task: Task = "auto",
    write: Write = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the report; with several paths, one a line. Files only with -o.")
    ] = False,
    quiet: Quiet = False,
    force: Force = False,
    settings: Set = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"Verdicts that exit with code {FLAGGED}: positive, negative, refer."),
    ] = None,
) -> None:
    """Several paths: one folder a case below FOLDER; a case that fails does not stop the others."""
    if json and write is not None and output is None:
        raise UsageError("--write beside --json", "-o FOLDER to write into")
    flags = chosen(fail_on, "--fail-on", ("positive", "negative", "refer")) if fail_on is not None else []
    folder = None if json and output is None else output or OUT
    job = _Job(task, overrides(settings), folder, writers(write), json, quiet, force, len(paths) > 1)
    if any(verdict in flags for verdict in _run(paths, job)):
        raise typer.Exit(FLAGGED)


@dataclass(frozen=True)
class _Job:
    task: str
    settings: dict[str, Any]
    folder: Path | None
    writers: list[Any]
    json: bool
    quiet: bool
    force: bool
    several: bool


def _run(paths: list[Path], job: _Job) -> list[str]:
    """The verdicts. Raises the error of a single path; of several, says each and goes on."""
    from medvis.cli.cases import Pipelines, check, targets

    folders: list[Path | None] = [None] * len(paths)
    if job.folder is not None:
        folders = list(targets(paths, job.folder))
        check((folder for folder in folders if folder is not None), job.writers, job.force)
    pipelines = Pipelines(job.task, job.settings)
    if len(paths) == 1:
        return [_one(paths[0], folders[0], pipelines, job, paths[0].name).verdict.decision]
    verdicts: list[str] = []
    codes: list[int] = []
    for number, (path, folder) in enumerate(zip(paths, folders, strict=True), 1):
        try:
            text = f"{number} of {len(paths)}, {path.name}"
            verdicts.append(_one(path, folder, pipelines, job, text).verdict.decision)
        except Exception as error:  # a bug in one case must not cost the others
            codes.append(explain(error, str(path)))
    _settle(codes, len(paths))
    return verdicts


def _settle(codes: list[int], cases: int) -> None:
    """Ends a batch with failures: with their code if all failed alike, else as a batch with failures."""
    if not codes:
        return
    if len(codes) == cases and len(set(codes)) == 1:
        raise typer.Exit(codes[0])
    raise BatchError(f"{len(codes)} of {cases} cases failed")


def _one(path: Path, folder: Path | None, pipelines: Pipelines, job: _Job, text: str) -> Report:
    from medvis.cli.cases import run_stages
    from medvis.io.publish import publish
    from medvis.pipeline import load

    began = time.perf_counter()
    with waiting(text, quiet=job.quiet) as tick:
        tick("read")
        scan = load(path)
        outcome = run_stages(pipelines.of(scan), scan, tick)
        tick("write")
        files = publish(outcome, folder, job.writers, job.force) if folder is not None else []
    if job.json:
        emit(_json(outcome.report, job.several))
    if not job.quiet:
        from medvis.cli.summary import show

        show(outcome.report, files, time.perf_counter() - began)
    return outcome.report


def _json(report: Report, several: bool) -> str:
    """The text of report.json; of several reports, one compact line each (JSON Lines)."""
    from medvis.io.json_report import report_text

    return report.model_dump_json() + "\n" if several else report_text(report)

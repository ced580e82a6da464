"""`medvis diagnose`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.options import INPUT_HELP, Force, Quiet, Series, Set, Task, chosen, overrides
from medvis.cli.writing import Write, writers
from medvis.errors import FLAGGED, UsageError

OUT = Path("medvis-out")


def diagnose(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help=INPUT_HELP)],
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
    series: Series = None,
    settings: Set = None,
    fail_on: Annotated[
        str | None,
        typer.Option(metavar="LIST", help=f"Verdicts that exit with code {FLAGGED}: positive, negative, refer."),
    ] = None,
) -> None:
    """Several paths or volumes: one folder each below FOLDER; one that fails does not stop the others.

    PATH may also be the DICOMweb URL of a study or a series, https://…/studies/UID (needs medvis[pacs]).
    """
    from medvis.cli.rounds import Job, run

    if json and write is not None and output is None:
        raise UsageError("--write beside --json", "-o FOLDER to write into")
    flags = chosen(fail_on, "--fail-on", ("positive", "negative", "refer")) if fail_on is not None else []
    folder = None if json and output is None else output or OUT
    job = Job(task, overrides(settings), folder, writers(write), json, quiet, force, series)
    if any(verdict in flags for verdict in run(paths, job)):
        raise typer.Exit(FLAGGED)

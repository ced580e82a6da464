"""`medvis diagnose`: the main job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.fail_on import FailOn, flags_of
from medvis.cli.inputs import STDIN, Inputs, check_paths
from medvis.cli.options import (
    INPUT_HELP,
    OUT,
    STDIO,
    Force,
    MmPerPixel,
    PictureWindow,
    Quiet,
    ResultFolder,
    Series,
    Set,
    Task,
    Threads,
    Unit,
    overrides,
    with_picture,
)
from medvis.cli.shown import Shown
from medvis.cli.writing import Write, writers
from medvis.errors import UsageError

if TYPE_CHECKING:
    from medvis.batch.existing import Existing
    from medvis.batch.run import Input
    from medvis.core.protocols import Writer


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
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave alone what has a result already, and do the others.")
    ] = False,
    series: Series = None,
    settings: Set = None,
    picture_window: PictureWindow = None,
    mm_per_pixel: MmPerPixel = None,
    unit: Unit = None,
    fail_on: FailOn = None,
    threads: Threads = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say what each stage did and how long it took.")
    ] = False,
) -> None:
    """Several paths, pictures or volumes: one folder each below FOLDER; one that fails does not stop the others.

    PATH may also be the DICOMweb URL of a study or a series, https://…/studies/UID (needs medvis[pacs]).
    """
    from medvis.batch.pipelines import Pipelines
    from medvis.batch.run import Batch
    from medvis.batch.select import select
    from medvis.model.session import limited_threads

    if json and write is not None and output is None:
        raise UsageError("--write beside --json", "-o FOLDER to write into")
    flags, made = flags_of(fail_on), writers(write)
    folder = None if json and output is None else output or OUT
    existing = _existing(force, skip_existing, folder, made)
    changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
    check_paths(paths)
    if verbose and quiet:
        raise UsageError("--verbose beside --quiet", "one of them")
    shown = Shown(json, quiet, flags, verbose)
    with Inputs() as inputs, limited_threads(threads):
        selector = partial(select, series=series)
        batch = Batch(Pipelines(task, changes), made, existing, selector, inputs.opened, inputs.check)
        batch.run(_named(paths, folder), shown)
    shown.settle()


def _existing(force: bool, skip: bool, folder: Path | None, made: list[Writer]) -> Existing:
    """What is done where a result exists. Raises UsageError for flags that contradict each other."""
    if not skip:
        return "replace" if force else "refuse"
    if force:
        raise UsageError("--skip-existing beside --force", "one of them")
    if folder is None:
        raise UsageError("--skip-existing without results", "-o FOLDER to look into")
    if all(writer.name != "json" for writer in made):
        raise UsageError("--skip-existing without json in --write", "json, by which a result is known")
    return "skip"


def _named(paths: list[Path], folder: Path | None) -> list[Input]:
    """Each path with its folder for results and its name in messages."""
    from medvis.batch.run import Input
    from medvis.batch.select import result_folders

    named = [Path(STDIN) if path == STDIO else path for path in paths]
    folders = [None] * len(paths) if folder is None else result_folders(named, folder)
    called = [STDIN if path == STDIO else "" for path in paths]
    return [Input(path, below, called=name) for path, below, name in zip(paths, folders, called, strict=True)]

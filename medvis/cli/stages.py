"""`medvis window | medvis enhance - | medvis infer - | medvis segment -`: the stages one by one, through case files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import waiting
from medvis.cli.options import (
    STDIO,
    CaseOutput,
    Force,
    MmPerPixel,
    PictureWindow,
    Quiet,
    Set,
    Task,
    Unit,
    overrides,
    with_picture,
)

if TYPE_CHECKING:
    from medvis.core.case import Case

_CASE_HELP = "A case file made by the stage before, or - for standard input."
CasePath = Annotated[Path, typer.Argument(metavar="PATH", help=_CASE_HELP, allow_dash=True)]


def window(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", allow_dash=True, help="A scan: file or folder, or - for standard input."),
    ],
    output: CaseOutput = None,
    task: Task = "auto",
    settings: Set = None,
    picture_window: PictureWindow = None,
    mm_per_pixel: MmPerPixel = None,
    unit: Unit = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Give the same settings to every stage of a chain."""
    from medvis.batch.chain import run_part
    from medvis.batch.pipelines import Pipelines
    from medvis.cli.casepipe import check_target, read_scan, write_case

    target = check_target(output, force)
    named = str(Path(task).resolve()) if task.endswith((".yaml", ".yml")) else task
    changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
    with waiting("window", quiet=quiet):
        scan = read_scan(path)
        pipeline = Pipelines(named, changes).of(scan)
        case, _ = run_part(pipeline, pipeline.accept(scan), "window")
    write_case(case, target)


def _stage(name: str, path: Path, output: Path | None, changes: dict[str, Any], flags: tuple[bool, bool]) -> None:
    from medvis.batch.chain import run_part
    from medvis.batch.progress import Span, frame_by_frame
    from medvis.cli.casepipe import check_target, read_case, write_case
    from medvis.pipeline import Pipeline

    quiet, force = flags
    target = check_target(output, force)
    case: Case = read_case(path, name)  # before the bar: in a pipe this waits for others that have a bar of their own
    pipeline = Pipeline(case.task, changes)
    with waiting(name, 1, quiet) as progress, frame_by_frame(pipeline, progress, Span(name, 0, 1)):
        case, _ = run_part(pipeline, case, name)
    write_case(case, target)


def _command(name: str) -> Callable[..., None]:
    """The command of one stage: all three take and give case files in the same way."""

    def command(
        path: CasePath = STDIO,
        output: CaseOutput = None,
        settings: Set = None,
        picture_window: PictureWindow = None,
        mm_per_pixel: MmPerPixel = None,
        unit: Unit = None,
        quiet: Quiet = False,
        force: Force = False,
    ) -> None:
        """Give the same settings to every stage of a chain."""
        changes = with_picture(overrides(settings), picture_window, mm_per_pixel, unit)
        _stage(name, path, output, changes, (quiet, force))

    command.__name__ = name
    return command


enhance, infer, segment = _command("enhance"), _command("infer"), _command("segment")

"""`medvis train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit, record_printer
from medvis.cli.options import Quiet, Set, overrides, with_extra


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A task's name, or the path of its YAML.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER", help="Data set: index.csv, COCO, or MVTec's folders.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Checkpoints, log and weights; goes on from there.")
    ],
    quiet: Quiet = False,
    settings: Set = None,
) -> None:
    """Prints the path of the weights; the figures of each epoch go to standard error."""
    from medvis.learn.task_check import load_trainable

    task = load_trainable(config, overrides(settings))
    run = with_extra("medvis.learn.run")
    screen = console(quiet=quiet)

    emit(f"{run.train(task, data, output, record_printer(screen))}\n")

"""`medvis train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit
from medvis.cli.options import Quiet, Set, overrides, with_extra
from medvis.cli.training import CONFIG_HELP, DATA_HELP, RUN_HELP, explainer, record_printer


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=CONFIG_HELP)],
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help=DATA_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help=RUN_HELP)],
    quiet: Quiet = False,
    settings: Set = None,
) -> None:
    """Prints the path of the weights, which 'medvis export' makes a bundle of.

    What will be done, how long it will take and a line an epoch go to standard error; metrics.jsonl in FOLDER has the
    same for programs. 'medvis init' writes a CONFIG and a DATA folder to begin with.
    """
    from medvis.learn.task_check import load_trainable

    task = load_trainable(config, overrides(settings))
    run = with_extra("medvis.learn.run")
    screen = console(quiet=quiet)

    emit(f"{run.train(task, data, output, record_printer(screen), explainer(screen))}\n")

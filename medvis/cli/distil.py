"""`medvis distil`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit
from medvis.cli.options import Quiet, Set, overrides, with_extra
from medvis.cli.training import CONFIG_HELP, DATA_HELP, RUN_HELP, record_printer


def distil(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="model.safetensors, as 'medvis train' made it.")],
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=CONFIG_HELP)],
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help=DATA_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help=RUN_HELP)],
    share: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="How much of the loss is the distance from the teacher's outputs, above 0 and up to 1; the rest is "
            "that from the labels.",
        ),
    ] = 0.5,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="What the logits of both networks are divided by, above 0; larger values teach small probabilities.",
        ),
    ] = 2.0,
    quiet: Quiet = False,
    settings: Set = None,
) -> None:
    """Prints the path of the weights.

    The student is the network of train.network, e.g. --set train.network.streams=detail; without a change it has half
    the teacher's widths.
    """
    from medvis.learn.task_check import load_trainable

    task = load_trainable(config, overrides(settings))
    learn = with_extra("medvis.learn.distil")
    screen = console(quiet=quiet)

    teaching = learn.Teaching(share, temperature)
    path, sizes = learn.distil(teacher, task, data, output, record_printer(screen), teaching)
    screen.print(f"teacher {sizes['teacher']:,} parameters, student {sizes['student']:,}", soft_wrap=True)
    emit(f"{path}\n")

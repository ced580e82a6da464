"""`medvis distil`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit, record_printer
from medvis.cli.options import Quiet, Set, overrides, with_extra


def distil(
    teacher: Annotated[Path, typer.Argument(metavar="TEACHER", help="model.safetensors, as 'medvis train' made it.")],
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A task's name, or the path of its YAML.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="FOLDER", help="Data set: index.csv, COCO, or MVTec's folders.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Checkpoints, log and weights; goes on from there.")
    ],
    share: Annotated[
        float, typer.Option(metavar="N", help="Share of the loss that is the teacher's; the rest is the labels'.")
    ] = 0.5,
    temperature: Annotated[
        float, typer.Option(metavar="N", help="What the logits of both networks are divided by.")
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

    path, sizes = learn.distil(teacher, task, data, output, record_printer(screen), learn.Teaching(share, temperature))
    screen.print(f"teacher {sizes['teacher']:,} parameters, student {sizes['student']:,}", soft_wrap=True)
    emit(f"{path}\n")

"""`medvis evaluate`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import emit_json, waiting
from medvis.cli.options import Json, NamedTask, Quiet, with_extra
from medvis.cli.tables import show_pairs


def evaluate(
    task: NamedTask,
    data: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="A data set with index.csv, or folders of DICOM slices with masks/."),
    ],
    split: Annotated[str, typer.Option(help="Which part of a data set with index.csv: train, val or test.")] = "test",
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Another bundle than the task's own, e.g. one just exported.")
    ] = None,
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Write the figures into the bundle's card.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Every figure has its bootstrap interval, its baseline and its bar beside it."""
    run = with_extra("medvis.learn.evaluate").evaluate
    with waiting(f"evaluating {task}", quiet=quiet) as tick:
        found = run(task, data, split, lambda done, total: tick("", done, total), bundle)
    if update_card:
        place = bundle or import_module("medvis.backends.bundle").bundle_folder(task)
        command = f"medvis evaluate --task {task} --data {data.name} --split {split}"
        import_module("medvis.learn.card_file").add_figures(place, found.figures, command)
    if json:
        emit_json(found.as_dict(), indent=2)
    else:
        show_pairs([("task", found.task), ("model", found.model), ("data", found.data), *found.lines()])

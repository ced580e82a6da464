"""`medvis ablate`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import console, emit, emit_json
from medvis.cli.options import Json, Quiet, Set, overrides, with_extra
from medvis.cli.training import CONFIG_HELP, DATA_HELP, record_printer


def ablate(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help=CONFIG_HELP)],
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help=DATA_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="A folder for each variant. An ablation that was stopped goes on with the same command.",
        ),
    ],
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Epochs of every training.  [default: as in the YAML]")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Which part of the data set to measure on.")] = "test",
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Write the figures into the card of the task's own bundle.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: Set = None,
) -> None:
    """Trains the task again without each part (global stream, attention, dense skips, pasting), and measures all alike.

    Prints the table in Markdown; it and ablation.json are left in the output folder. A variant that is finished is not
    done again.
    """
    learn = with_extra("medvis.learn.ablate")
    changes = overrides(settings)
    screen = console(quiet=quiet)

    ablation = learn.ablate(learn.Plan(config, data, split, epochs, changes), output, record_printer(screen))
    if update_card:
        task = import_module("medvis.settings").load_task(config, changes)
        learn.add_ablation(import_module("medvis.model.bundle").bundle_folder(task.bundle, task.base), ablation)
    if json:
        emit_json(ablation.model_dump(mode="json"), indent=2)
    else:
        emit((output / learn.TABLE).read_text(encoding="utf-8"))

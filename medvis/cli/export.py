"""`medvis export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medvis.cli.console import emit_json, waiting
from medvis.cli.options import Json, NamedTask, Quiet, with_extra
from medvis.cli.tables import flat, show_pairs


def export(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="WEIGHTS",
            help="model.safetensors, as 'medvis train' made it; or a bundle, whose thresholds are to be fitted anew.",
        ),
    ],
    task: NamedTask,
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="The data set; thresholds are fitted on its val split.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The new bundle.")],
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Put the torch weights into the bundle, for backend: torch.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Replace the bundle in FOLDER, even if it is another task's.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prints the card. A bundle of the same task in FOLDER is replaced."""
    learn = with_extra("medvis.learn.run")
    packing = learn.Packing(keep_weights=keep_weights, replace=force)
    with waiting(f"exporting {task}", quiet=quiet) as tick:
        card = learn.export(task, weights, data, output, lambda done, total: tick("", done, total), packing)
    if json:
        emit_json(card, indent=2)
    else:
        show_pairs(flat(card))

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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prints the card."""
    run = with_extra("medvis.learn.run").export
    with waiting(f"exporting {task}", quiet=quiet) as tick:
        card = run(task, weights, data, output, lambda done, total: tick("", done, total), keep_weights)
    if json:
        emit_json(card, indent=2)
    else:
        show_pairs(flat(card))

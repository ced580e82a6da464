"""`medvis card`."""

from __future__ import annotations

from typing import Annotated

import typer

from medvis.cli.cards import card_of, card_rows
from medvis.cli.console import emit_json
from medvis.cli.options import Json, complete_named_task
from medvis.cli.tables import show_pairs


def card(
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", autocompletion=complete_named_task, help="A task's name, or its YAML."),
    ],
    json: Json = False,
) -> None:
    """Also says what it is not for, which data it comes from, and how to measure its figures again."""
    from medvis.settings import load_task

    shown = card_of(load_task(task))
    if json:
        emit_json(shown.model_dump(mode="json"), indent=2)
    else:
        show_pairs(card_rows(shown))

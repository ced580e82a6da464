"""`medvis tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import emit_json
from medvis.cli.options import Json, complete_named_task
from medvis.cli.tables import flat, show_pairs, show_rows
from medvis.errors import ModelError

if TYPE_CHECKING:
    from medvis.core.card import Card
    from medvis.settings import TaskConfig

MAIN_FIGURES = 3


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK", autocompletion=complete_named_task, help="Show this task's card; its name or YAML."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """A card says what a model is for, what it was trained and tested on, how well it does and where it fails."""
    from medvis.settings import load_task, task_names

    if name is not None:
        body = _as_dict(load_task(name), strict=True)
        if json:
            emit_json(body, indent=2)
        else:
            show_pairs(flat(body["card"]))
        return
    configs = [load_task(task) for task in task_names()]
    if json:
        emit_json([_as_dict(config) for config in configs], indent=2)
    else:
        show_rows(("task", "for", "accepts", "model", "figures"), [_row(config) for config in configs])


def _as_dict(config: TaskConfig, strict: bool = False) -> dict[str, Any]:
    card = _card(config, strict)
    accepts = config.accepts.model_dump(mode="json")
    head = {"task": config.task, "title": config.title, "kind": config.kind, "accepts": accepts}
    return {**head, "config_sha256": config.sha256, "card": None if card is None else card.model_dump(mode="json")}


def _row(config: TaskConfig) -> tuple[str, ...]:
    card = _card(config)
    accepts = [*config.accepts.modalities, *(["pictures"] if config.accepts.raster else [])]
    if card is None:
        return config.task, config.title, ", ".join(accepts), "none", ""
    figures = [f"{figure.name} {figure.value:.3g}" for figure in card.figures[:MAIN_FIGURES]]
    model = f"{card.version}, {card.model.bytes / 1e6:.1f} MB {card.model.precision}"
    return config.task, config.title, ", ".join(accepts), model, "; ".join(figures)


def _card(config: TaskConfig, strict: bool = False) -> Card | None:
    """The card of a task's model; None if there is no model yet, unless `strict`."""
    from medvis.backends.bundle import bundle_folder, read_card

    try:
        if config.bundle is None:
            raise ModelError(f"task '{config.task}' names no bundle")
        return read_card(bundle_folder(config.bundle, config.base))
    except ModelError:
        if strict:
            raise
        return None

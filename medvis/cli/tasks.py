"""`medvis tasks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.cards import card_of, card_rows
from medvis.cli.console import emit_json
from medvis.cli.options import Json, complete_named_task
from medvis.cli.tables import show_pairs, show_rows
from medvis.errors import ModelError, UsageError

if TYPE_CHECKING:
    from medvis.model.card import Card
    from medvis.settings import TaskConfig

MAIN_FIGURES = 3


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK", autocompletion=complete_named_task, help="Show this task's card; its name or YAML."
        ),
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List all settings of TASK: type, bounds, default, meaning.")
    ] = False,
    json: Json = False,
) -> None:
    """A card says what a model is for, what it was trained and tested on, how well it does and where it fails."""
    from medvis.settings import load_task
    from medvis.tasks import task_files

    if settings:
        if name is None:
            raise UsageError("--settings without a task", "medvis tasks TASK --settings")
        _show_settings(load_task(name), json)
        return
    if name is not None:
        config = load_task(name)
        if json:
            emit_json(_as_dict(config, _origin(name), strict=True), indent=2)
        else:
            show_pairs(card_rows(card_of(config)))
        return
    configs = [(load_task(file.name), file.origin) for file in task_files().values()]
    if json:
        emit_json([_as_dict(config, origin) for config, origin in configs], indent=2)
    else:
        columns = ("task", "for", "accepts", "from", "model", "figures")
        show_rows(columns, [_row(config, origin) for config, origin in configs])


def _show_settings(config: TaskConfig, json: bool) -> None:
    from dataclasses import asdict

    from medvis.cli.settings_list import settings_of

    settings = settings_of(config)
    if json:
        emit_json([asdict(setting) for setting in settings], indent=2)
    else:
        show_rows(("setting", "value", "default", "here", "meaning"), [setting.row for setting in settings])


def _origin(task: str) -> str:
    """The package or folder of a named task; of a YAML, its path."""
    from medvis.tasks import SUFFIXES, task_file

    return task if task.endswith(SUFFIXES) else task_file(task).origin


def _as_dict(config: TaskConfig, origin: str, strict: bool = False) -> dict[str, Any]:
    card = card_of(config) if strict else _card_or_none(config)
    accepts = config.accepts.model_dump(mode="json")
    head = {"task": config.task, "title": config.title, "kind": config.kind, "accepts": accepts, "origin": origin}
    return {**head, "config_sha256": config.sha256, "card": None if card is None else card.model_dump(mode="json")}


def _row(config: TaskConfig, origin: str) -> tuple[str, ...]:
    card = _card_or_none(config)
    accepts = ", ".join([*config.accepts.modalities, *(["pictures"] if config.accepts.raster else [])])
    if card is None:
        return config.task, config.title, accepts, origin, "no bundle yet", ""
    main = [figure for figure in card.figures if figure.bar] or card.figures
    figures = [f"{figure.name} {figure.value:.3g}" for figure in main[:MAIN_FIGURES]]
    return (
        config.task,
        config.title,
        accepts,
        origin,
        f"version {card.version}, {card.model.bytes / 1e6:.1f} MB",
        "; ".join(figures),
    )


def _card_or_none(config: TaskConfig) -> Card | None:
    try:
        return card_of(config)
    except ModelError:
        return None

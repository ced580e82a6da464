"""Writing a bundle's card."""

from __future__ import annotations

from pathlib import Path

import yaml

from medvis.backends.bundle import CARD, read_card
from medvis.core.card import Card, Figure


def write_card(folder: Path, card: Card) -> None:
    """card.yaml, in the card's own order, whole or not at all."""
    body = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    temporary = folder / f"{CARD}.part"
    temporary.write_text(body, encoding="utf-8")
    temporary.replace(folder / CARD)


def add_figures(folder: Path, figures: list[Figure], command: str) -> Card:
    """The card with measured figures in place of those of the same name.

    Args:
        folder: the bundle.
        figures: as an `Evaluation` gives them.
        command: how anybody can measure them again.
    """
    card = read_card(folder)
    names = {figure.name for figure in figures}
    kept = [figure for figure in card.figures if figure.name not in names]
    commands = [line for line in card.measured_by.splitlines() if line and line != command]
    new = card.model_copy(update={"figures": [*kept, *figures], "measured_by": "\n".join([*commands, command])})
    write_card(folder, new)
    return new

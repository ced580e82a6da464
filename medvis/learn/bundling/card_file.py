"""Writing a bundle's card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from medvis.backends.bundle import CARD, read_card
from medvis.core.card import Card, Figure, Worst


def write_card(folder: Path, card: Card) -> None:
    """card.yaml, in the card's own order, whole or not at all."""
    body = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    temporary = folder / f"{CARD}.part"
    temporary.write_text(body, encoding="utf-8")
    temporary.replace(folder / CARD)


def add_figures(folder: Path, figures: list[Figure], command: str, worst: Sequence[Worst] = ()) -> Card:
    """The card with measured figures in place of those of the same name, and the worst cases in place of the old ones.

    Args:
        folder: the bundle.
        figures: as an `Evaluation` gives them.
        command: how anybody can measure them again.
        worst: the cases that the model did worst on; what a person wrote on the card of one of them stays.
            Without any, the old ones stay.
    """
    card = read_card(folder)
    names = {figure.name for figure in figures}
    kept = [figure for figure in card.figures if figure.name not in names]
    commands = [line for line in card.measured_by.splitlines() if line and line != command]
    written = {one.id: one.description for one in card.worst}
    cases = [one.model_copy(update={"description": written.get(one.id, one.description)}) for one in worst]
    measured = {"figures": [*kept, *figures], "measured_by": "\n".join([*commands, command])}
    new = card.model_copy(update={**measured, "worst": cases or card.worst})
    write_card(folder, new)
    return new

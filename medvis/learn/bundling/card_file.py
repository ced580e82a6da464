"""Writing a bundle's card."""

from __future__ import annotations

from pathlib import Path

import yaml

from medvis.backends.bundle import CARD, read_card
from medvis.core.card import Card, Worst
from medvis.learn.measuring.evaluation import Evaluation


def write_card(folder: Path, card: Card) -> None:
    """card.yaml, in the card's own order, whole or not at all."""
    body = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    temporary = folder / f"{CARD}.part"
    temporary.write_text(body, encoding="utf-8")
    temporary.replace(folder / CARD)


def add_figures(folder: Path, found: Evaluation, command: str) -> Card:
    """The card with figures and worst cases in place of those that were measured on the same data.

    Args:
        folder: the bundle.
        found: of this bundle. What a person has seen in one of its worst cases stays on the card.
        command: how anybody can measure it again.
    """
    card = read_card(folder)
    names = {figure.name for figure in found.figures}
    kept = [one for one in card.figures if one.data not in (None, found.data) or one.name not in names]
    fresh = [figure.model_copy(update={"data": found.data}) for figure in found.figures]
    commands = [line for line in card.measured_by.splitlines() if line and line != command]
    measured = {"figures": [*kept, *fresh], "measured_by": "\n".join([*commands, command])}
    new = card.model_copy(update={**measured, "worst": _worst(card, found)})
    write_card(folder, new)
    return new


def _worst(card: Card, found: Evaluation) -> list[Worst]:
    seen = {(one.data, one.id): one.seen for one in card.worst}
    others = [one for one in card.worst if one.data != found.data]
    looked = [{"data": found.data, "seen": seen.get((found.data, one.id))} for one in found.worst]
    return [*others, *(one.model_copy(update=more) for one, more in zip(found.worst, looked, strict=True))]

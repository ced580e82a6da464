"""Writing a bundle's card."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml

from medvis.io.atomic import write_atomic
from medvis.learn.measuring.evaluation import Evaluation
from medvis.model.bundle import CARD, read_card
from medvis.model.card import Card, Figure, Worst

M = TypeVar("M", bound=Figure | Worst)


def write_card(folder: Path, card: Card) -> None:
    """card.yaml, in the card's own order, whole or not at all."""
    body = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)
    write_atomic(folder / CARD, body.encode())


def add_figures(folder: Path, evaluation: Evaluation, command: str) -> Card:
    """The card with figures and worst cases in place of those that were measured on the same data, where those stood.

    Args:
        folder: the bundle.
        evaluation: of this bundle. What a person has seen in one of its worst cases stays on the card.
        command: how anybody can measure it again.
    """
    card = read_card(folder)
    names = {figure.name for figure in evaluation.figures}
    stale = [figure.data in (None, evaluation.data) and figure.name in names for figure in card.figures]
    fresh = [figure.model_copy(update={"data": evaluation.data}) for figure in evaluation.figures]
    commands = dict.fromkeys([*filter(None, card.measured_by.splitlines()), command])
    measured = {"figures": _in_place(card.figures, stale, fresh), "measured_by": "\n".join(commands)}
    new = card.model_copy(update={**measured, "worst": _worst(card, evaluation)})
    write_card(folder, new)
    return new


def _worst(card: Card, evaluation: Evaluation) -> list[Worst]:
    seen = {(case.data, case.id): case.seen for case in card.worst}
    updates = [{"data": evaluation.data, "seen": seen.get((evaluation.data, case.id))} for case in evaluation.worst]
    fresh = [case.model_copy(update=update) for case, update in zip(evaluation.worst, updates, strict=True)]
    return _in_place(card.worst, [case.data == evaluation.data for case in card.worst], fresh)


def _in_place(old: list[M], stale: list[bool], fresh: list[M]) -> list[M]:
    """The fresh ones where the first stale one was, or at the end; without the stale ones."""
    begin = stale.index(True) if any(stale) else len(old)
    rest = [entry for entry, gone in zip(old[begin:], stale[begin:], strict=True) if not gone]
    return [*old[:begin], *fresh, *rest]

"""The pictures whose class is known, and the two sides among them that are to be told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.learn.data.examples import NOTHING
from medvis.learn.measuring.evaluation import Judge
from medvis.learn.measuring.predictions import Looked
from medvis.model.card import Card

NORMAL = "normal"


@dataclass(frozen=True)
class Told:
    """What was said of the pictures whose class is known.

    Attributes:
        names: of the k classes; `normal`: which of them mean that there is nothing.
        chance: [n, k], each row sums to 1 where the classes exclude each other.
        truth: [n], index of the true class.
        positive: least probability of all that is not normal with which a picture is called positive, as shipped.
        groups: [n].
        verdicts: [n] of the whole pipeline; None where there was none.
    """

    names: tuple[str, ...]
    normal: Bools
    chance: Float64s
    truth: Indices
    positive: float
    groups: list[str]
    verdicts: list[str | None]

    @property
    def said(self) -> Indices:
        """[n], the likeliest class."""
        return np.asarray(self.chance.argmax(1), np.intp)


@dataclass(frozen=True)
class Contrast:
    """Two sides to be told apart: scores and truth of the rows of both, and what was said at the shipped threshold."""

    key: str
    name: str
    scores: Float64s
    truth: Bools
    said: Bools
    groups: list[str]


def tell(looked: list[Looked], card: Card) -> Told | None:
    """The pictures whose label the model knows; None if there is none.

    A label is known by its name on the card; whatever means "nothing" by the card's normal class or, where a binary
    label stands alone, by its absence.
    """
    labels = [label for label in card.labels if any(one.chances and label.name in one.chances for one in looked)]
    names = [label.name for label in labels]
    normal = [label.normal for label in labels]
    alone = len(names) == 1
    if alone:
        names, normal = [*names, NORMAL], [False, True]
    rows = [(one, place) for one in looked if one.chances and (place := _place(one, names, normal)) is not None]
    if not rows:
        return None
    chance = np.array([[one.chances[name] for name in names[: len(labels)]] for one, _ in rows if one.chances])
    chance = np.hstack([chance, 1 - chance]) if alone else chance
    return Told(
        tuple(names), np.array(normal), chance, np.array([place for _, place in rows], np.intp),
        card.thresholds.get("positive", 0.5), [one.example.group for one, _ in rows],
        [one.verdict for one, _ in rows],
    )  # fmt: skip


def _place(one: Looked, names: list[str], normal: list[bool]) -> int | None:
    label = one.example.label.casefold()
    for place, name in enumerate(names):
        if name.casefold() == label or (normal[place] and label in NOTHING):
            return place
    return None


def contrasts(judge: Judge, told: Told) -> list[Contrast]:
    """The two sides that the task's YAML names; and what is not normal against what is, if that is something else."""
    named = judge.settings.contrast
    found = [_named(told, *named)] if named and set(named) <= set(told.names) else []
    if told.normal.any() and not told.normal.all():
        whole = _against_normal(told)
        # One disease and its absence are the same contrast twice: the second knows the shipped threshold.
        found = [one for one in found if one.name != whole.name]
        found.append(whole if not found else replace(whole, key="abnormal_auc"))
    return [contrast for contrast in found if 0 < contrast.truth.sum() < len(contrast.truth)]


def _named(told: Told, positive: str, negative: str) -> Contrast:
    first, second = told.names.index(positive), told.names.index(negative)
    rows = np.flatnonzero((told.truth == first) | (told.truth == second))
    groups = [told.groups[row] for row in rows]
    scores, truth, said = told.chance[rows, first], told.truth[rows] == first, told.said[rows] == first
    return Contrast("auc", f"{positive} against {negative}", scores, truth, said, groups)


def _against_normal(told: Told) -> Contrast:
    abnormal = np.asarray(told.chance[:, ~told.normal].sum(1), np.float64)
    others, clear = [
        [name for name, is_it in zip(told.names, told.normal, strict=True) if is_it == side] for side in (False, True)
    ]
    name = f"{others[0] if len(others) == 1 else 'not normal'} against {clear[0] if len(clear) == 1 else NORMAL}"
    return Contrast("auc", name, abnormal, ~told.normal[told.truth], abnormal >= told.positive, told.groups)

"""The pictures whose class is known, and the two sides among them that are to be told apart, as in a ROC curve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.learn.data.label_names import ClassNames
from medvis.learn.measuring.evaluation import FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction
from medvis.model.card import Card

NORMAL = "normal"


@dataclass(frozen=True)
class ClassPredictions:
    """Predictions of the n pictures whose class is known.

    Attributes:
        names: of the k classes.
        normal: bool [k], which of them mean that there is nothing to be found.
        probability: [n, k]; each row sums to 1 where the classes exclude each other.
        truth: [n], index of the true class.
        positive: least probability of all that is not normal with which a picture is called positive, as shipped.
        groups: [n].
        verdicts: [n] of the whole pipeline; None where there was none.
    """

    names: tuple[str, ...]
    normal: Bools
    probability: Float64s
    truth: Indices
    positive: float
    groups: list[str]
    verdicts: list[str | None]

    @property
    def predicted(self) -> Indices:
        """[n], index of the likeliest class."""
        return np.asarray(self.probability.argmax(1), np.intp)


@dataclass(frozen=True)
class ClassSides:
    """Two sides to be told apart: the rows of both.

    Attributes:
        key: of the AUC among the figures.
        name: as people read it.
        scores: [n], larger for the positive side.
        truth: bool [n], True on the positive side.
        predicted: bool [n], what is called positive at the shipped threshold.
        groups: [n].
    """

    key: str
    name: str
    scores: Float64s
    truth: Bools
    predicted: Bools
    groups: list[str]


def class_predictions(predictions: list[PicturePrediction], card: Card) -> ClassPredictions | None:
    """The pictures whose label the model knows; None if there is none.

    A label is known by its name on the card; whatever means "nothing" by the card's normal class or, where a binary
    label stands alone, by its absence.
    """
    labels = [label for label in card.labels if any(label.name in (row.probabilities or {}) for row in predictions)]
    names = [label.name for label in labels]
    normal = [label.normal for label in labels]
    binary = len(names) == 1
    if binary:
        names, normal = [*names, NORMAL], [False, True]
    classes = ClassNames(tuple(names), tuple(normal))
    truths = [classes.index(row.example.label) if row.probabilities else None for row in predictions]
    known = [(row, truth) for row, truth in zip(predictions, truths, strict=True) if truth is not None]
    if not known:
        return None
    table = np.array([[(row.probabilities or {})[label.name] for label in labels] for row, _ in known])
    return ClassPredictions(
        names=tuple(names),
        normal=np.array(normal),
        probability=np.hstack([table, 1 - table]) if binary else table,
        truth=np.array([truth for _, truth in known], np.intp),
        positive=card.thresholds.get("positive", 0.5),
        groups=[row.example.group for row, _ in known],
        verdicts=[row.verdict for row, _ in known],
    )


def class_sides(maker: FigureMaker, classes: ClassPredictions) -> list[ClassSides]:
    """The two sides that the task's YAML names; and what is not normal against what is, if that is something else."""
    named = maker.settings.class_sides
    sides = [_named(classes, *named)] if named and set(named) <= set(classes.names) else []
    if classes.normal.any() and not classes.normal.all():
        abnormal = _against_normal(classes)
        # One disease and its absence are the same two sides twice: the second knows the shipped threshold.
        sides = [pair for pair in sides if pair.name != abnormal.name]
        sides.append(abnormal if not sides else replace(abnormal, key="abnormal_auc"))
    return [pair for pair in sides if 0 < pair.truth.sum() < len(pair.truth)]


def _named(classes: ClassPredictions, positive: str, negative: str) -> ClassSides:
    first, second = classes.names.index(positive), classes.names.index(negative)
    rows = np.flatnonzero((classes.truth == first) | (classes.truth == second))
    return ClassSides(
        "auc",
        f"{positive} against {negative}",
        scores=classes.probability[rows, first],
        truth=classes.truth[rows] == first,
        predicted=classes.predicted[rows] == first,
        groups=[classes.groups[row] for row in rows],
    )


def _against_normal(classes: ClassPredictions) -> ClassSides:
    abnormal = np.asarray(classes.probability[:, ~classes.normal].sum(1), np.float64)
    others, clear = [
        [name for name, normal in zip(classes.names, classes.normal, strict=True) if normal == side]
        for side in (False, True)
    ]
    name = f"{others[0] if len(others) == 1 else 'not normal'} against {clear[0] if len(clear) == 1 else NORMAL}"
    return ClassSides(
        "auc", name, abnormal, ~classes.normal[classes.truth], abnormal >= classes.positive, classes.groups
    )

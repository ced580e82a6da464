"""The verdict of the classes of a whole image: positive or negative, its probability, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medvis.core.case import Case
from medvis.core.labels import ClassDistribution, LabelProbability
from medvis.core.wording import percent
from medvis.model.card import Card


@dataclass(frozen=True)
class ClassVerdict:
    """What the classes alone would decide.

    Attributes:
        decision: of the classes alone.
        probability: that there is something to find.
        reason: the class it rests on, and how likely that is; of a contradicted negative, the class that speaks
            against it.
        contradicted: whether it is negative, and yet likelier than not that there is something.
        spread: sd of the likeliest class's probability over the views; None if unknown.
        rivals: the two likeliest of the classes that exclude each other, each with its probability; else None.
        margin: the distance between those two.
    """

    decision: Literal["positive", "negative"]
    probability: float
    reason: str
    contradicted: bool
    spread: float | None
    rivals: str | None
    margin: float


def class_verdict(case: Case, card: Card) -> ClassVerdict | None:
    """The verdict of the classes of a case; None where `classify` has not run.

    With a normal class, or with labels that do not exclude each other, the card's threshold ``positive`` decides; of
    classes that are all defects, one is always right.
    """
    if case.classes is None or case.prediction is None or case.prediction.distribution is None:
        return None
    distribution = case.prediction.distribution
    ranked, abnormal = distribution.ranked, distribution.abnormal
    words = [
        f"{reading.name} {percent(entry.probability)}" for entry, reading in zip(ranked, case.classes, strict=True)
    ]
    threshold = card.thresholds.get("positive", 0.5)
    positive = _only_defects(distribution) or abnormal >= threshold
    likely = abnormal >= 0.5
    supporting = distribution.leading if positive or likely else _normal(distribution)
    reason = words[ranked.index(supporting)]
    if distribution.exclusive and not supporting.label.normal and _several_defects(distribution):
        reason += f", not normal {percent(abnormal)}"
    if not _only_defects(distribution) and positive != likely:
        reason += f" (positive from {percent(threshold)})"
    spread = case.prediction.logits_spread
    rivals = distribution.exclusive and len(ranked) > 1
    return ClassVerdict(
        decision="positive" if positive else "negative",
        probability=round(abnormal, 4),
        reason=reason,
        contradicted=likely and not positive,
        spread=None if spread is None else float(spread[ranked[0].index]),
        rivals=f"{words[0]} and {words[1]}" if rivals else None,
        margin=ranked[0].probability - ranked[1].probability if rivals else 1.0,
    )


def _only_defects(distribution: ClassDistribution) -> bool:
    return distribution.exclusive and not distribution.has_normal


def _several_defects(distribution: ClassDistribution) -> bool:
    """Whether "not normal" says more than the class itself: there is a normal class, and several others."""
    return distribution.has_normal and sum(not entry.label.normal for entry in distribution.ranked) > 1


def _normal(distribution: ClassDistribution) -> LabelProbability:
    """The likeliest normal label; the likeliest of all if none is normal."""
    return next((entry for entry in distribution.ranked if entry.label.normal), distribution.ranked[0])

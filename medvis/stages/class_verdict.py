"""What the classes of a whole image say: positive or negative, how sure, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medvis.core.case import Case
from medvis.core.report import percent
from medvis.model.card import Card
from medvis.stages.labels import Share, abnormal, exclusive, leading, ranked


@dataclass(frozen=True)
class Opinion:
    """The classes' say in the verdict.

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


def opinion_of(case: Case, card: Card) -> Opinion | None:
    """None where no class was told.

    With a normal class, or with labels that do not exclude each other, the card's threshold ``positive`` decides; of
    classes that are all defects, one is always right.
    """
    if case.classes is None or case.prediction is None or case.prediction.logits is None:
        return None
    shares = ranked(case.prediction.logits, card)
    words = {
        share.place: f"{reading.name} {percent(share.probability)}"
        for share, reading in zip(shares, case.classes, strict=True)
    }
    chance, threshold = abnormal(shares), card.thresholds.get("positive", 0.5)
    defects_only = exclusive(card) and not any(share.label.normal for share in shares)
    positive = defects_only or chance >= threshold
    likely = chance >= 0.5
    told = leading(shares) if positive or likely else next((one for one in shares if one.label.normal), shares[0])
    reason = words[told.place]
    others = exclusive(card) and sum(not share.label.normal for share in shares) > 1
    if others and not defects_only and not told.label.normal:
        reason += f", not normal {percent(chance)}"
    if not defects_only and positive != likely:
        reason += f" (positive from {percent(threshold)})"
    spread = case.prediction.logits_spread
    return Opinion(
        decision="positive" if positive else "negative",
        probability=round(chance, 4),
        reason=reason,
        contradicted=likely and not positive,
        spread=None if spread is None else float(spread[shares[0].place]),
        rivals=None if not _rivals(shares, card) else f"{words[shares[0].place]} and {words[shares[1].place]}",
        margin=shares[0].probability - shares[1].probability if _rivals(shares, card) else 1.0,
    )


def _rivals(shares: list[Share], card: Card) -> bool:
    return exclusive(card) and len(shares) > 1

"""How likely an outline of a whole image is a true finding: by its mask, and by the class of the image."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from medvis.core.arrays import Labels
from medvis.core.case import Prediction
from medvis.core.scan import Scan
from medvis.model.card import Card
from medvis.stages.labels import abnormal, exclusive, ranked
from medvis.stages.scoring import Score, features, finding_probability, score_components


def score_lesions(prediction: Prediction, mask: Labels, card: Card, scan: Scan | None = None) -> list[Score]:
    """A score for every component of every frame of an int32 mask [frames, rows, cols].

    Of a whole image with classes, the features of the card's calibration ``finding`` are those of the outline and
    `class_features`. Without a calibration the probability is that of the mask alone.
    """
    scores = score_components(prediction, mask, card, scan)
    seen = class_features(prediction, card)
    if not seen or not card.calibration.get("finding"):
        return scores
    return [replace(score, probability=_probability(prediction, mask, score, seen, card)) for score in scores]


def class_features(prediction: Prediction, card: Card) -> dict[str, float]:
    """Of a whole image with classes: ``class``, the log odds that it is not normal; else nothing.

    Where no class is normal, every image is abnormal, and its class says nothing about an outline.
    """
    if prediction.logits is None or not exclusive(card) or not any(label.normal for label in card.labels):
        return {}
    chance = min(max(abnormal(ranked(prediction.logits, card)), 1e-6), 1 - 1e-6)
    return {"class": log(chance / (1 - chance))}


def _probability(prediction: Prediction, mask: Labels, score: Score, seen: dict[str, float], card: Card) -> float:
    inside = mask[score.frame] == score.label
    return finding_probability({**features(prediction, inside, score.frame, None), **seen}, card)


def joint_probability(probability: float, prediction: Prediction, card: Card) -> float:
    """That an outline is a true finding, the class of the image included.

    Where a calibration has not weighed the two, they must both be right: the product.
    """
    seen = class_features(prediction, card)
    if not seen or card.calibration.get("finding"):
        return probability
    return probability / (1 + exp(-seen["class"]))


def share_of_class(name: str, prediction: Prediction, card: Card) -> float | None:
    """Probability of one class among those that are not normal; None where the image is normal beyond doubt."""
    if prediction.logits is None:
        return None
    shares = [share for share in ranked(prediction.logits, card) if not share.label.normal]
    total = sum(share.probability for share in shares)
    own = sum(share.probability for share in shares if share.label.name == name)
    return own / total if total > 0 else None

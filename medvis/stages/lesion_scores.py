"""How likely an outline of a whole image is a true finding: by its mask, and by the class of the image."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from medvis.core.arrays import Labels
from medvis.core.case import Prediction, Score
from medvis.core.labels import ClassDistribution
from medvis.core.scan import Scan
from medvis.model.card import Card
from medvis.stages.scoring import features, finding_probability, score_components


def score_lesions(prediction: Prediction, mask: Labels, card: Card, scan: Scan | None = None) -> list[Score]:
    """A score for every component of every frame of an int32 mask [frames, rows, cols].

    Of a whole image with classes, the features of the card's calibration ``finding`` are those of the outline and
    `class_features`. Without a calibration the probability is that of the mask alone.
    """
    scores = score_components(prediction, mask, card, scan)
    class_values = class_features(prediction.distribution)
    if not class_values or not card.calibration.get("finding"):
        return scores
    return [replace(score, probability=_probability(prediction, mask, score, class_values, card)) for score in scores]


def class_features(distribution: ClassDistribution | None) -> dict[str, float]:
    """Of a whole image with classes: ``class``, the log odds that it is not normal; else nothing.

    Where no class is normal, every image is abnormal, and its class says nothing about an outline.
    """
    if distribution is None or not distribution.exclusive or not distribution.has_normal:
        return {}
    abnormal = min(max(distribution.abnormal, 1e-6), 1 - 1e-6)
    return {"class": log(abnormal / (1 - abnormal))}


def _probability(
    prediction: Prediction, mask: Labels, score: Score, class_values: dict[str, float], card: Card
) -> float:
    inside = mask[score.frame] == score.label
    return finding_probability({**features(prediction, inside, score.frame, None), **class_values}, card)


def joint_probability(probability: float, prediction: Prediction, card: Card) -> float:
    """That an outline is a true finding, the class of the image included.

    Where a calibration has not weighed the two, they must both be right: the product.
    """
    class_values = class_features(prediction.distribution)
    if not class_values or card.calibration.get("finding"):
        return probability
    return probability / (1 + exp(-class_values["class"]))

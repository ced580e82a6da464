"""The components that a mask threshold leaves of val pictures, and what a cut through their probabilities gives."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float64s, Labels
from medvis.core.case import Prediction
from medvis.core.logits import sigmoid
from medvis.learn.figures.metrics import fit_scaled_logistic, iou, named_weights
from medvis.model.card import Card
from medvis.ops.components import hysteresis, label_frames
from medvis.stages.lesion_scores import class_features
from medvis.stages.scoring import features, logistic, match

# What the finding's logistic model may look at; those that a task does not have are left out of it.
FEATURES = ("mask", "spread", "log_diameter_px", "class", "class_spread")
# With fewer true or fewer false components than this, the model would learn them by heart.
LEAST_OF_A_KIND = 5


@dataclass(frozen=True)
class Marked:
    """One val picture after inference, and its reference.

    Attributes:
        prediction: one frame.
        truth: bool [rows, cols].
        parts: int32 [rows, cols], the lesions numbered from 1.
    """

    prediction: Prediction
    truth: Bools
    parts: Labels

    @classmethod
    def of(cls, prediction: Prediction, truth: Bools) -> Marked:
        """With the lesions told apart."""
        _, parts = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)
        return cls(prediction, truth, np.asarray(parts, np.int32))


@dataclass(frozen=True)
class Component:
    """One component of one picture.

    Attributes:
        picture: place of its picture.
        area, inside: its pixels, and those of them in the reference.
        lesions: (picture, number) of those that it finds: IoU of at least the task's `hit`, other lesions left out.
        values: what the logistic model sees of it.
    """

    picture: int
    area: int
    inside: int
    lesions: tuple[tuple[int, int], ...]
    values: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """What one choice of thresholds does to val.

    Attributes:
        dice: mean over the pictures with a lesion.
        dice_all: mean over all; one without a lesion counts 1 if it is left clean, else 0.
        recall: share of the lesions that are found.
        extra: findings a picture that touch no lesion.
    """

    high: float
    low: float
    min_pixels: int
    finding: float
    dice: float
    dice_all: float
    recall: float
    extra: float


def components_of(pictures: list[Marked], card: Card, outline: tuple[float, float], hit: float) -> list[Component]:
    """All components of all pictures between (high, low), whatever their size."""
    found = []
    for place, picture in enumerate(pictures):
        logits = picture.prediction.logits
        # The card's temperature may be newer than the prediction.
        seen = class_features(None if logits is None else card.label_set.distribution(logits))
        mask = label_frames(hysteresis(sigmoid(picture.prediction.mask_logits.max(1)), *outline), 1)[0]
        for number in range(1, int(mask.max(initial=0)) + 1):
            inside = mask == number
            candidate = match(picture.prediction, inside, 0)
            values = {**features(picture.prediction, inside, 0, candidate), **seen}
            struck = tuple((place, lesion) for lesion in _struck(picture, inside, hit))
            found.append(Component(place, int(inside.sum()), int((inside & picture.truth).sum()), struck, values))
    return found


def _struck(picture: Marked, inside: Bools, hit: float) -> list[int]:
    touched = [int(number) for number in np.unique(picture.parts[inside]) if number]
    lesions = [(number, picture.parts == number) for number in touched]
    return [number for number, one in lesions if iou(inside & (one | ~picture.truth), one) >= hit]


def fit_finding(components: list[Component]) -> dict[str, float] | None:
    """Weights of P(the component finds a lesion); None where val has too few of either kind to tell."""
    truth = np.array([bool(component.lesions) for component in components])
    if min(int(truth.sum()), int((~truth).sum())) < LEAST_OF_A_KIND:
        return None
    names = [name for name in FEATURES if any(name in component.values for component in components)]
    table = np.array([[component.values.get(name, 0.0) for name in names] for component in components])
    return named_weights(names, fit_scaled_logistic(table, truth.astype(np.float64), ridge=1.0))


def chances_of(components: list[Component], finding: dict[str, float] | None) -> Float64s:
    """The calibrated probability of each, as the pipeline will say it."""
    weights = finding or {"bias": 0.0, "mask": 1.0}
    return np.array([logistic(weights, component.values) for component in components], np.float64)


class Trials:
    """Tries sizes and cuts on the components of one outline."""

    def __init__(self, pictures: list[Marked], components: list[Component], chances: Float64s) -> None:
        self.components, self.chances = components, chances
        self.truth = np.array([int(picture.truth.sum()) for picture in pictures])
        self.lesions = sum(int(picture.parts.max(initial=0)) for picture in pictures)

    def at(self, outline: tuple[float, float], min_pixels: int, cut: float) -> Trial:
        """With components of at least that size and probability."""
        kept = [
            one for one, chance in zip(self.components, self.chances, strict=True)
            if chance >= cut and one.area >= min_pixels
        ]  # fmt: skip
        area, inside = np.zeros(len(self.truth)), np.zeros(len(self.truth))
        for one in kept:
            area[one.picture] += one.area
            inside[one.picture] += one.inside
        total = area + self.truth
        scores = np.where(total > 0, 2 * inside / np.maximum(total, 1), 1.0)
        marked = self.truth > 0
        found = {lesion for one in kept for lesion in one.lesions}
        return Trial(
            *outline, min_pixels, cut,
            dice=float(scores[marked].mean()) if marked.any() else 0.0,
            dice_all=float(scores.mean()),
            recall=len(found) / self.lesions if self.lesions else 0.0,
            extra=sum(one.inside == 0 for one in kept) / len(self.truth),
        )  # fmt: skip

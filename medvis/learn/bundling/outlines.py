"""The components that a mask threshold leaves of val pictures, and what a cut through their probabilities gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Bools, Float64s, Labels
from medvis.core.case import Prediction
from medvis.core.logits import sigmoid
from medvis.learn.bundling.logistic import fit_scaled_logistic, named_weights
from medvis.learn.figures.matching import hits, overlaps, separate_lesions
from medvis.model.card import Card
from medvis.ops.components import hysteresis, label_frames
from medvis.stages.lesion_scores import class_features
from medvis.stages.scoring import features, logistic, match

# What the finding's logistic model may look at; those that a task does not have are left out of it.
FEATURES = ("mask", "spread", "log_diameter_px", "class", "class_spread")
# With fewer true or fewer false components than this, the model would learn them by heart.
LEAST_OF_A_KIND = 5


@dataclass(frozen=True)
class MarkedPicture:
    """One val picture after inference, and its reference.

    Attributes:
        prediction: one frame.
        truth: bool [rows, cols].
        lesions: int32 [rows, cols], numbered from 1.
    """

    prediction: Prediction
    truth: Bools
    lesions: Labels

    @classmethod
    def of(cls, prediction: Prediction, truth: Bools) -> MarkedPicture:
        """With the lesions told apart."""
        return cls(prediction, truth, separate_lesions(truth))


@dataclass(frozen=True)
class PictureComponent:
    """One component of one picture.

    Attributes:
        picture: index of its picture.
        area, inside: its pixels, and those of them in the reference.
        lesions: (picture, number) of those that it hits, by the rule of `figures.matching` at the task's `hit`.
        values: what the logistic model sees of it.
    """

    picture: int
    area: int
    inside: int
    lesions: tuple[tuple[int, int], ...]
    values: dict[str, float]


@dataclass(frozen=True)
class PictureTrial:
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


def components_of(
    pictures: list[MarkedPicture], card: Card, outline: tuple[float, float], hit: float
) -> list[PictureComponent]:
    """All components of all pictures between (high, low), whatever their size."""
    components = []
    for index, picture in enumerate(pictures):
        logits = picture.prediction.logits
        # The card's temperature may be newer than the prediction.
        classes = class_features(None if logits is None else card.label_set.distribution(logits))
        mask = label_frames(hysteresis(sigmoid(picture.prediction.mask_logits.max(1)), *outline), 1)[0]
        for number in range(1, int(mask.max(initial=0)) + 1):
            inside = mask == number
            candidate = match(picture.prediction, inside, 0)
            values = {**features(picture.prediction, inside, 0, candidate), **classes}
            detected = tuple((index, lesion) for lesion in hits(overlaps(inside, picture.lesions), hit))
            area, shared = int(inside.sum()), int((inside & picture.truth).sum())
            components.append(PictureComponent(index, area, shared, detected, values))
    return components


def fit_finding(components: list[PictureComponent]) -> dict[str, float] | None:
    """Weights of P(the component finds a lesion); None where val has too few of either kind to tell."""
    truth = np.array([bool(component.lesions) for component in components])
    if min(int(truth.sum()), int((~truth).sum())) < LEAST_OF_A_KIND:
        return None
    names = [name for name in FEATURES if any(name in component.values for component in components)]
    table = np.array([[component.values.get(name, 0.0) for name in names] for component in components])
    return named_weights(names, fit_scaled_logistic(table, truth.astype(np.float64), ridge=1.0))


def probabilities_of(components: list[PictureComponent], finding: dict[str, float] | None) -> Float64s:
    """The calibrated probability of each, as the pipeline computes it."""
    weights = finding or {"bias": 0.0, "mask": 1.0}
    return np.array([logistic(weights, component.values) for component in components], np.float64)


class PictureTrials:
    """Tries sizes and cuts on the components of one outline."""

    def __init__(
        self, pictures: list[MarkedPicture], components: list[PictureComponent], probabilities: Float64s
    ) -> None:
        self.components, self.probabilities = components, probabilities
        self.truth = np.array([int(picture.truth.sum()) for picture in pictures])
        self.lesions = sum(int(picture.lesions.max(initial=0)) for picture in pictures)

    def at(self, outline: tuple[float, float], min_pixels: int, cut: float) -> PictureTrial:
        """With components of at least that size and probability."""
        kept = [
            component for component, probability in zip(self.components, self.probabilities, strict=True)
            if probability >= cut and component.area >= min_pixels
        ]  # fmt: skip
        area, inside = np.zeros(len(self.truth)), np.zeros(len(self.truth))
        for component in kept:
            area[component.picture] += component.area
            inside[component.picture] += component.inside
        total = area + self.truth
        scores = np.where(total > 0, 2 * inside / np.maximum(total, 1), 1.0)
        marked = self.truth > 0
        detected = {lesion for component in kept for lesion in component.lesions}
        return PictureTrial(
            *outline, min_pixels, cut,
            dice=float(scores[marked].mean()) if marked.any() else 0.0,
            dice_all=float(scores.mean()),
            recall=len(detected) / self.lesions if self.lesions else 0.0,
            extra=sum(not component.inside for component in kept) / len(self.truth),
        )  # fmt: skip

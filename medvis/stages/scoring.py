"""Probability that a component is a true finding: a logistic model over the closer look's features, fitted on val."""

from __future__ import annotations

from math import exp, log, pi, sqrt
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Float32s, Labels
from medvis.core.case import Prediction, Score
from medvis.core.scan import Scan
from medvis.model.card import Card
from medvis.ops.chest.surroundings import aerated_rim

# How far (px) a component's centre may have moved from its candidate's while the views were merged.
REACH = 12.0


def score_components(prediction: Prediction, mask: Labels, card: Card, scan: Scan | None = None) -> list[Score]:
    """A score for every component of every frame of an int32 mask [frames, rows, cols].

    With the scan in Hounsfield units and the size of its pixels, its surroundings count as well.
    """
    scores = []
    for frame, plane in enumerate(mask):
        for label in np.unique(plane[plane > 0]):
            inside = plane == label
            around = surroundings(scan, inside, frame)
            scores.append(_score(prediction, inside, (frame, int(label)), around, card))
    return scores


def features(prediction: Prediction, inside: Bools, frame: int, candidate: int | None) -> dict[str, float]:
    """The features of the logistic model; `inside` is bool [rows, cols]."""
    values = outline_features(prediction.mask_logits[frame].max(0), prediction.spread[frame], inside)
    if candidate is not None and prediction.candidates is not None:
        values["class"] = float(prediction.candidates.logits[candidate, 0])
        values["class_spread"] = float(prediction.candidates.spread[candidate, 0])
    return values


def outline_features(logits: Float32s, spread: Float32s, inside: Bools) -> dict[str, float]:
    """The part of the features that the mask gives; all arrays [rows, cols], at least one pixel inside."""
    return {
        "mask": float(logits[inside].mean()),
        "spread": float(spread[inside].mean()),
        "log_diameter_px": log(2 * sqrt(float(inside.sum()) / pi)),
    }


def surroundings(scan: Scan | None, inside: Bools, frame: int) -> dict[str, float]:
    """The part of the features that millimetres and Hounsfield units give; empty where one of them is unknown."""
    if scan is None or scan.unit != "HU" or scan.geometry.spacing is None:
        return {}
    air = aerated_rim(scan.pixels[frame][..., 0], inside, scan.geometry.spacing)
    if air is None:
        return {}
    area = float(inside.sum()) * scan.geometry.spacing[0] * scan.geometry.spacing[1]
    return {"log_diameter_mm": log(2 * sqrt(area / pi)), "air": air}


def finding_probability(values: dict[str, float], card: Card) -> float:
    """The calibrated probability of a true finding; without a calibration that of its mask."""
    return logistic(finding_weights(values, card.calibration), values)


def finding_weights(values: dict[str, float], calibration: dict[str, Any]) -> dict[str, float]:
    """``finding_hu``, the model with the surroundings, where all that it looks at is known; else ``finding``."""
    rich = calibration.get("finding_hu")
    if rich and set(values).issuperset(name for name in rich if name != "bias"):
        return dict(rich)
    return calibration.get("finding") or {"bias": 0.0, "mask": 1.0}


def rating_values(logits: dict[str, float], area_mm2: float) -> dict[str, float]:
    """What the calibration ``malignancy`` may weigh: the class logits of a finding, and its area as outlined."""
    return {**logits, "log_area_mm2": log(area_mm2)}


def logistic(weights: dict[str, float], values: dict[str, float]) -> float:
    """σ(bias + Σ weight · value); a value that is not known counts as 0."""
    z = weights["bias"] + sum(weights[name] * values.get(name, 0.0) for name in weights if name != "bias")
    return 1 / (1 + exp(-max(min(z, 60.0), -60.0)))


def match(prediction: Prediction, inside: Bools, frame: int) -> int | None:
    """The candidate that a component came from: the nearest on its frame, its centre inside or close by."""
    if prediction.candidates is None:
        return None
    here = np.flatnonzero(prediction.candidates.frame == frame)
    if len(here) == 0:
        return None
    rows, cols = np.nonzero(inside)
    centres = prediction.candidates.center[here]
    # Distance from the candidate's centre to the component's nearest pixel: 0 if it lies inside.
    gaps = [float(np.hypot(rows - row, cols - col).min()) for row, col in centres]
    best = int(np.argmin(gaps))
    return int(here[best]) if gaps[best] <= REACH else None


def _score(
    prediction: Prediction, inside: Bools, position: tuple[int, int], around: dict[str, float], card: Card
) -> Score:
    frame, label = position
    candidate = match(prediction, inside, frame)
    values = {**features(prediction, inside, frame, candidate), **around}
    # What the closer look at another candidate left over was never looked at itself.
    unseen = prediction.candidates is not None and candidate is None
    probability = 0.0 if unseen else finding_probability(values, card)
    spread = values.get("class_spread", values["spread"])
    return Score(label, frame, int(inside.sum()), candidate, probability, spread)

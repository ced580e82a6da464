"""Everything that is fitted on val after training: the finding score, the malignancy probability, the thresholds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvis.core.card import Card
from medvis.core.case import Prediction
from medvis.core.protocols import Predictor
from medvis.errors import ModelError
from medvis.learn.data.index import Row, load_grey_scans, read_index
from medvis.learn.figures.metrics import (
    auc,
    calibration_error,
    dice,
    fit_logistic,
    fit_scaled_logistic,
    iou,
    named_weights,
)
from medvis.learn.measuring.crops import EVERYWHERE, CropCase, Say, run_crops
from medvis.ops.components import hysteresis, label_frames
from medvis.ops.measure import diameters
from medvis.ops.tta import sigmoid
from medvis.pipeline import Pipeline
from medvis.stages.scoring import features, logistic, match, rating_values

FEATURES = ("mask", "spread", "log_diameter_px", "class", "class_spread")
OUTLINES = ((0.5, 0.5), (0.5, 0.4), (0.5, 0.3), (0.4, 0.4), (0.4, 0.3), (0.3, 0.3), (0.3, 0.2), (0.25, 0.25))
# Chosen by cross-validation within val: with all the readers' ratings the AUC is 0.935, with the malignancy logit and
# size 0.928, with size alone 0.905.
RATINGS = ("calcification", "texture", "spiculation", "lobulation", "margin", "sphericity", "subtlety")
DESCRIPTORS = ("malignancy", *RATINGS, "log_area_mm2")
SIZES = ("log_diameter_mm", "log_area_mm2")
CUTS = tuple(np.round(np.arange(0.1, 0.75, 0.05), 2))
HIT = 0.3
# False findings a crop of 128 px that val may have. A whole slice has about ten times as many - hilum and mediastinum
# are rare in the crops - and two a slice are the most that a reader will bear: on the 48 slices of a chest CT that is
# in no split (lung1 of pyradiomics 3.0.1) 0.2 makes 2.5, and 0.12 leaves a margin.
MOST_EXTRA = 0.12


@dataclass(frozen=True)
class Component:
    """One component of one val crop."""

    crop: int
    inside: NDArray[np.bool_]
    values: dict[str, float]
    overlap: float
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class Looked:
    """One val crop after inference: what the thresholds are tried on."""

    row: Row
    prediction: Prediction
    truth: NDArray[np.bool_]
    spacing: tuple[float, float] | None


def calibrate(task: str, predictor: Predictor, data: Path, say: Say) -> tuple[dict[str, float], dict[str, Any]]:
    """Thresholds and calibration for the card, fitted on the val split only.

    Returns:
        (thresholds: high, low, finding; calibration: weights, and how well they fit val).
    """
    # Nothing is given up early: what a candidate is worth is only fitted here.
    pipeline = Pipeline(task, {**EVERYWHERE, "stages.infer.candidate.reject": 0.0}, predictor)
    scans = load_grey_scans(read_index(data, "val"), int(pipeline.config.train.get("readers", 1)))
    crops = [_looked(crop) for crop in run_crops(pipeline, scans, None, "infer", say)]
    components = _components(crops, 0.4, 0.3)
    finding = _fit_finding(components)
    choice = max((_try(crops, finding, high, low) for high, low in OUTLINES), key=lambda tried: tried["dice"])
    thresholds = {name: choice[name] for name in ("high", "low", "finding")}
    calibration: dict[str, Any] = {"finding": finding, "val": {key: round(choice[key], 4) for key in ("dice", "extra")}}
    if predictor.card.index("malignancy") is not None:
        calibration.update(_fit_malignancy(crops, components, predictor.card))
    return thresholds, calibration


def _looked(crop: CropCase) -> Looked:
    assert crop.case.prediction is not None  # the pipeline has run up to infer
    return Looked(crop.row, crop.case.prediction, crop.truth, crop.case.scan.geometry.spacing)


def _components(crops: list[Looked], high: float, low: float) -> list[Component]:
    out = []
    for index, crop in enumerate(crops):
        mask = label_frames(hysteresis(sigmoid(crop.prediction.mask_logits.max(1)), high, low), 4)
        for label in np.unique(mask)[1:]:
            inside = mask[0] == label
            row, candidates = match(crop.prediction, inside, 0), crop.prediction.candidates
            if row is None or candidates is None:
                continue  # never a finding: nobody looked at it closely
            values, logits = features(crop.prediction, inside, 0, row), candidates.logits[row]
            out.append(Component(index, inside, values, iou(inside, crop.truth), logits))
    return out


def _fit_finding(components: list[Component]) -> dict[str, float]:
    if not components:
        raise ModelError("the model outlines nothing on val", "a trained network", "train it longer")
    table = np.array([[component.values.get(name, 0.0) for name in FEATURES] for component in components])
    truth = np.array([component.overlap >= HIT for component in components], float)
    return named_weights(FEATURES, fit_logistic(table, truth))


def _try(crops: list[Looked], finding: dict[str, float], high: float, low: float) -> dict[str, float]:
    """The best cut for one outline: largest val Dice with at most `MOST_EXTRA` false findings a crop."""
    components = _components(crops, high, low)
    chances = np.array([logistic(finding, component.values) for component in components])
    tried = [_at_cut(crops, components, chances, cut) for cut in CUTS]
    allowed = [one for one in tried if one["extra"] <= MOST_EXTRA] or [min(tried, key=lambda one: one["extra"])]
    return {**max(allowed, key=lambda one: one["dice"]), "high": high, "low": low}


def _at_cut(
    crops: list[Looked], components: list[Component], chances: NDArray[np.float64], cut: float
) -> dict[str, float]:
    found = [np.zeros_like(crop.truth) for crop in crops]
    extra = 0
    for component, chance in zip(components, chances, strict=True):
        if chance >= cut:
            found[component.crop] |= component.inside
            extra += not (component.inside & crops[component.crop].truth).any()
    scores = [dice(mask, crop.truth) for mask, crop in zip(found, crops, strict=True)]
    return {"dice": float(np.mean(scores)), "extra": extra / len(crops), "finding": float(cut)}


def _fit_malignancy(crops: list[Looked], components: list[Component], card: Card) -> dict[str, Any]:
    """Logistic model of P(malignant rating) from `DESCRIPTORS`, per nodule, indeterminate ratings left out."""
    labels = [label.name for label in card.labels]
    names = [name for name in DESCRIPTORS if name in (*labels, *SIZES)]
    nodules: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for component in components:
        crop = crops[component.crop]
        if component.overlap < HIT or crop.spacing is None:
            continue
        if crop.row.label in ("benign", "malignant"):
            logits = dict(zip(labels, map(float, component.logits), strict=True))
            area = float(component.inside.sum()) * crop.spacing[0] * crop.spacing[1]
            values = rating_values(logits, diameters(component.inside, crop.spacing).longest, area)
            key = (crop.row.label, f"{crop.row.group} {crop.row.fields.get('nodule', crop.row.id)}")
            nodules[key].append([values[name] for name in names])
    truth = np.array([label == "malignant" for label, _ in nodules], bool)
    if truth.all() or not truth.any():
        return {}
    table = np.array([np.mean(values, axis=0) for values in nodules.values()])
    weights = named_weights(names, fit_scaled_logistic(table, truth.astype(float), ridge=5.0))
    chance = np.array([logistic(weights, dict(zip(names, row, strict=True))) for row in table])
    quality = {"auc": auc(chance, truth), "calibration_error": calibration_error(chance, truth), "nodules": len(truth)}
    return {"malignancy": weights, "malignancy_val": {name: round(float(value), 4) for name, value in quality.items()}}

"""Everything that is fitted on val after training: the finding score, the malignancy probability, the thresholds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Float32s, Float64s
from medvis.core.case import Case, Prediction
from medvis.core.logits import sigmoid
from medvis.core.scan import Scan
from medvis.errors import ModelError
from medvis.learn.bundling.logistic import fit_scaled_logistic, named_weights
from medvis.learn.data.ct_pictures import load_ct_pictures
from medvis.learn.data.index import Row, read_index
from medvis.learn.data.label_names import normalised
from medvis.learn.figures.matching import one_lesion, overlaps
from medvis.learn.figures.metrics import auc, calibration_error, dice
from medvis.learn.measuring.crops import CropCase, Progress, crop_settings, depth_of, run_crops
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.ops.components import hysteresis, label_frames
from medvis.pipeline import Pipeline, load
from medvis.settings import load_task
from medvis.stages.scoring import (
    features,
    finding_weights,
    logistic,
    match,
    rating_values,
    surroundings,
)

FEATURES = ("mask", "spread", "log_diameter_px", "class", "class_spread")
# Where Hounsfield units and millimetres are known: the size in mm, and how much of the surroundings is lung.
FEATURES_HU = ("mask", "spread", "log_diameter_mm", "class", "class_spread", "air")
OUTLINES = ((0.5, 0.5), (0.5, 0.4), (0.5, 0.3), (0.4, 0.4), (0.4, 0.3), (0.3, 0.3), (0.3, 0.2), (0.25, 0.25))
# Chosen by cross-validation within val: with all the readers' ratings the AUC is 0.935, with the malignancy logit and
# size 0.928, with size alone 0.905.
RATINGS = ("calcification", "texture", "spiculation", "lobulation", "margin", "sphericity", "subtlety")
DESCRIPTORS = ("malignancy", *RATINGS, "log_area_mm2")
SIZES = ("log_area_mm2",)
CUTS = tuple(np.round(np.arange(0.1, 0.75, 0.02), 2))
HIT = 0.3
# False findings that val may have: a crop of 128 px, and a whole slice of the volume that belongs to val, where there
# is one. One a slice is what a reader will bear. Hilum and mediastinum are rare in the crops, so that one model has
# six times as many findings on a slice as on a crop, another fourteen times; and one volume is one patient only.
MOST_EXTRA = 0.12
MOST_A_SLICE = 0.6
# Mean Dice of val that is no difference: what is within it of the best is chosen by its false findings.
TIE = 0.003
# The components of a whole volume are the only ones from the mediastinum: they count this many times.
VOLUME = 2
# Penalty on the weights per standard deviation.
RIDGE = 2.0
# Share of val's nodules that the threshold for a series keeps, of those that are found on one of two slices or more.
KEPT = 0.95


@dataclass(frozen=True)
class CropComponent:
    """One component of one val crop.

    Attributes:
        crop: index of its crop.
        inside: bool [rows, cols].
        values: name → what the finding's model sees of it.
        overlap: IoU with the reference; 0: it touches none of it.
        logits: float32 [k], of its candidate.
    """

    crop: int
    inside: Bools
    values: dict[str, float]
    overlap: float
    logits: Float32s


@dataclass(frozen=True)
class CropPrediction:
    """One val crop, or one frame of a volume, after inference: what the thresholds are tried on."""

    row: Row
    prediction: Prediction
    truth: Bools
    scan: Scan


@dataclass(frozen=True)
class CropTrial:
    """What one choice of outline and cut does to val, and the models of a finding that belong to that outline.

    `extra` are the false findings a crop, `slice_extra` those a slice of val's volume, None without it.
    """

    high: float
    low: float
    finding: float
    dice: float
    extra: float
    slice_extra: float | None
    models: dict[str, dict[str, float]]

    @property
    def excess(self) -> float:
        """The false findings, as a multiple of what is allowed."""
        return max(self.extra / MOST_EXTRA, (self.slice_extra or 0.0) / MOST_A_SLICE)


def calibrate(
    task: str, predictor: Predictor, data: Path, progress: Progress
) -> tuple[dict[str, float], dict[str, Any]]:
    """Thresholds and calibration for the card, fitted on the val split.

    The finding's model is fitted on `train.negative_volume` as well, and the cut chosen on `train.val_volume` as well.

    Returns:
        (thresholds: high, low, finding, series; calibration: weights, and how well they fit val).
    """
    # Nothing is given up early: what a candidate is worth is only fitted here.
    patient = {"stages.infer.candidate.reject": 0.0}
    pipeline = Pipeline(task, {**crop_settings(load_task(task)), **patient}, predictor)
    train = pipeline.config.train
    readers, picture = int(train.get("readers", 1)), pipeline.config.picture
    scans = load_ct_pictures(read_index(data, "val"), readers, picture, depth_of(pipeline))
    crops = [_prediction(crop) for crop in run_crops(pipeline, scans, None, "infer", progress)]
    whole = Pipeline(task, patient, predictor)
    frames, held_out = (_volume(whole, data, train.get(name)) for name in ("negative_volume", "val_volume"))
    choice = _best([trial for outline in OUTLINES for trial in _try(crops, frames, held_out, outline)])
    thresholds = {"high": choice.high, "low": choice.low, "finding": choice.finding, **_series(crops, choice)}
    val: dict[str, Any] = {"dice": round(choice.dice, 4), "extra": round(choice.extra, 4)}
    if choice.slice_extra is not None:
        val |= {"slice_extra": round(choice.slice_extra, 4), "volume": Path(train["val_volume"]).name}
    calibration: dict[str, Any] = {**choice.models, "val": val}
    if predictor.card.index("malignancy") is not None:
        calibration.update(_fit_malignancy(crops, _components(crops, 0.4, 0.3), predictor.card))
    return thresholds, calibration


def _prediction(crop: CropCase) -> CropPrediction:
    assert crop.case.prediction is not None  # the pipeline has run up to infer
    return CropPrediction(crop.row, crop.case.prediction, crop.truth, crop.case.scan)


def _volume(pipeline: Pipeline, data: Path, name: str | None) -> list[CropPrediction]:
    """The frames of a chest CT with one marked lesion (image.nii.gz, label.nii.gz); none where it is absent."""
    folder = data / str(name)
    if name is None or not folder.is_dir():
        return []
    scan, label = load(folder / "image.nii.gz"), load(folder / "label.nii.gz")
    row = Row(folder.name, "train", folder.name, "", folder, None, {})
    frames = []
    for index, truth in enumerate(label.pixels[..., 0] > 0):
        geometry = replace(scan.geometry, slice_spacing=None, positions=None)
        frame = scan.derive(pixels=scan.pixels[index : index + 1], geometry=geometry)
        case, _ = pipeline.run(Case(scan=frame, task=pipeline.asked), last="infer")
        frames.append(_prediction(CropCase(row, case, np.asarray(truth))))
    return frames


def _components(crops: list[CropPrediction], high: float, low: float) -> list[CropComponent]:
    components = []
    for index, crop in enumerate(crops):
        lesion = one_lesion(crop.truth)
        mask = label_frames(hysteresis(sigmoid(crop.prediction.mask_logits.max(1)), high, low), 4)
        for label in np.unique(mask)[1:]:
            inside = mask[0] == label
            row, candidates = match(crop.prediction, inside, 0), crop.prediction.candidates
            if row is None or candidates is None:
                continue  # never a finding: nobody looked at it closely
            values, logits = features(crop.prediction, inside, 0, row), candidates.logits[row]
            values |= surroundings(crop.scan, inside, 0)
            overlap = max(overlaps(inside, lesion).values(), default=0.0)
            components.append(CropComponent(index, inside, values, overlap, logits))
    return components


def _fit_finding(components: list[CropComponent]) -> dict[str, dict[str, float]]:
    """``finding``, and ``finding_hu`` from the components of which all is known, if there are any of both kinds."""
    if not components:
        raise ModelError("the model outlines nothing on val", "a trained network", "train it longer")
    full = [component for component in components if component.values.keys() >= set(FEATURES_HU)]
    models = {"finding": _fit_weights(components, FEATURES)}
    if 0 < sum(component.overlap >= HIT for component in full) < len(full):
        models["finding_hu"] = _fit_weights(full, FEATURES_HU)
    return models


def _fit_weights(components: list[CropComponent], names: tuple[str, ...]) -> dict[str, float]:
    table = np.array([[component.values.get(name, 0.0) for name in names] for component in components])
    truth = np.array([component.overlap >= HIT for component in components], float)
    return named_weights(names, fit_scaled_logistic(table, truth, RIDGE))


def _probabilities(components: list[CropComponent], models: dict[str, dict[str, float]]) -> Float64s:
    """The calibrated probability of each, as the pipeline computes it."""
    values = [component.values for component in components]
    return np.array([logistic(finding_weights(each, models), each) for each in values])


def _try(
    crops: list[CropPrediction],
    frames: list[CropPrediction],
    held_out: list[CropPrediction],
    outline: tuple[float, float],
) -> Iterator[CropTrial]:
    """All cuts for one outline."""
    components, whole = _components(crops, *outline), _components(held_out, *outline)
    models = _fit_finding([*components, *VOLUME * _components(frames, *outline)])
    probabilities, whole_probabilities = _probabilities(components, models), _probabilities(whole, models)
    for cut in map(float, CUTS):
        on_slices = _at_cut(held_out, whole, whole_probabilities, cut)[1] if held_out else None
        yield CropTrial(*outline, cut, *_at_cut(crops, components, probabilities, cut), on_slices, models)


def _best(trials: list[CropTrial]) -> CropTrial:
    """No more false findings than allowed; of those within `TIE` of the largest Dice the one with the fewest."""
    allowed = [trial for trial in trials if trial.excess <= 1]
    if not allowed:
        return min(trials, key=lambda trial: trial.excess)
    enough = max(trial.dice for trial in allowed) - TIE
    best = [trial for trial in allowed if trial.dice >= enough]
    return min(best, key=lambda trial: (trial.excess, -trial.dice))


def _at_cut(
    crops: list[CropPrediction], components: list[CropComponent], probabilities: Float64s, cut: float
) -> tuple[float, float]:
    """Mean Dice, and false findings a crop (or slice)."""
    outlined = [np.zeros_like(crop.truth) for crop in crops]
    extra = 0
    for component, probability in zip(components, probabilities, strict=True):
        if probability >= cut:
            outlined[component.crop] |= component.inside
            extra += not component.overlap
    scores = [dice(mask, crop.truth) for mask, crop in zip(outlined, crops, strict=True)]
    return float(np.mean(scores)), extra / len(crops)


def _series(crops: list[CropPrediction], choice: CropTrial) -> dict[str, float]:
    """The threshold of a finding's likeliest slice, where val shows nodules on several slices."""
    slices = Counter(_nodule(crop.row) for crop in crops)
    components = _components(crops, choice.high, choice.low)
    best: dict[str, float] = {}
    for component, probability in zip(components, _probabilities(components, choice.models), strict=True):
        nodule = _nodule(crops[component.crop].row)
        if component.overlap >= HIT and probability >= choice.finding and slices[nodule] > 1:
            best[nodule] = max(best.get(nodule, 0.0), float(probability))
    return {"series": float(np.floor(100 * np.quantile([*best.values()], 1 - KEPT)) / 100)} if best else {}


def _nodule(row: Row) -> str:
    """The same for all slices of a nodule."""
    return f"{row.group} {row.fields.get('nodule', row.id)}"


def _fit_malignancy(crops: list[CropPrediction], components: list[CropComponent], card: Card) -> dict[str, Any]:
    """Logistic model of P(malignant rating) from `DESCRIPTORS`, per nodule, indeterminate ratings left out."""
    labels = [label.name for label in card.labels]
    names = [name for name in DESCRIPTORS if name in (*labels, *SIZES)]
    nodules: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for component in components:
        crop = crops[component.crop]
        spacing = crop.scan.geometry.spacing
        if component.overlap < HIT or spacing is None:
            continue
        if normalised(crop.row.label) in ("benign", "malignant"):
            logits = dict(zip(labels, map(float, component.logits), strict=True))
            area = float(component.inside.sum()) * spacing[0] * spacing[1]
            values = rating_values(logits, area)
            nodules[normalised(crop.row.label), _nodule(crop.row)].append([values[name] for name in names])
    truth = np.array([label == "malignant" for label, _ in nodules], bool)
    if truth.all() or not truth.any():
        return {}
    table = np.array([np.mean(values, axis=0) for values in nodules.values()])
    weights = named_weights(names, fit_scaled_logistic(table, truth.astype(float), ridge=5.0))
    probability = np.array([logistic(weights, dict(zip(names, row, strict=True))) for row in table])
    quality = {
        "auc": auc(probability, truth),
        "calibration_error": calibration_error(probability, truth),
        "nodules": len(truth),
    }
    return {"malignancy": weights, "malignancy_val": {name: round(float(value), 4) for name, value in quality.items()}}

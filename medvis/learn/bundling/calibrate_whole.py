"""What is fitted on val for pictures: the temperature, the threshold of a positive, and those of the outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.core.case import Prediction
from medvis.core.logits import softmax
from medvis.errors import InputError, ModelError
from medvis.learn.bundling.outlines import (
    MarkedPicture,
    PictureTrial,
    PictureTrials,
    components_of,
    fit_finding,
    probabilities_of,
)
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.examples import Example
from medvis.learn.data.label_names import ClassNames
from medvis.learn.figures.metrics import auc, calibration_error
from medvis.learn.measuring.crops import Progress
from medvis.model.card import Card
from medvis.model.predictor import Predictor
from medvis.pipeline import Pipeline, load

OUTLINES = ((0.5, 0.5), (0.5, 0.4), (0.5, 0.3), (0.4, 0.4), (0.4, 0.3), (0.3, 0.3), (0.6, 0.4), (0.7, 0.5))
SIZES = (4, 9, 16, 36, 64, 144, 256)
CUTS = (0.0, *(float(cut) for cut in np.round(np.arange(0.05, 0.96, 0.05), 2)))
TEMPERATURES = (0.05, 20.0)
# Of choices that val cannot tell apart, the mildest: small cuts and small sizes lose the least elsewhere.
SAME = 0.002


def calibrate_pictures(
    task: str, predictor: Predictor, data: Path, progress: Progress
) -> tuple[dict[str, float], dict[str, Any]]:
    """Thresholds and calibration for the card, fitted on the val split only, on what the shipped pipeline infers.

    Args:
        task: name or YAML; its `evaluate.bars` for false findings and recall bound the cut of a tiled task.
        predictor: the bundle's own graph.
        data: data set folder.
        progress: called with (done, total).

    Returns:
        (thresholds: positive, and high, low, min_pixels, finding where there are outlines;
        calibration: temperature, weights of a finding, and how well all of it fits val).

    Raises:
        InputError: val has no labels and no masks that this model could be fitted to.
    """
    pipeline = Pipeline(task, None, predictor)
    examples, _ = read_examples(data, "val", int(pipeline.config.train.get("readers", 1)))
    predictions = _infer_all(pipeline, examples, progress)
    thresholds: dict[str, float] = {}
    calibration: dict[str, Any] = {}
    card = predictor.card
    if card.label_set.exclusive:
        thresholds, calibration = _fit_classes(predictions, examples, card)
        card = card.model_copy(update={"calibration": calibration})
    if card.masks:
        pictures = _marked(predictions, examples)
        more, finding = _fit_outlines(pictures, card, pipeline)
        thresholds, calibration = {**thresholds, **more}, {**calibration, **finding}
    if not thresholds and not calibration:
        raise InputError(f"val of {data} has nothing to fit the model of '{task}' to", "labels or masks that it knows")
    return thresholds, calibration


def _infer_all(pipeline: Pipeline, examples: list[Example], progress: Progress) -> list[Prediction]:
    """The predictions without their evidence, which nothing is fitted to: val has to fit into memory."""
    predictions = []
    for index, example in enumerate(examples):
        case, _ = pipeline.run(pipeline.accept(load(example.image)), last="infer")
        assert case.prediction is not None  # the pipeline has run up to infer
        predictions.append(replace(case.prediction, evidence=np.zeros((0, 0, 0), np.float32)))
        progress(index + 1, len(examples))
    return predictions


def _fit_classes(
    predictions: list[Prediction], examples: list[Example], card: Card
) -> tuple[dict[str, float], dict[str, Any]]:
    """Temperature and, where a class is normal, the threshold from which an image is positive."""
    indices = card.label_set.image_level
    classes = ClassNames.of(card.labels)
    rows = [
        (prediction.logits[indices], index)
        for prediction, example in zip(predictions, examples, strict=True)
        if prediction.logits is not None and (index := classes.index(example.label)) is not None
    ]
    if not rows:
        raise InputError(f"val has no picture of a class that the model knows: {', '.join(classes.names)}")
    logits, truth = np.array([row for row, _ in rows], np.float64), np.array([column for _, column in rows])
    temperature = fit_temperature(logits, truth)
    quality = {
        "pictures": len(truth),
        "nll": _pair(nll(logits, truth, 1.0), nll(logits, truth, temperature)),
        "calibration_error": _pair(*(_confidence_error(softmax(logits / t), truth) for t in (1.0, temperature))),
        "accuracy": round(float((logits.argmax(1) == truth).mean()), 4),
    }
    normal = [column for column, index in enumerate(indices) if card.labels[index].normal]
    thresholds: dict[str, float] = {}
    if normal:
        probability, abnormal = 1 - softmax(logits / temperature)[:, normal[0]], truth != normal[0]
        positive, balanced = fit_positive(probability, abnormal)
        thresholds["positive"] = round(positive, 4)
        quality |= {"abnormal_auc": round(auc(probability, abnormal), 4), "balanced_accuracy": round(balanced, 4)}
    return thresholds, {"temperature": round(temperature, 4), "val_classes": quality}


def fit_temperature(logits: Float64s, truth: Indices) -> float:
    """The temperature of least negative log likelihood (Guo et al. 2017), which has one minimum.

    The right class counts (n + 1) / (n + 2), the others share the rest (Platt 1999): where all of val is right, the
    likelihood alone would say that the model is never wrong.

    Args:
        logits: [n, k].
        truth: [n], the right column of each.
    """
    minimum = minimize_scalar(
        lambda logarithm: smoothed_nll(logits, truth, float(np.exp(logarithm))),
        bounds=np.log(TEMPERATURES),
        method="bounded",
        options={"xatol": 1e-9, "maxiter": 200},
    )
    return float(np.exp(minimum.x))


def fit_positive(probability: Float64s, abnormal: Bools) -> tuple[float, float]:
    """The threshold of the best balanced accuracy, and that; of equals the one in the widest gap of probabilities.

    Args:
        probability: [n], that there is something to find.
        abnormal: [n] whether there is.
    """
    if abnormal.all() or not abnormal.any():
        return 0.5, float("nan")
    steps = np.unique(np.concatenate([[0.0, 1.0], probability]))
    tried = []
    for below, above in pairwise(steps):
        middle = float(below + above) / 2
        positive = probability >= middle
        sensitivity, specificity = float(positive[abnormal].mean()), float((~positive)[~abnormal].mean())
        tried.append(((sensitivity + specificity) / 2, above - below, middle))
    balanced, _, threshold = max(tried)
    return threshold, balanced


def nll(logits: Float64s, truth: Indices, temperature: float) -> float:
    """Mean negative log likelihood of the right columns."""
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(truth)), truth].mean())


def smoothed_nll(logits: Float64s, truth: Indices, temperature: float) -> float:
    """As `nll`, with a target of (n + 1) / (n + 2) for the right column; the others share the rest."""
    count, classes = logits.shape
    logs = log_softmax(logits / temperature, axis=1)
    rest = 1 / (count + 2)
    right = logs[np.arange(count), truth]
    others = (logs.sum(1) - right) / max(classes - 1, 1)
    return float(-((1 - rest) * right + rest * others).mean())


def _confidence_error(probability: Float64s, truth: Indices) -> float:
    return calibration_error(probability.max(1), probability.argmax(1) == truth)


def _pair(before: float, after: float) -> dict[str, float]:
    return {"before": round(before, 4), "after": round(after, 4)}


def _marked(predictions: list[Prediction], examples: list[Example]) -> list[MarkedPicture]:
    marked = []
    for prediction, example in zip(predictions, examples, strict=True):
        shape = prediction.mask_logits.shape
        truth = example.mask((shape[2], shape[3]))
        if truth is not None:
            marked.append(MarkedPicture.of(prediction, truth))
    if not any(picture.truth.any() for picture in marked):
        raise InputError("val has no outlined lesion", "masks to fit the thresholds of the outlines to")
    return marked


def _fit_outlines(
    pictures: list[MarkedPicture], card: Card, pipeline: Pipeline
) -> tuple[dict[str, float], dict[str, Any]]:
    config = pipeline.config
    wide = components_of(pictures, card, (0.4, 0.3), config.evaluate.hit)
    if not wide:
        raise ModelError("the model outlines nothing on val", "a trained network", "train it longer")
    finding = fit_finding([component for component in wide if component.area >= SIZES[0]])
    own_size = (config.stages.get("segment") or {}).get("min_pixels")
    sizes = SIZES if own_size is None else (int(own_size),)
    trials: list[PictureTrial] = []
    for outline in OUTLINES:
        components = components_of(pictures, card, outline, config.evaluate.hit)
        tried = PictureTrials(pictures, components, probabilities_of(components, finding))
        trials += [tried.at(outline, size, cut) for size in sizes for cut in CUTS]
    whole = config.kind == "whole"
    best = mildest(trials, "dice_all") if whole else within(trials, config.evaluate.bars)
    fitted = asdict(best)
    thresholds = {name: float(fitted.pop(name)) for name in ("high", "low", "min_pixels", "finding")}
    quality = {name: round(value, 4) for name, value in fitted.items()}
    val = {"pictures": len(pictures), **quality, "rule": _rule(whole, config.evaluate.bars)}
    return thresholds, {**({"finding": finding} if finding else {}), "val": val}


def mildest(trials: list[PictureTrial], figure: str) -> PictureTrial:
    """Of those within `SAME` of the best figure, the one with the smallest cut, then the smallest size."""
    best = max(getattr(trial, figure) for trial in trials)
    equals = [trial for trial in trials if getattr(trial, figure) >= best - SAME]
    return min(equals, key=lambda trial: (trial.finding, trial.min_pixels, -getattr(trial, figure)))


def within(trials: list[PictureTrial], bars: Mapping[str, float]) -> PictureTrial:
    """The `mildest` by Dice that keeps the bars for false findings and recall; the nearest to them if none keeps both.

    False findings come first: a cut that misses the recall can be lowered by its user, who cannot see what it costs.
    """
    most, least = bars.get("false_findings", float("inf")), bars.get("recall", 0.0)
    few = [trial for trial in trials if trial.extra <= most]
    if not few:
        fewest = min(trial.extra for trial in trials)
        few = [trial for trial in trials if trial.extra == fewest]
    enough = [trial for trial in few if trial.recall >= least]
    if enough:
        return mildest(enough, "dice")
    return max(few, key=lambda trial: (trial.recall, trial.dice, -trial.finding))


def _rule(whole: bool, bars: Mapping[str, float]) -> str:
    best = f"mildest cut within {SAME:g} of the best mean Dice over"
    if whole:
        return f"{best} all val pictures, a clean picture without a lesion counting 1"
    kept = [
        f"{name} {sign} {bars[name]:g}" for name, sign in (("false_findings", "≤"), ("recall", "≥")) if name in bars
    ]
    return f"{best} val pictures with a lesion" + (f", with {' and '.join(kept)}" if kept else "")

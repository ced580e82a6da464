"""What trivial methods reach on the same pictures: texture features with a ridge classifier, and one outline for all.

Fitted on the train split, measured on the split of the evaluation. They are the floor that a network has to rise above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.feature import hog, local_binary_pattern
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medvis.core.arrays import Bools, Float32s, Uint8s
from medvis.core.logits import softmax
from medvis.errors import SettingsError
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.examples import Example
from medvis.learn.data.label_names import ClassNames
from medvis.learn.figures.metrics import dice
from medvis.learn.measuring.class_sides import class_predictions
from medvis.learn.measuring.evaluate_classes import class_figures
from medvis.learn.measuring.evaluation import Evaluation, FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction
from medvis.model.bundle import bundle_folder, read_card
from medvis.model.card import Card, Figure
from medvis.pipeline import load
from medvis.settings import Measured, TaskConfig, load_task

SIDE, CELLS = 128, 4
MASK_SIDE = 64
RIDGE = "HOG+LBP ridge"
COMPARED = ("Accuracy", "Balanced accuracy", "Macro-F1", "AUC")


def with_baselines(
    evaluation: Evaluation,
    task: str,
    data: Path,
    split: str,
    bundle: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Evaluation:
    """The evaluation with the trivial methods' figures among its baselines.

    Args:
        evaluation: what the model reached.
        task: name or YAML of the task.
        data: folder of the data set.
        split: that was measured.
        bundle: another bundle than the task's own.
        overrides: dotted setting → value, as the evaluation had them.

    Raises:
        InputError: a picture is unreadable, or there is no train split.
    """
    config = load_task(task, overrides)
    if "HU" in config.accepts.units:
        return evaluation  # crops and slices have theirs already: the area, and the disc at the known centre
    train, test = (read_examples(data, name)[0] for name in ("train", split))
    reached = {**_ridge(train, test, config.evaluate, _card(config, bundle)), **_constant(train, test)}
    return replace(evaluation, figures=[_with(figure, reached.get(figure.name)) for figure in evaluation.figures])


def _card(config: TaskConfig, bundle: Path | None) -> Card:
    if bundle is None and config.bundle is None:
        raise SettingsError(f"task '{config.task}' names no bundle", "bundle: NAME or a folder")
    return read_card(bundle or bundle_folder(str(config.bundle), config.base))


def _with(figure: Figure, baseline: str | None) -> Figure:
    if baseline is None:
        return figure
    return figure.model_copy(update={"baseline": "; ".join(text for text in (figure.baseline, baseline) if text)})


def _ridge(train: list[Example], test: list[Example], settings: Measured, card: Card) -> dict[str, str]:
    """Name of a figure → what the ridge classifier reaches."""
    labelled = [example for example in train if example.label]
    known = ClassNames.of(card.labels)
    own = [example.label for example in labelled]
    if known:
        labelled = [example for example in labelled if known.index(example.label) is not None]
        own = [known.names[known.index(example.label) or 0] for example in labelled]
    names = sorted(set(own))
    if len(names) < 2 or not any(example.label for example in test):
        return {}
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=np.logspace(0, 5, 11)))
    model.fit(np.stack([texture(example.image) for example in labelled]), own)
    margin = model.decision_function(np.stack([texture(example.image) for example in test]))
    logits = np.stack([-margin, margin], 1) if margin.ndim == 1 else margin
    predictions = [
        PicturePrediction(example, dict(zip(names, row, strict=True)), None, None)
        for example, row in zip(test, softmax(logits), strict=True)
    ]
    classes = class_predictions(predictions, card)
    figures = class_figures(FigureMaker(settings), classes) if classes else []
    return {figure.name: f"{RIDGE} {figure.value:.3f}" for figure in figures if figure.name.startswith(COMPARED)}


def texture(path: Path) -> Float32s:
    """Histograms of gradients (Dalal and Triggs 2005) and of local binary patterns (Ojala et al. 2002), float32 [d]."""
    image = _small_grey(path)
    gradients = hog(image, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    return np.concatenate([gradients, _patterns(image, 8, 1), _patterns(image, 16, 2)]).astype(np.float32)


def _patterns(image: Uint8s, points: int, radius: int) -> Float32s:
    raw = local_binary_pattern(image, points, radius, "uniform")  # type: ignore[no-untyped-call]
    codes = raw.astype(int)
    step = SIDE // CELLS
    blocks = codes.reshape(CELLS, step, CELLS, step).transpose(0, 2, 1, 3).reshape(CELLS * CELLS, -1)
    counts = [np.bincount(block, minlength=points + 2) for block in blocks]
    return np.asarray(np.concatenate(counts) / step**2, np.float32)


def _small_grey(path: Path) -> Uint8s:
    """The picture as the pipeline reads it, grey and square."""
    scan = load(path)
    grey = scan.pixels[0].mean(-1)
    low, high = (0.0, 2.0**scan.bits - 1) if scan.unit == "grey" else np.percentile(grey, (1, 99))
    scaled = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.asarray(cv2.resize(scaled, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _constant(train: list[Example], test: list[Example]) -> dict[str, str]:
    """The same outline for every picture: where the train masks mostly lie, cut where that serves train best."""
    known, judged = _masks(train), _masks(test)
    if not len(known) or not len(judged):
        return {}
    mean = known.mean(0)
    cuts = np.linspace(0, float(mean.max()), 12)[:-1]
    best = max(cuts, key=lambda cut: np.mean([dice(mean > cut, mask) for mask in known]))
    reached = float(np.mean([dice(mean > best, mask) for mask in judged]))
    name = "Dice, mean (pictures with a lesion, a miss counts 0)"
    return {name: f"the same place in every picture {reached:.3f}"}


def _masks(examples: list[Example]) -> Bools:
    """The masks with a lesion, all brought to one size: bool [n, MASK_SIDE, MASK_SIDE]."""
    small: list[Any] = []
    for example in examples:
        if example.outline is not None:
            mask = example.outline(load(example.image).shape).astype(np.float32)
            small += [cv2.resize(mask, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA) > 0.25]
    masks = np.array(small, bool).reshape(-1, MASK_SIDE, MASK_SIDE)
    return np.asarray(masks[masks.any((1, 2))])

"""Labelled pictures of any layout: classes, outlines and lesions, whatever the task says and the data know."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from medvis.errors import InputError
from medvis.learn.data.datasets import read_examples
from medvis.learn.data.label_names import NOTHING, UNKNOWN, ClassNames, normalised
from medvis.learn.data.masks import EMPTY_MASKS, empty_masks
from medvis.learn.measuring.class_sides import NORMAL, ClassPredictions, class_predictions
from medvis.learn.measuring.crops import Progress
from medvis.learn.measuring.evaluate_classes import absent_classes, class_facts, class_figures, class_plots
from medvis.learn.measuring.evaluate_masks import froc_facts, lesion_figures, mask_plots, overlap_figures
from medvis.learn.measuring.evaluate_verdicts import verdict_figures
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction, predict_pictures, shipped_threshold, without_threshold
from medvis.model.card import Card, Worst
from medvis.pipeline import Pipeline


def evaluate_pictures(pipeline: Pipeline, data: Path, split: str, progress: Progress) -> Evaluation:
    """All figures of a split.

    Args:
        pipeline: as shipped.
        data: a folder of a layout that `read_examples` knows.
        split: of it.
        progress: called with (done, total).

    Raises:
        InputError: the data are of no known layout, or hold nothing that this task can be judged by.
    """
    config, card = pipeline.config, pipeline.context.card
    examples, unlabelled = read_examples(data, split, int(config.train.get("readers", 1)))
    outlines = "segment" in config.stages and bool(card.masks)
    predictions = list(
        predict_pictures(pipeline, without_threshold(pipeline) if outlines else None, examples, progress)
    )
    maker, threshold = FigureMaker(config.evaluate), shipped_threshold(pipeline)
    classes, lesions = class_predictions(predictions, card), config.kind == "tiled"
    figures = [*class_figures(maker, classes), *verdict_figures(maker, classes)] if classes else []
    figures += overlap_figures(maker, predictions)
    figures += lesion_figures(maker, predictions, threshold) if lesions else []
    if not figures:
        raise InputError(f"{data} holds nothing to judge task '{config.task}' by", _wanted(card))
    facts = _facts(predictions, classes, unlabelled)
    empty = _empty_masks(predictions, card)
    if empty is not None:
        facts[EMPTY_MASKS] = empty
    absent = absent_classes(classes) if classes else []
    if absent:
        facts["classes without a picture"] = absent
    foreign = _class_names(card).unmatched(example.label for example in examples)
    if foreign and any(picture.probabilities for picture in predictions):
        facts["labels that the task does not know"] = foreign
    if lesions:
        facts["recall of lesions at false findings a picture"] = froc_facts(predictions, threshold)
    plots = class_plots(maker, classes) if classes else {}
    plots |= mask_plots(maker, predictions, threshold) if outlines else {}
    worst = _worst(predictions)
    gallery = {f"worst-{rank}.png": _drawn(pipeline, picture) for rank, picture in enumerate(worst, 1)}
    return Evaluation(
        config.task, card.version, f"{data.name} {split}", figures, facts,
        [_worst_case(picture) for picture in worst], {**plots, **gallery},
    )  # fmt: skip


def _class_names(card: Card) -> ClassNames:
    """The classes of a model; of binary questions each is one, beside the answer that there is nothing."""
    if card.label_set.exclusive:
        return ClassNames.of(card.labels)
    names = tuple(label.name for label in card.labels)
    return ClassNames((*names, NORMAL), (*(label.normal for label in card.labels), True))


def _empty_masks(predictions: list[PicturePrediction], card: Card) -> str | None:
    """In words, how many masks are empty, though the label says that there is something."""
    outlined = [picture for picture in predictions if picture.mask and picture.example.outline is not None]
    labels = [(picture.example.label, picture.mask.reference > 0) for picture in outlined if picture.mask]
    return empty_masks(labels, NOTHING | UNKNOWN | {normalised(label.name) for label in card.labels if label.normal})


def _wanted(card: Card) -> str:
    names = ", ".join(label.name for label in card.labels)
    return f"labels among {names}" + (", or masks" if card.masks else "")


def _facts(predictions: list[PicturePrediction], classes: ClassPredictions | None, unlabelled: int) -> dict[str, Any]:
    masks = [picture.mask for picture in predictions if picture.mask]
    return {
        "pictures": len(predictions),
        "groups": len({picture.example.group for picture in predictions}),
        "unlabelled, left out": unlabelled,
        "of a class that the model knows": 0 if classes is None else len(classes.truth),
        "outlined": len(masks),
        "lesions": sum(len(mask.matches.lesions) for mask in masks),
        "verdicts": dict(sorted(Counter(picture.verdict or "none" for picture in predictions).items())),
        **({} if classes is None else {"confusion": class_facts(classes)}),
    }


def _worst(predictions: list[PicturePrediction]) -> list[PicturePrediction]:
    """Where the true class was least likely; with outlines, where the overlap was smallest and the lesion largest."""
    return sorted((picture for picture in predictions if _score(picture) is not None), key=_rank)[:WORST]


def _rank(picture: PicturePrediction) -> tuple[float, int, str]:
    area = max(picture.mask.reference, picture.mask.predicted) if picture.mask else 0
    return _score(picture) or 0.0, -area, picture.example.id


def _score(picture: PicturePrediction) -> float | None:
    """Dice where there is a reference, else the probability of the true class."""
    if picture.mask is not None:
        return picture.mask.dice
    probabilities = {normalised(name): probability for name, probability in (picture.probabilities or {}).items()}
    return probabilities.get(normalised(picture.example.label))


def _worst_case(picture: PicturePrediction) -> Worst:
    likeliest = max(picture.probabilities.items(), key=lambda pair: pair[1]) if picture.probabilities else None
    parts = [f"true {picture.example.label}"] if picture.example.label else []
    parts += [f"said {likeliest[0]} {likeliest[1]:.2f}"] if likeliest else []
    if picture.mask is not None:
        parts.append(
            f"{picture.mask.reference} px marked, {picture.mask.predicted} px outlined, Dice {picture.mask.dice:.2f}"
        )
    return Worst(id=picture.example.id, score=round(_score(picture) or 0.0, 4), description=", ".join(parts))


def _drawn(pipeline: Pipeline, picture: PicturePrediction) -> Draw:
    return partial(_draw, pipeline, picture)


def _draw(pipeline: Pipeline, picture: PicturePrediction, path: Path) -> None:
    from medvis.learn.measuring.gallery import draw_example  # noqa: PLC0415 - matplotlib, only where something is drawn

    draw_example(pipeline, picture.example, _worst_case(picture).description, path)

"""Figures of the classes of a whole picture: how often right, how well told apart, how well calibrated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Float64s, Indices
from medvis.learn.figures.metrics import auc, balanced_accuracy, brier, calibration_error, confusion_matrix, macro_f1
from medvis.learn.figures.scored import Scored
from medvis.learn.measuring.class_sides import ClassPredictions, ClassSides, class_sides
from medvis.learn.measuring.evaluation import Draw, FigureMaker
from medvis.model.card import Figure


def class_figures(maker: FigureMaker, classes: ClassPredictions) -> list[Figure]:
    """Every figure of the classes."""
    k, truth, predicted, groups = len(classes.names), classes.truth, classes.predicted, classes.groups
    counts = np.bincount(truth, minlength=k)
    common = int(counts.argmax())
    trivial = confusion_matrix(np.full_like(truth, common), truth, k)
    always = f"always '{classes.names[common]}'"
    right, sure = predicted == truth, classes.probability.max(1)

    def of_matrix(statistic: Callable[[Indices], float]) -> Callable[[Indices], float]:
        return lambda rows: statistic(confusion_matrix(predicted[rows], truth[rows], k))

    return [
        *maker.mean("accuracy", "Accuracy", right.tolist(), groups, f"{always} {counts.max() / len(truth):.3f}"),
        *maker.figure("balanced_accuracy", "Balanced accuracy", of_matrix(balanced_accuracy), classes.groups,
                      f"{always} {balanced_accuracy(trivial):.3f}"),
        *maker.figure("macro_f1", "Macro-F1", of_matrix(macro_f1), classes.groups, f"{always} {macro_f1(trivial):.3f}"),
        *(figure for sides in class_sides(maker, classes) for figure in _side_figures(maker, sides)),
        *_ranking(maker, classes),
        *maker.figure("calibration_error", "Calibration error of the likeliest class (10 bins)",
                      lambda rows: calibration_error(sure[rows], right[rows]), classes.groups),
        *maker.figure("brier", "Brier score (sum over the classes)",
                      lambda rows: brier(classes.probability[rows], truth[rows]), classes.groups),
    ]  # fmt: skip


def _side_figures(maker: FigureMaker, sides: ClassSides) -> list[Figure]:
    scores, truth, predicted, groups = sides.scores, sides.truth, sides.predicted, sides.groups
    main = sides.key == "auc"
    sick, well = np.flatnonzero(truth), np.flatnonzero(~truth)
    figures = maker.figure(sides.key, f"AUC, {sides.name}", lambda rows: auc(scores[rows], truth[rows]), groups)
    for key, name, rows, right in (
        ("sensitivity", "Sensitivity", sick, predicted), ("specificity", "Specificity", well, ~predicted)
    ):  # fmt: skip
        title = f"{name} as shipped, {sides.name}"
        figures += maker.mean(
            key if main else f"abnormal_{key}", title, right[rows].tolist(), [groups[r] for r in rows]
        )
    return figures


def _ranking(maker: FigureMaker, classes: ClassPredictions) -> list[Figure]:
    """Where no class is normal and no contrast named: the mean AUC of each class against the others."""
    if class_sides(maker, classes):
        return []
    name = "AUC, each class against the others, mean"
    return maker.figure(
        "auc", name, lambda rows: _mean_auc(classes.probability[rows], classes.truth[rows]), classes.groups
    )


def _mean_auc(probability: Float64s, truth: Indices) -> float:
    values = [
        auc(probability[:, k], truth == k) for k in range(probability.shape[1]) if 0 < (truth == k).sum() < len(truth)
    ]
    return float(np.mean(values)) if values else float("nan")


def class_facts(classes: ClassPredictions) -> dict[str, Any]:
    """The confusion matrix: true class → said class → count."""
    matrix = confusion_matrix(classes.predicted, classes.truth, len(classes.names))
    return {
        name: {other: int(count) for other, count in zip(classes.names, row, strict=True)}
        for name, row in zip(classes.names, matrix, strict=True)
        if row.sum()
    }


def absent_classes(classes: ClassPredictions) -> list[str]:
    """Those that no picture shows: figures over all classes are of the others, and one class alone has no AUC."""
    counts = np.bincount(classes.truth, minlength=len(classes.names))
    return [name for name, count in zip(classes.names, counts, strict=True) if not count]


def class_plots(maker: FigureMaker, classes: ClassPredictions) -> dict[str, Draw]:
    """ROC, reliability and confusion."""
    return {
        "roc.png": partial(_draw_roc, maker, classes),
        "reliability.png": partial(_draw_reliability, classes),
        "confusion.png": partial(_draw_confusion, classes),
    }


def _draw_roc(maker: FigureMaker, classes: ClassPredictions, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    sides = {side.name: side for side in class_sides(maker, classes)}
    curves = {name: Scored(side.scores, side.truth, side.groups, side.predicted) for name, side in sides.items()} or {
        name: Scored(classes.probability[:, k], classes.truth == k, classes.groups)
        for k, name in enumerate(classes.names)
    }
    plots.roc(curves, path)


def _draw_reliability(classes: ClassPredictions, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    likeliest = Scored(classes.probability.max(1), classes.predicted == classes.truth, classes.groups)
    plots.reliability({"likeliest class": likeliest}, path)


def _draw_confusion(classes: ClassPredictions, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.confusion(confusion_matrix(classes.predicted, classes.truth, len(classes.names)), classes.names, path)

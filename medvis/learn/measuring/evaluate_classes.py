"""Figures of the classes of a whole picture: how often right, how well told apart, how well calibrated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Float64s, Indices
from medvis.learn.figures.metrics import auc, balanced_accuracy, brier, calibration_error, confusion_matrix, macro_f1
from medvis.learn.measuring.class_sides import Contrast, Told, contrasts
from medvis.learn.measuring.evaluation import Draw, Judge
from medvis.model.card import Figure


def class_figures(judge: Judge, told: Told) -> list[Figure]:
    """Every figure of the classes."""
    k, truth, said = len(told.names), told.truth, told.said
    counts = np.bincount(truth, minlength=k)
    common = int(counts.argmax())
    trivial = confusion_matrix(np.full_like(truth, common), truth, k)
    always = f"always '{told.names[common]}'"
    right, sure = said == truth, told.chance.max(1)

    def of_matrix(statistic: Callable[[Indices], float]) -> Callable[[Indices], float]:
        return lambda rows: statistic(confusion_matrix(said[rows], truth[rows], k))

    return [
        *judge.mean("accuracy", "Accuracy", right.tolist(), told.groups, f"{always} {counts.max() / len(truth):.3f}"),
        *judge.figure("balanced_accuracy", "Balanced accuracy", of_matrix(balanced_accuracy), told.groups,
                      f"{always} {balanced_accuracy(trivial):.3f}"),
        *judge.figure("macro_f1", "Macro-F1", of_matrix(macro_f1), told.groups, f"{always} {macro_f1(trivial):.3f}"),
        *(figure for contrast in contrasts(judge, told) for figure in _contrast_figures(judge, contrast)),
        *_ranking(judge, told),
        *judge.figure("calibration_error", "Calibration error of the likeliest class (10 bins)",
                      lambda rows: calibration_error(sure[rows], right[rows]), told.groups),
        *judge.figure("brier", "Brier score (sum over the classes)",
                      lambda rows: brier(told.chance[rows], truth[rows]), told.groups),
    ]  # fmt: skip


def _contrast_figures(judge: Judge, contrast: Contrast) -> list[Figure]:
    scores, truth, said, groups = contrast.scores, contrast.truth, contrast.said, contrast.groups
    main = contrast.key == "auc"
    sick, well = np.flatnonzero(truth), np.flatnonzero(~truth)
    figures = judge.figure(contrast.key, f"AUC, {contrast.name}", lambda rows: auc(scores[rows], truth[rows]), groups)
    for key, name, rows, right in (
        ("sensitivity", "Sensitivity", sick, said), ("specificity", "Specificity", well, ~said)
    ):  # fmt: skip
        told = f"{name} as shipped, {contrast.name}"
        figures += judge.mean(key if main else f"abnormal_{key}", told, right[rows].tolist(), [groups[r] for r in rows])
    return figures


def _ranking(judge: Judge, told: Told) -> list[Figure]:
    """Where no class is normal and no contrast named: the mean AUC of each class against the others."""
    if contrasts(judge, told):
        return []
    name = "AUC, each class against the others, mean"
    return judge.figure("auc", name, lambda rows: _mean_auc(told.chance[rows], told.truth[rows]), told.groups)


def _mean_auc(chance: Float64s, truth: Indices) -> float:
    values = [auc(chance[:, k], truth == k) for k in range(chance.shape[1]) if 0 < (truth == k).sum() < len(truth)]
    return float(np.mean(values)) if values else float("nan")


def class_facts(told: Told) -> dict[str, Any]:
    """The confusion matrix: true class → said class → count."""
    matrix = confusion_matrix(told.said, told.truth, len(told.names))
    return {
        name: {other: int(count) for other, count in zip(told.names, row, strict=True)}
        for name, row in zip(told.names, matrix, strict=True)
        if row.sum()
    }


def class_plots(judge: Judge, told: Told) -> dict[str, Draw]:
    """ROC, reliability and confusion."""
    return {
        "roc.png": partial(_draw_roc, judge, told),
        "reliability.png": partial(_draw_reliability, told),
        "confusion.png": partial(_draw_confusion, told),
    }


def _draw_roc(judge: Judge, told: Told, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    sides = contrasts(judge, told)
    curves = {side.name: (side.scores, side.truth) for side in sides} or {
        name: (told.chance[:, k], told.truth == k) for k, name in enumerate(told.names)
    }
    points = {side.name: (float(side.said[~side.truth].mean()), float(side.said[side.truth].mean())) for side in sides}
    plots.roc(curves, path, points)


def _draw_reliability(told: Told, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.reliability({"likeliest class": (told.chance.max(1), told.said == told.truth)}, path)


def _draw_confusion(told: Told, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.confusion(confusion_matrix(told.said, told.truth, len(told.names)), told.names, path)

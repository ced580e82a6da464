"""Figures of outlines: overlap with the reference, lesions found, false findings, FROC."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.learn.figures.curves import Froc, froc_curve
from medvis.learn.measuring.evaluation import Draw, Judge
from medvis.learn.measuring.predictions import Looked, Outlined
from medvis.model.card import Figure

POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def overlap_figures(judge: Judge, looked: list[Looked], baseline: str | None = None) -> list[Figure]:
    """Dice and IoU over the pictures with a lesion (a miss is 0), and what is outlined where there is none."""
    with_lesion = [(one.example.group, one.outlined) for one in looked if one.outlined and one.outlined.truth]
    without = [(one.example.group, one.outlined) for one in looked if one.outlined and not one.outlined.truth]
    groups, clear = [group for group, _ in with_lesion], [group for group, _ in without]
    scores = np.array([one.dice for _, one in with_lesion])
    spoiled = [one.found / one.pixels for _, one in without]
    return [
        *judge.mean("dice", "Dice, mean (pictures with a lesion, a miss counts 0)", scores.tolist(), groups, baseline),
        *judge.figure("dice_median", "Dice, median", lambda rows: float(np.median(scores[rows])), groups),
        *judge.mean("iou", "IoU, mean", [one.iou for _, one in with_lesion], groups),
        *judge.mean(
            "normal_clean", "Pictures without a lesion, left clean", [not one.found for _, one in without], clear
        ),
        *judge.mean("normal_pixels", "Share of their pixels outlined", spoiled, clear),
    ]


def lesion_figures(judge: Judge, looked: list[Looked], threshold: float) -> list[Figure]:
    """Lesion by lesion, at the shipped threshold of a finding; and the recall where the bar of false findings lies."""
    seen = [(one.example.group, one.outlined) for one in looked if one.outlined]
    lesions = [(group, lesion, one.pixels) for group, one in seen for lesion in one.lesions]
    small = [entry for entry in lesions if entry[1].area < judge.settings.small * entry[2]]
    groups = [group for group, *_ in seen]
    extra = [sum(chance >= threshold for chance in one.extras) for _, one in seen]
    figures = []
    for key, name, some in (
        ("recall", f"Recall of lesions (IoU ≥ {judge.settings.hit:g})", lesions),
        ("small_recall", f"Recall of lesions below {judge.settings.small:.1%} of the picture", small),
    ):
        values = [lesion.chance >= threshold for _, lesion, _ in some]
        figures += judge.mean(key, name, values, [group for group, *_ in some])
    figures += judge.mean("false_findings", "False findings a picture", extra, groups)
    most = judge.settings.bars.get("false_findings")
    if most is not None and lesions:
        name = f"Recall of lesions with at most {most:g} false findings a picture (FROC)"
        outlined = [one for _, one in seen]
        figures += judge.figure("recall_at_bar", name, partial(_recall_at, outlined, threshold, most), groups)
    return figures


def _recall_at(seen: list[Outlined], threshold: float, most: float, rows: Indices) -> float:
    return froc_of([seen[row] for row in rows], threshold).recall_at(most)


def froc_of(seen: list[Outlined], threshold: float) -> Froc:
    """The free-response curve of some pictures."""
    lesions = np.array([lesion.chance for one in seen for lesion in one.lesions], np.float64)
    extras = np.array([chance for one in seen for chance in one.extras], np.float64)
    return froc_curve(lesions, extras, len(seen), threshold)


def froc_facts(looked: list[Looked], threshold: float) -> dict[str, float]:
    """The curve in numbers: most false findings a picture → recall of lesions."""
    seen = [one.outlined for one in looked if one.outlined]
    if not any(one.lesions for one in seen):
        return {}
    curve = froc_of(seen, threshold)
    return {f"{most:g}": round(curve.recall_at(most), 3) for most in POINTS}


def mask_plots(judge: Judge, looked: list[Looked], threshold: float, prefix: str = "") -> dict[str, Draw]:
    """FROC over all lesions and over the small ones, and whether a finding's probability can be believed.

    `prefix` is that of the keys of the bars for both axes.
    """
    seen = [one.outlined for one in looked if one.outlined]
    hits = [hit for one in seen for hit in one.hits]
    bars = judge.settings.bars
    keys = (f"{prefix}false_findings", f"{prefix}recall")
    corner = (bars[keys[0]], bars[keys[1]]) if set(keys) <= bars.keys() else None
    plots: dict[str, Draw] = {}
    if any(one.lesions for one in seen):
        plots["froc.png"] = partial(_draw_froc, froc_of(seen, threshold), corner)
    if hits:
        chance, true = np.array([chance for chance, _ in hits]), np.array([hit for _, hit in hits])
        plots["reliability-findings.png"] = partial(_draw_reliability, chance, true)
    return plots


def _draw_froc(curve: Froc, corner: tuple[float, float] | None, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.froc({"lesions": curve}, path, corner)


def _draw_reliability(chance: Float64s, true: Bools, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.reliability({"finding hits a lesion": (chance, true)}, path)

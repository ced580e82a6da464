"""Figures of outlines: overlap with the reference, lesions found, false findings, FROC."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from medvis.core.arrays import Indices
from medvis.learn.figures.curves import Froc, froc_curve
from medvis.learn.figures.scored import Scored
from medvis.learn.measuring.evaluation import Draw, FigureMaker
from medvis.learn.measuring.predictions import FindingMatches, PicturePrediction
from medvis.model.card import Figure

POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def overlap_figures(
    maker: FigureMaker, predictions: list[PicturePrediction], baseline: str | None = None
) -> list[Figure]:
    """Dice and IoU over the pictures with a lesion (a miss is 0), and what is outlined where there is none."""
    scored = [(picture.example.group, picture.mask) for picture in predictions if picture.mask]
    with_lesion = [(group, mask) for group, mask in scored if mask.reference]
    without = [(group, mask) for group, mask in scored if not mask.reference]
    groups, clear = [group for group, _ in with_lesion], [group for group, _ in without]
    scores = np.array([mask.dice for _, mask in with_lesion])
    outlined = [mask.predicted / mask.pixels for _, mask in without]
    return [
        *maker.mean("dice", "Dice, mean (pictures with a lesion, a miss counts 0)", scores.tolist(), groups, baseline),
        *maker.figure("dice_median", "Dice, median", lambda rows: float(np.median(scores[rows])), groups),
        *maker.mean("iou", "IoU, mean", [mask.iou for _, mask in with_lesion], groups),
        *maker.mean(
            "normal_clean", "Pictures without a lesion, left clean", [not mask.predicted for _, mask in without], clear
        ),
        *maker.mean("normal_pixels", "Share of their pixels outlined", outlined, clear),
    ]


def lesion_figures(maker: FigureMaker, predictions: list[PicturePrediction], threshold: float) -> list[Figure]:
    """Lesion by lesion, at the shipped threshold of a finding; and the recall where the bar of false findings lies."""
    scored = [(picture.example.group, picture.mask) for picture in predictions if picture.mask]
    lesions = [(group, lesion, mask.pixels) for group, mask in scored for lesion in mask.matches.lesions]
    small = [entry for entry in lesions if entry[1].area < maker.settings.small * entry[2]]
    groups = [group for group, _ in scored]
    matches = [mask.matches for _, mask in scored]
    extra = [sum(probability >= threshold for probability in picture.false_positives) for picture in matches]
    figures = []
    for key, name, some in (
        ("recall", f"Recall of lesions (IoU ≥ {maker.settings.hit:g})", lesions),
        ("small_recall", f"Recall of lesions below {maker.settings.small:.1%} of the picture", small),
    ):
        detected = [lesion.probability >= threshold for _, lesion, _ in some]
        figures += maker.mean(key, name, detected, [group for group, *_ in some])
    figures += maker.mean("false_findings", "False findings a picture", extra, groups)
    most = maker.settings.bars.get("false_findings")
    if most is not None and lesions:
        name = f"Recall of lesions with at most {most:g} false findings a picture (FROC)"
        figures += maker.figure("recall_at_bar", name, partial(_recall_at, matches, threshold, most), groups)
    return figures


def _recall_at(matches: list[FindingMatches], threshold: float, most: float, rows: Indices) -> float:
    return froc_of([matches[row] for row in rows], threshold).recall_at(most)


def froc_of(matches: list[FindingMatches], threshold: float) -> Froc:
    """The free-response curve of some pictures."""
    lesions = np.array([lesion.probability for picture in matches for lesion in picture.lesions], np.float64)
    false = np.array([probability for picture in matches for probability in picture.false_positives], np.float64)
    return froc_curve(lesions, false, len(matches), threshold)


def froc_facts(predictions: list[PicturePrediction], threshold: float) -> dict[str, float]:
    """The curve in numbers: most false findings a picture → recall of lesions."""
    matches = _matches(predictions)
    if not any(picture.lesions for picture in matches):
        return {}
    curve = froc_of(matches, threshold)
    return {f"{most:g}": round(curve.recall_at(most), 3) for most in POINTS}


def mask_plots(
    maker: FigureMaker, predictions: list[PicturePrediction], threshold: float, prefix: str = ""
) -> dict[str, Draw]:
    """FROC over all lesions and over the small ones, and whether a finding's probability can be believed.

    `prefix` is that of the keys of the bars for both axes.
    """
    matches = _matches(predictions)
    hits = [
        (*hit, picture.example.group) for picture in predictions if picture.mask for hit in picture.mask.matches.hits
    ]
    bars = maker.settings.bars
    keys = (f"{prefix}false_findings", f"{prefix}recall")
    corner = (bars[keys[0]], bars[keys[1]]) if set(keys) <= bars.keys() else None
    plots: dict[str, Draw] = {}
    if any(picture.lesions for picture in matches):
        plots["froc.png"] = partial(_draw_froc, froc_of(matches, threshold), corner)
    if hits:
        probability, hit, groups = zip(*hits, strict=True)
        scored = Scored(np.array(probability, np.float64), np.array(hit, bool), groups)
        plots["reliability-findings.png"] = partial(_draw_reliability, scored)
    return plots


def _matches(predictions: list[PicturePrediction]) -> list[FindingMatches]:
    return [picture.mask.matches for picture in predictions if picture.mask]


def _draw_froc(curve: Froc, corner: tuple[float, float] | None, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.froc({"lesions": curve}, path, corner)


def _draw_reliability(scored: Scored, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    plots.reliability({"finding hits a lesion": scored}, path)

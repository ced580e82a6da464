"""Lesion crops: Dice on off-centre sub-crops and the malignancy rating per nodule, by the shipped pipeline."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.card import Figure
from medvis.learn.crops import CropCase, Say, run_crops
from medvis.learn.data import Row, load_grey_scans, read_index
from medvis.learn.evaluation import Evaluation
from medvis.learn.metrics import auc, bootstrap, calibration_error, dice, iou
from medvis.pipeline import Pipeline

SIDE = 96
SEED = 0
HIT = 0.3


@dataclass(frozen=True)
class CropScore:
    """What one crop adds to the figures."""

    row: Row
    dice: float
    disc: float
    hit: bool
    extra: int
    malignancy: float
    area: float


def evaluate_crops(pipeline: Pipeline, data: Path, split: str, say: Say) -> Evaluation:
    """All figures of a split, by a pipeline that searches everywhere. Raises MedvisError."""
    readers = int(pipeline.config.train.get("readers", 1))
    scans = load_grey_scans(read_index(data, split), readers)
    windows = scans.off_centre(SIDE, SEED)
    scores = []
    for index, crop in enumerate(run_crops(pipeline, scans, windows, "measure", say)):
        top, left, _ = windows[index]
        scores.append(_score(crop, _disc(scans.grey.shape[1], (int(top), int(left)))))
    figures = [*_segmentation(scores), *_malignancy(scores)]
    facts = {
        "crops": len(scores),
        "patients": len({score.row.group for score in scores}),
        "side_px": SIDE,
        "seed": SEED,
    }
    return Evaluation(pipeline.config.task, pipeline.context.card.version, f"{data.name} {split}", figures, facts)


def _score(crop: CropCase, disc: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> CropScore:
    assert crop.case.mask is not None and crop.case.findings is not None  # the pipeline has run up to measure
    mask = crop.case.mask[0]
    overlaps = {finding.id: iou(mask == finding.id, crop.truth) for finding in crop.case.findings}
    best = max(overlaps, key=lambda number: overlaps[number], default=None)
    hit = best is not None and overlaps[best] >= HIT
    touching = sum((crop.truth & (mask == number)).any() for number in overlaps)
    rated = [finding for finding in crop.case.findings if overlaps[finding.id] > 0]
    # A nodule that was not found was not called malignant either.
    likeliest = max((finding.malignancy or 0.0 for finding in rated), default=0.0)
    return CropScore(
        row=crop.row,
        dice=dice(mask > 0, crop.truth),
        disc=dice(disc, crop.truth),
        hit=hit,
        extra=len(overlaps) - int(touching),
        malignancy=likeliest,
        area=float(crop.truth.sum()),
    )


def _disc(side: int, corner: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The trivial answer: a disc of radius 5 at the centre of the *uncut* crop, where the nodule is known to be."""
    rows, cols = np.mgrid[corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]
    return np.asarray(np.hypot(rows - side / 2, cols - side / 2) <= 5)


def _segmentation(scores: list[CropScore]) -> list[Figure]:
    groups = [score.row.group for score in scores]
    values = np.array([score.dice for score in scores])
    disc = np.array([score.disc for score in scores])
    hits, extra = np.array([score.hit for score in scores], float), np.array([score.extra for score in scores], float)
    n = len(scores)
    return [
        Figure(
            name="Dice, mean (off-centre 96×96 crops, a miss counts 0)",
            value=float(values.mean()),
            ci95=bootstrap(lambda rows: float(values[rows].mean()), groups),
            n=n,
            baseline=f"disc of radius 5 at the known centre {disc.mean():.3f}",
        ),
        Figure(
            name="Dice, median",
            value=float(np.median(values)),
            ci95=bootstrap(lambda rows: float(np.median(values[rows])), groups),
            n=n,
            baseline=f"the same disc {np.median(disc):.3f}",
        ),
        Figure(
            name=f"Recall (a finding with IoU ≥ {HIT})",
            value=float(hits.mean()),
            ci95=bootstrap(lambda rows: float(hits[rows].mean()), groups),
            n=n,
        ),
        Figure(
            name="False findings a crop (unmarked nodules count as false)",
            value=float(extra.mean()),
            ci95=bootstrap(lambda rows: float(extra[rows].mean()), groups),
            n=n,
        ),
    ]


def _malignancy(scores: list[CropScore]) -> list[Figure]:
    """Per nodule: the mean over its crops, benign against malignant median rating (indeterminate left out)."""
    nodules: dict[tuple[str, str], list[CropScore]] = defaultdict(list)
    for score in scores:
        if score.row.label in ("benign", "malignant"):
            nodules[score.row.group, score.row.fields.get("nodule", score.row.id)].append(score)
    if len({group[0].row.label for group in nodules.values()}) < 2:
        return []
    rated = np.array([np.mean([score.malignancy for score in group]) for group in nodules.values()])
    areas = np.array([np.mean([score.area for score in group]) for group in nodules.values()])
    truth = np.array([group[0].row.label == "malignant" for group in nodules.values()])
    groups = [key[0] for key in nodules]
    called = rated >= 0.5
    sensitivity, specificity = float(called[truth].mean()), float((~called)[~truth].mean())
    return [
        Figure(
            name="AUC, benign against malignant reader rating, per nodule",
            value=auc(rated, truth),
            ci95=bootstrap(lambda rows: auc(rated[rows], truth[rows]), groups),
            n=len(truth),
            baseline=f"area of the reference mask alone {auc(areas, truth):.3f}",
        ),
        Figure(name="Sensitivity for a malignant rating at 0.5", value=sensitivity, n=int(truth.sum())),
        Figure(name="Specificity for a malignant rating at 0.5", value=specificity, n=int((~truth).sum())),
        Figure(name="Calibration error of the malignancy rating", value=calibration_error(rated, truth), n=len(truth)),
    ]

"""Lesion crops: Dice on off-centre sub-crops and the malignancy rating per nodule, by the shipped pipeline."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.learn.data.ct_pictures import CtPictures, load_ct_pictures
from medvis.learn.data.index import Row, read_index
from medvis.learn.data.label_names import NOTHING, UNKNOWN, is_unknown, normalised
from medvis.learn.data.masks import EMPTY_MASKS, empty_masks
from medvis.learn.figures.matching import best_overlap, false_positives, match, one_lesion
from medvis.learn.figures.metrics import auc, calibration_error, dice
from medvis.learn.figures.scored import Scored
from medvis.learn.measuring.crops import CropCase, Progress, depth_of, run_crop, run_crops
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, FigureMaker
from medvis.model.card import Figure, Worst
from medvis.pipeline import Pipeline

SIDE = 96
SEED = 0
CALLED = 0.5
# What the readers' median rating may be called; only the first two are told apart.
RATINGS = ("benign", "malignant", "indeterminate", "unrated")


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


def evaluate_crops(pipeline: Pipeline, data: Path, split: str, progress: Progress) -> Evaluation:
    """All figures of a split, by a pipeline that searches everywhere. Raises MedvisError."""
    readers = int(pipeline.config.train.get("readers", 1))
    scans = load_ct_pictures(read_index(data, split), readers, pipeline.config.picture, depth_of(pipeline))
    windows = scans.off_centre(SIDE, SEED)
    maker, scores = FigureMaker(pipeline.config.evaluate), []
    for index, crop in enumerate(run_crops(pipeline, scans, windows, "measure", progress)):
        top, left, _ = windows[index]
        scores.append(_score(crop, _disc(scans.shape[0], (int(top), int(left))), maker.settings.hit))
    rated = _rated(scores)
    rating = _malignancy(maker, rated)
    worst = sorted(range(len(scores)), key=lambda index: (scores[index].dice, -scores[index].area))[:WORST]
    plots: dict[str, Draw] = {
        f"{kind}.png": partial(_draw_rating, rated, kind) for kind in ("roc", "reliability") if rating
    }
    for rank, index in enumerate(worst, 1):
        plots[f"worst-{rank}.png"] = partial(_draw_crop, pipeline, scans, (index, windows[index]))
    named = [None if row.mask is None else bool(mask.any()) for row, mask in zip(scans.rows, scans.mask, strict=True)]
    labels = [(row.label, mask) for row, mask in zip(scans.rows, named, strict=True)]
    empty = empty_masks(labels, NOTHING | UNKNOWN)
    facts: dict[str, Any] = {
        **({} if empty is None else {EMPTY_MASKS: empty}),
        "crops": len(scores),
        "patients": len({score.row.group for score in scores}),
        "side_px": SIDE,
        "seed": SEED,
    }
    foreign = Counter(row.label for row in scans.rows if not is_unknown(row.label))
    foreign = Counter({label: count for label, count in foreign.items() if normalised(label) not in RATINGS})
    if foreign:
        facts["labels that the task does not know"] = dict(foreign)
    return Evaluation(
        pipeline.config.task, pipeline.context.card.version, f"{data.name} {split}",
        [*_segmentation(maker, scores), *rating], facts, [_worst_case(scores[index]) for index in worst], plots,
    )  # fmt: skip


def _worst_case(score: CropScore) -> Worst:
    rating = f", rated {score.row.label}" if score.row.label else ""
    description = (
        f"{score.area:.0f} px marked{rating}, {'found' if score.hit else 'missed'}, {score.extra} false beside it"
    )
    return Worst(id=score.row.id, score=round(score.dice, 4), description=description)


def _score(crop: CropCase, disc: Bools, least: float) -> CropScore:
    assert crop.case.mask is not None and crop.case.findings is not None  # the pipeline has run up to measure
    mask = crop.case.mask[0]
    matched = match(mask, one_lesion(crop.truth), [finding.id for finding in crop.case.findings])
    rated = [finding for finding in crop.case.findings if matched[finding.id]]
    # A nodule that was not found was not called malignant either.
    likeliest = max((finding.malignancy or 0.0 for finding in rated), default=0.0)
    return CropScore(
        row=crop.row,
        dice=dice(mask > 0, crop.truth),
        disc=dice(disc, crop.truth),
        hit=best_overlap(matched) >= least,
        extra=len(false_positives(matched)),
        malignancy=likeliest,
        area=float(crop.truth.sum()),
    )


def _disc(side: int, corner: tuple[int, int]) -> Bools:
    """The trivial answer: a disc of radius 5 at the centre of the *uncut* crop, where the nodule is known to be."""
    rows, cols = np.mgrid[corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]
    return np.asarray(np.hypot(rows - side / 2, cols - side / 2) <= 5)


def _segmentation(maker: FigureMaker, scores: list[CropScore]) -> list[Figure]:
    groups = [score.row.group for score in scores]
    values = np.array([score.dice for score in scores])
    disc = np.array([score.disc for score in scores])
    known = f"disc of radius 5 at the known centre {disc.mean():.3f}"
    hit, extra = (
        f"Recall (a finding with IoU ≥ {maker.settings.hit:g})",
        "False findings a crop (unmarked nodules count as false)",
    )
    return [
        *maker.mean("dice", "Dice, mean (off-centre 96×96 crops, a miss counts 0)", values.tolist(), groups, known),
        *maker.figure("dice_median", "Dice, median", lambda rows: float(np.median(values[rows])), groups,
                      f"the same disc {np.median(disc):.3f}"),
        *maker.mean("recall", hit, [score.hit for score in scores], groups),
        *maker.mean("false_findings", extra, [score.extra for score in scores], groups),
    ]  # fmt: skip


@dataclass(frozen=True)
class Rated:
    """The nodules that the readers called benign or malignant: mean over the crops of each.

    Attributes:
        probability: [n] of a malignant rating; truth: [n]; area: [n] px of the reference; groups: patient of each.
    """

    probability: Float64s
    truth: Bools
    area: Float64s
    groups: list[str]


def _rated(scores: list[CropScore]) -> Rated:
    nodules: dict[tuple[str, str], list[CropScore]] = defaultdict(list)
    for score in scores:
        if normalised(score.row.label) in RATINGS[:2]:
            nodules[score.row.group, score.row.fields.get("nodule", score.row.id)].append(score)
    return Rated(
        np.array([np.mean([score.malignancy for score in group]) for group in nodules.values()], np.float64),
        np.array([normalised(group[0].row.label) == "malignant" for group in nodules.values()], bool),
        np.array([np.mean([score.area for score in group]) for group in nodules.values()], np.float64),
        [patient for patient, _ in nodules],
    )


def _malignancy(maker: FigureMaker, rated: Rated) -> list[Figure]:
    """Benign against malignant median rating (indeterminate left out)."""
    probability, truth, groups = rated.probability, rated.truth, rated.groups
    if truth.all() or not truth.any():
        return []
    called, sick, well = probability >= CALLED, np.flatnonzero(truth), np.flatnonzero(~truth)
    alone = f"area of the reference mask alone {auc(rated.area, truth):.3f}"
    return [
        *maker.figure("auc", "AUC, benign against malignant reader rating, per nodule",
                      lambda rows: auc(probability[rows], truth[rows]), groups, alone),
        *maker.mean("sensitivity", f"Sensitivity for a malignant rating at {CALLED}", called[sick].tolist(),
                    [groups[row] for row in sick]),
        *maker.mean("specificity", f"Specificity for a malignant rating at {CALLED}", (~called[well]).tolist(),
                    [groups[row] for row in well]),
        *maker.figure("calibration_error", "Calibration error of the malignancy rating",
                      lambda rows: calibration_error(probability[rows], truth[rows]), groups),
    ]  # fmt: skip


def _draw_rating(rated: Rated, kind: str, path: Path) -> None:
    from medvis.learn.figures import plots  # noqa: PLC0415 - matplotlib, only where something is drawn

    called = rated.probability >= CALLED
    rating = {"malignant reader rating": Scored(rated.probability, rated.truth, rated.groups, called)}
    if kind == "roc":
        plots.roc({**rating, "area of the reference alone": Scored(rated.area, rated.truth, rated.groups)}, path)
    else:
        plots.reliability(rating, path)


def _draw_crop(pipeline: Pipeline, scans: CtPictures, crop_of: tuple[int, Indices], path: Path) -> None:
    from medvis.learn.measuring.gallery import draw_case  # noqa: PLC0415 - matplotlib, only where something is drawn

    index, window = crop_of
    crop = run_crop(pipeline, scans, index, window, None)
    draw_case(crop.case, crop.truth, crop.row.id, path, pipeline.config.display)

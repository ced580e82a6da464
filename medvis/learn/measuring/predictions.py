"""What the shipped pipeline says of labelled pictures: one record a picture, small enough to keep thousands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from medvis.core.arrays import Bools
from medvis.core.case import Case
from medvis.errors import InputError
from medvis.learn.data.examples import Example
from medvis.learn.figures.metrics import dice, iou
from medvis.learn.measuring.crops import Say
from medvis.pipeline import Pipeline, load

# Findings below it are nobody's concern; above it, the thresholds of the FROC curve go through them.
FLOOR = 0.01


@dataclass(frozen=True)
class Lesion:
    """One component of the reference: its area, and the likeliest finding that hits it (−inf: none does)."""

    area: int
    chance: float


@dataclass(frozen=True)
class Outlined:
    """Mask and findings of one picture beside its reference.

    Attributes:
        dice, iou: of the union of the findings with the union of the lesions.
        found, truth: their areas in px.
        pixels: of the picture.
        lesions: of the reference.
        hits: (probability, whether it hits a lesion) of every finding.
        extras: probabilities of the findings that touch no lesion.
    """

    dice: float
    iou: float
    found: int
    truth: int
    pixels: int
    lesions: tuple[Lesion, ...]
    hits: tuple[tuple[float, bool], ...]
    extras: tuple[float, ...]


@dataclass(frozen=True)
class Looked:
    """One picture: probabilities of its labels (None: the task has none), verdict, outlines (None: no reference)."""

    example: Example
    chances: dict[str, float] | None
    verdict: str | None
    outlined: Outlined | None


def swept(pipeline: Pipeline) -> Pipeline:
    """The same task with every finding kept, however unlikely: what a FROC curve goes through."""
    stages = {**pipeline.config.stages, "segment": {**(pipeline.config.stages["segment"] or {}), "finding": FLOOR}}
    return Pipeline(pipeline.asked, {"stages": stages}, pipeline.context.predictor)


def shipped_threshold(pipeline: Pipeline) -> float:
    """Least probability of a finding: of the task's YAML, else of the card."""
    own = (pipeline.config.stages["segment"] or {}).get("finding") if "segment" in pipeline.config.stages else None
    return float(pipeline.context.card.thresholds.get("finding", 0.5) if own is None else own)


def look(pipeline: Pipeline, sweeper: Pipeline | None, examples: list[Example], say: Say) -> Iterator[Looked]:
    """Every picture through the whole pipeline, as a user's file would go.

    Args:
        pipeline: as shipped.
        sweeper: of `swept`, to see the findings below the threshold as well; None: the task has no findings.
        examples: of one split.
        say: progress (done, total).

    Raises:
        InputError: a picture or mask is unreadable, or not for this task.
    """
    for index, example in enumerate(examples):
        case, _ = pipeline.run(pipeline.accept(load(example.image)))
        say(index + 1, len(examples))
        yield Looked(
            example,
            _chances(case),
            None if case.verdict is None else case.verdict.decision,
            None if sweeper is None else outlines(case, sweeper, example),
        )


def _chances(case: Case) -> dict[str, float] | None:
    """Unrounded, and by the names of the card."""
    if case.classes is None or case.prediction is None or case.prediction.distribution is None:
        return None
    return case.prediction.distribution.by_name


def outlines(case: Case, sweeper: Pipeline, example: Example) -> Outlined | None:
    """The outlines of a case beside the reference; None where there is none."""
    truth = example.mask(case.scan.shape)
    if truth is None or case.mask is None:
        return None
    if case.scan.frames != 1:
        raise InputError(f"{example.image} has {case.scan.frames} frames", "one picture to one mask")
    all_of_them, _ = sweeper.run(case, first="segment", last="measure")
    found = case.mask[0] > 0
    return Outlined(
        dice(found, truth), iou(found, truth), int(found.sum()), int(truth.sum()), truth.size,
        *matched(all_of_them, truth, sweeper.config.evaluate.hit),
    )  # fmt: skip


def matched(
    case: Case, truth: Bools, hit: float
) -> tuple[tuple[Lesion, ...], tuple[tuple[float, bool], ...], tuple[float, ...]]:
    """Which findings hit which lesions of one frame.

    A finding hits a lesion if the IoU of both is at least `hit`, pixels of other lesions left out of it. One that
    touches no lesion is false; one that touches a lesion without hitting it is neither.

    Args:
        case: with mask and findings; its first frame is looked at.
        truth: bool [rows, cols].
        hit: least IoU.

    Returns:
        Lesions, (probability, hits) of every finding, probabilities of the false ones.
    """
    assert case.mask is not None and case.findings is not None  # the pipeline has run up to measure
    count, parts = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)
    best, hits, extras = [-np.inf] * (count - 1), [], []
    for finding in case.findings:
        inside = case.mask[0] == finding.id
        touched = [int(number) for number in np.unique(parts[inside]) if number]
        lesions = [parts == number for number in touched]
        struck = [n for n, one in zip(touched, lesions, strict=True) if iou(inside & (one | ~truth), one) >= hit]
        for number in struck:
            best[number - 1] = max(best[number - 1], finding.probability)
        hits.append((finding.probability, bool(struck)))
        if not touched:
            extras.append(finding.probability)
    areas = np.bincount(parts.ravel(), minlength=count)[1:]
    found = tuple(Lesion(int(area), float(chance)) for area, chance in zip(areas, best, strict=True))
    return found, tuple(hits), tuple(extras)

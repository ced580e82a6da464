"""What the shipped pipeline predicts for labelled pictures, and how its findings match the lesions of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Bools
from medvis.core.case import Case
from medvis.errors import InputError
from medvis.learn.data.examples import Example
from medvis.learn.figures.matching import IGNORED, hits, ignoring, overlaps, separate_lesions
from medvis.learn.figures.metrics import dice, iou
from medvis.learn.measuring.crops import Progress
from medvis.pipeline import Pipeline, load

# The FROC curve goes through the findings above this probability; nobody would want to see those below it.
LOWEST = 0.01


@dataclass(frozen=True)
class Lesion:
    """One lesion of the reference: its area in px, and the probability of its likeliest hit (−inf: none hits it)."""

    area: int
    probability: float


@dataclass(frozen=True)
class FindingMatches:
    """The findings of one picture against the lesions of its reference, by the rule of `figures.matching`.

    Attributes:
        lesions: of the reference.
        hits: (probability, whether it hits a lesion) of every finding that does not lie on ignored pixels alone.
        false_positives: probabilities of the findings that touch no lesion.
    """

    lesions: tuple[Lesion, ...]
    hits: tuple[tuple[float, bool], ...]
    false_positives: tuple[float, ...]


@dataclass(frozen=True)
class MaskScore:
    """Mask and findings of one picture beside its reference.

    Attributes:
        dice, iou: of the union of the findings with the union of the lesions.
        predicted, reference: their areas in px.
        pixels: of the picture.
        matches: finding by finding.
    """

    dice: float
    iou: float
    predicted: int
    reference: int
    pixels: int
    matches: FindingMatches


@dataclass(frozen=True)
class PicturePrediction:
    """One picture after the whole pipeline.

    Attributes:
        example: the picture and its label.
        probabilities: name of each label → 0…1; None: the task has no classes.
        verdict: ``positive``, ``negative`` or ``refer``; None: the pipeline does not judge.
        mask: None where there is no reference mask.
    """

    example: Example
    probabilities: dict[str, float] | None
    verdict: str | None
    mask: MaskScore | None


def without_threshold(pipeline: Pipeline) -> Pipeline:
    """The same task with every finding above `LOWEST` kept: what a FROC curve goes through."""
    stages = {**pipeline.config.stages, "segment": {**(pipeline.config.stages["segment"] or {}), "finding": LOWEST}}
    return Pipeline(pipeline.asked, {"stages": stages}, pipeline.context.predictor)


def shipped_threshold(pipeline: Pipeline) -> float:
    """Least probability of a finding: of the task's YAML, else of the card."""
    own = (pipeline.config.stages["segment"] or {}).get("finding") if "segment" in pipeline.config.stages else None
    return float(pipeline.context.card.thresholds.get("finding", 0.5) if own is None else own)


def predict_pictures(
    pipeline: Pipeline, unthresholded: Pipeline | None, examples: list[Example], progress: Progress
) -> Iterator[PicturePrediction]:
    """Every picture through the whole pipeline, as a user's file would go.

    Args:
        pipeline: as shipped.
        unthresholded: of `without_threshold`, for the findings below the threshold; None: the task has no findings.
        examples: of one split.
        progress: called with (done, total).

    Raises:
        InputError: a picture or mask is unreadable, or not for this task.
    """
    for index, example in enumerate(examples):
        case, _ = pipeline.run(pipeline.accept(load(example.image)))
        progress(index + 1, len(examples))
        yield PicturePrediction(
            example,
            _probabilities(case),
            None if case.verdict is None else case.verdict.decision,
            None if unthresholded is None else score_mask(case, unthresholded, example),
        )


def _probabilities(case: Case) -> dict[str, float] | None:
    """Unrounded, and by the names of the card."""
    if case.classes is None or case.prediction is None or case.prediction.distribution is None:
        return None
    return case.prediction.distribution.by_name


def score_mask(case: Case, unthresholded: Pipeline, example: Example) -> MaskScore | None:
    """Mask and findings of a case beside the reference; None where there is none.

    Raises:
        InputError: the case has several frames, or the reference is unreadable or of another size.
    """
    reference = example.mask(case.scan.shape)
    unsure = None if example.unsure is None else example.unsure(case.scan.shape)
    if reference is None or case.mask is None:
        return None
    if case.scan.frames != 1:
        raise InputError(f"{example.image} has {case.scan.frames} frames", "one picture to one mask")
    everything, _ = unthresholded.run(case, first="segment", last="measure")
    predicted = case.mask[0] > 0
    if unsure is not None:  # what lies there alone is neither right nor false
        predicted &= reference | ~unsure
    return MaskScore(
        dice(predicted, reference),
        iou(predicted, reference),
        int(predicted.sum()),
        int(reference.sum()),
        reference.size,
        match_findings(everything, reference, unthresholded.config.evaluate.hit, unsure),
    )


def match_findings(case: Case, reference: Bools, least: float, unsure: Bools | None = None) -> FindingMatches:
    """Which findings hit which lesions of one frame.

    Args:
        case: with mask and findings; its first frame is looked at.
        reference: bool [rows, cols]; each 8-connected piece is a lesion.
        least: IoU from which on a finding hits a lesion.
        unsure: bool [rows, cols], pixels on which a finding is neither right nor false.
    """
    assert case.mask is not None and case.findings is not None  # the pipeline has run up to measure
    lesions = separate_lesions(reference)
    areas = np.bincount(lesions.ravel())[1:]
    lesions = lesions if unsure is None else ignoring(lesions, unsure)
    likeliest = np.full(len(areas), -np.inf)
    each, false = [], []
    for finding in case.findings:
        touched = overlaps(case.mask[0] == finding.id, lesions)
        hit = hits(touched, least)
        for number in hit:
            likeliest[number - 1] = max(likeliest[number - 1], finding.probability)
        if set(touched) != {IGNORED}:
            each.append((finding.probability, bool(hit)))
        if not touched:
            false.append(finding.probability)
    pairs = zip(areas.tolist(), likeliest.tolist(), strict=True)
    return FindingMatches(tuple(Lesion(area, probability) for area, probability in pairs), tuple(each), tuple(false))

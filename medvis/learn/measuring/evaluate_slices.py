"""Whole DICOM slices with reader masks: recall and false findings a slice, slice by slice and as series.

Layout: folders of `NAME.dcm` with `masks/NAME.png` (palette PNG, value = how many readers marked the pixel; on a slice
without a file nothing is marked). Where `ignore/NAME.png` is 255, a finding is neither right nor false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medvis.core.arrays import Labels
from medvis.core.case import Case
from medvis.errors import InputError
from medvis.learn.data.examples import Example, no_pixels
from medvis.learn.data.masks import MaskFile, read_mask, require_readers
from medvis.learn.data.scans import IGNORE, MASKS, LabelledScan, labelled_scans, slices_of
from medvis.learn.figures.matching import best_overlap, false_positives, ignoring, match, one_lesion
from medvis.learn.measuring.crops import Progress
from medvis.learn.measuring.evaluate_masks import froc_facts, mask_plots
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction, score_mask, shipped_threshold, without_threshold
from medvis.model.card import Figure, Worst
from medvis.pipeline import Pipeline, load

ALONE = "each slice alone"


@dataclass(frozen=True)
class SliceScore:
    """One slice.

    Attributes:
        name: folder and file.
        group: the patient.
        best: IoU of the best finding; None where the readers marked nothing.
        extra: number of false findings; None where not all lesions are marked, so that none is known to be false.
    """

    name: str
    group: str
    best: float | None
    extra: int | None


def evaluate_slices(pipeline: Pipeline, data: Path, progress: Progress, split: str = "test") -> Evaluation:
    """All figures of the scans of a split with masks at or below `data` (`labelled_scans`).

    Raises:
        InputError: there is none, or something of it is unreadable.
    """
    scans = [scan for scan in labelled_scans(data, split) if scan.masked]
    if not scans:
        raise InputError(f"no slices with masks in {data}", "folders of NAME.dcm with masks/NAME.png")
    readers = int(pipeline.config.train.get("readers", 1))
    _require_readers(scans, readers, data)
    total = sum(2 * len(slices_of(scan.folder)) for scan in scans)
    maker, unthresholded = FigureMaker(pipeline.config.evaluate), without_threshold(pipeline)
    alone, linked, predictions, examples, done = [], [], [], {}, 0
    for scan in scans:
        paths = slices_of(scan.folder)
        references = {path.name: _example(path, scan, readers) for path in paths}
        for path in paths:
            case, _ = pipeline.run(pipeline.accept(load(path)), last="segment")
            example = references[path.name]
            if scan.complete:  # a FROC curve needs to know which findings are false
                predictions.append(PicturePrediction(example, None, None, score_mask(case, unthresholded, example)))
            alone += _scores(case, references, scan.complete)
            done += 1
            progress(done, total)
        series, _ = pipeline.run(pipeline.accept(load(scan.folder)), last="segment")
        linked += _scores(series, references, scan.complete)
        done += len(paths)
        progress(done, total)
        examples.update({example.id: example for example in references.values()})
    worst = _worst(alone)
    plots: dict[str, Draw] = dict(mask_plots(maker, predictions, shipped_threshold(pipeline), "slice_"))
    for rank, score in enumerate(worst, 1):
        plots[f"worst-{rank}.png"] = partial(_draw, pipeline, examples[score.name], _worst_case(score).description)
    facts = {"slices": {score.name: [score.best, score.extra] for score in alone}, "readers": readers}
    curve = {"recall of lesions at false findings a slice": froc_facts(predictions, shipped_threshold(pipeline))}
    return Evaluation(
        pipeline.config.task, pipeline.context.card.version, data.name,
        [*_figures(maker, alone, ALONE), *_figures(maker, linked, "as series")],
        {**facts, **curve}, [_worst_case(score) for score in worst], plots,
    )  # fmt: skip


def _require_readers(scans: list[LabelledScan], readers: int, data: Path) -> None:
    """Of the scans that do not say themselves how many readers there were."""
    paths = [path for scan in scans if scan.least is None for path in sorted((scan.folder / MASKS).glob("*.png"))]
    require_readers((read_mask(path, readers) for path in paths), readers, str(data))


def _example(path: Path, scan: LabelledScan, readers: int) -> Example:
    mask, unsure = (scan.folder / name / f"{path.stem}.png" for name in (MASKS, IGNORE))
    return Example(
        f"{scan.folder.name}/{path.name}", scan.group, "", path,
        MaskFile(mask, scan.least or readers) if mask.is_file() else no_pixels,
        MaskFile(unsure, 1) if unsure.is_file() else None,
    )  # fmt: skip


def _draw(pipeline: Pipeline, example: Example, description: str, path: Path) -> None:
    from medvis.learn.measuring.gallery import draw_example  # noqa: PLC0415 - matplotlib, only where something is drawn

    draw_example(pipeline, example, description, path)


def _scores(case: Case, references: dict[str, Example], complete: bool) -> list[SliceScore]:
    return [_score(references[name], mask, complete) for name, mask in _named_frames(case)]


def _named_frames(case: Case) -> Iterator[tuple[str, Labels]]:
    assert case.mask is not None  # the pipeline has run up to segment
    return zip((Path(file).name for file in case.scan.source.files), case.mask, strict=True)


def _score(example: Example, mask: Labels, complete: bool) -> SliceScore:
    shape = mask.shape[0], mask.shape[1]
    truth = example.mask(shape)
    assert truth is not None  # `_example` has given it an outline
    unsure = no_pixels(shape) if example.unsure is None else example.unsure(shape)
    matched = match(mask, ignoring(one_lesion(truth), unsure))
    best = round(best_overlap(matched), 3) if truth.any() else None
    return SliceScore(example.id, example.group, best, len(false_positives(matched)) if complete else None)


def _figures(maker: FigureMaker, scores: list[SliceScore], how: str) -> list[Figure]:
    marked = [(score.group, score.best >= maker.settings.hit) for score in scores if score.best is not None]
    recall = f"Recall of slices with a nodule (IoU ≥ {maker.settings.hit:g}), {how}"
    key = "slice" if how == ALONE else "series"
    extra = [(score.group, score.extra) for score in scores if score.extra is not None]
    return [
        *maker.mean(f"{key}_recall", recall, [hit for _, hit in marked], [group for group, _ in marked]),
        *maker.mean(f"{key}_false_findings", f"False findings a slice, {how}", [number for _, number in extra],
                    [group for group, _ in extra]),
    ]  # fmt: skip


def _worst(scores: list[SliceScore]) -> list[SliceScore]:
    """The slices with the worst outline; among those without a lesion to find, the ones with most false findings."""
    return sorted(scores, key=lambda score: (1.0 if score.best is None else score.best, -(score.extra or 0)))[:WORST]


def _worst_case(score: SliceScore) -> Worst:
    best = "nothing marked" if score.best is None else f"best IoU {score.best:.2f}"
    false = "" if score.extra is None else f", {score.extra} false"
    return Worst(id=score.name, score=score.best or 0.0, description=f"{best}{false}")

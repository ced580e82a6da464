"""Whole DICOM slices with reader masks: recall and false findings a slice, slice by slice and as series.

Layout: folders of `NAME.dcm` with `masks/NAME.png` (palette PNG, value = how many readers marked the pixel).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools, Labels
from medvis.core.case import Case
from medvis.errors import InputError
from medvis.learn.data.examples import Example, MaskFile
from medvis.learn.data.index import read_indices
from medvis.learn.figures.matching import best_overlap, false_positives, match, one_lesion
from medvis.learn.measuring.crops import Progress
from medvis.learn.measuring.evaluate_masks import froc_facts, mask_plots
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction, score_mask, shipped_threshold, without_threshold
from medvis.model.card import Figure, Worst
from medvis.pipeline import Pipeline, load

ALONE = "each slice alone"


@dataclass(frozen=True)
class SliceScore:
    """One slice: the IoU of its best finding (None where the readers marked nothing), and its false findings."""

    name: str
    group: str
    best: float | None
    extra: int


def series_folders(data: Path) -> list[Path]:
    """The folders with slices and masks at or below `data`."""
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    return [folder for folder in folders if (folder / "masks").is_dir() and any(folder.glob("*.dcm"))]


def evaluate_slices(pipeline: Pipeline, data: Path, progress: Progress) -> Evaluation:
    """All figures of the folders below `data`. Raises InputError if there is none."""
    folders = series_folders(data)
    if not folders:
        raise InputError(f"no slices with masks in {data}", "folders of NAME.dcm with masks/NAME.png")
    readers = int(pipeline.config.train.get("readers", 1))
    total = sum(2 * len(list(folder.glob("*.dcm"))) for folder in folders)
    maker, unthresholded = FigureMaker(pipeline.config.evaluate), without_threshold(pipeline)
    alone, linked, predictions, done = [], [], [], 0
    for folder in folders:
        paths = sorted(folder.glob("*.dcm"))
        for path in paths:
            case, _ = pipeline.run(pipeline.accept(load(path)), last="segment")
            example = _example(path, folder, readers)
            predictions.append(PicturePrediction(example, None, None, score_mask(case, unthresholded, example)))
            alone += _scores(case, folder, readers)
            done += 1
            progress(done, total)
        linked += _scores(pipeline.run(pipeline.accept(load(folder)), last="segment")[0], folder, readers)
        done += len(paths)
        progress(done, total)
    worst = _worst(alone)
    plots: dict[str, Draw] = dict(mask_plots(maker, predictions, shipped_threshold(pipeline), "slice_"))
    for rank, score in enumerate(worst, 1):
        example = next(row.example for row in predictions if row.example.id == score.name)
        plots[f"worst-{rank}.png"] = partial(_draw, pipeline, example, _worst_case(score).description)
    facts = {"slices": {score.name: [score.best, score.extra] for score in alone}, "readers": readers}
    curve = {"recall of lesions at false findings a slice": froc_facts(predictions, shipped_threshold(pipeline))}
    return Evaluation(
        pipeline.config.task, pipeline.context.card.version, data.name,
        [*_figures(maker, alone, ALONE), *_figures(maker, linked, "as series")],
        {**facts, **curve}, [_worst_case(score) for score in worst], plots,
    )  # fmt: skip


def _example(path: Path, folder: Path, readers: int) -> Example:
    mask = MaskFile(folder / "masks" / f"{path.stem}.png", readers)
    return Example(f"{folder.name}/{path.name}", folder.name, "", path, mask)


def _draw(pipeline: Pipeline, example: Example, told: str, path: Path) -> None:
    from medvis.learn.measuring.gallery import draw_example  # noqa: PLC0415 - matplotlib, only where something is drawn

    draw_example(pipeline, example, told, path)


def _scores(case: Case, folder: Path, readers: int) -> list[SliceScore]:
    return [
        _score(f"{folder.name}/{name}", folder.name, mask, _truth(folder / "masks" / f"{Path(name).stem}.png", readers))
        for name, mask in _named_frames(case)
    ]


def _named_frames(case: Case) -> Iterator[tuple[str, Labels]]:
    assert case.mask is not None  # the pipeline has run up to segment
    return zip((Path(file).name for file in case.scan.source.files), case.mask, strict=True)


def _truth(path: Path, readers: int) -> Bools:
    return np.asarray(read_indices(path) >= readers)


def _score(name: str, group: str, mask: Labels, truth: Bools) -> SliceScore:
    matched = match(mask, one_lesion(truth))
    best = round(best_overlap(matched), 3) if truth.any() else None
    return SliceScore(name, group, best, len(false_positives(matched)))


def _figures(maker: FigureMaker, scores: list[SliceScore], how: str) -> list[Figure]:
    marked = [(score.group, score.best >= maker.settings.hit) for score in scores if score.best is not None]
    recall = f"Recall of slices with a nodule (IoU ≥ {maker.settings.hit:g}), {how}"
    key = "slice" if how == ALONE else "series"
    return [
        *maker.mean(f"{key}_recall", recall, [hit for _, hit in marked], [group for group, _ in marked]),
        *maker.mean(f"{key}_false_findings", f"False findings a slice, {how}", [score.extra for score in scores],
                    [score.group for score in scores]),
    ]  # fmt: skip


def _worst(scores: list[SliceScore]) -> list[SliceScore]:
    """The slices with the worst outline; among those without a lesion to find, the ones with most false findings."""
    return sorted(scores, key=lambda score: (1.0 if score.best is None else score.best, -score.extra))[:WORST]


def _worst_case(score: SliceScore) -> Worst:
    best = "nothing marked" if score.best is None else f"best IoU {score.best:.2f}"
    return Worst(id=score.name, score=score.best or 0.0, description=f"{best}, {score.extra} false")

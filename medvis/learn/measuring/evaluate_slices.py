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
from medvis.learn.figures.metrics import iou
from medvis.learn.measuring.crops import Say
from medvis.learn.measuring.evaluate_masks import froc_facts, mask_plots
from medvis.learn.measuring.evaluation import WORST, Draw, Evaluation, Judge
from medvis.learn.measuring.predictions import Looked, outlines, shipped_threshold, swept
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


def evaluate_slices(pipeline: Pipeline, data: Path, say: Say) -> Evaluation:
    """All figures of the folders below `data`. Raises InputError if there is none."""
    folders = series_folders(data)
    if not folders:
        raise InputError(f"no slices with masks in {data}", "folders of NAME.dcm with masks/NAME.png")
    readers = int(pipeline.config.train.get("readers", 1))
    total = sum(2 * len(list(folder.glob("*.dcm"))) for folder in folders)
    judge, sweeper = Judge(pipeline.config.evaluate), swept(pipeline)
    alone, linked, looked, done = [], [], [], 0
    for folder in folders:
        paths = sorted(folder.glob("*.dcm"))
        for path in paths:
            case, _ = pipeline.run(pipeline.accept(load(path)), last="segment")
            example = _example(path, folder, readers)
            looked.append(Looked(example, None, None, outlines(case, sweeper, example)))
            alone += _scores(case, folder, readers)
            done += 1
            say(done, total)
        linked += _scores(pipeline.run(pipeline.accept(load(folder)), last="segment")[0], folder, readers)
        done += len(paths)
        say(done, total)
    worst = _worst(alone)
    plots: dict[str, Draw] = dict(mask_plots(judge, looked, shipped_threshold(pipeline), "slice_"))
    for place, score in enumerate(worst, 1):
        example = next(one.example for one in looked if one.example.id == score.name)
        plots[f"worst-{place}.png"] = partial(_draw, pipeline, example, _told(score).description)
    facts = {"slices": {score.name: [score.best, score.extra] for score in alone}, "readers": readers}
    curve = {"recall of lesions at false findings a slice": froc_facts(looked, shipped_threshold(pipeline))}
    return Evaluation(
        pipeline.config.task, pipeline.context.card.version, data.name,
        [*_figures(judge, alone, ALONE), *_figures(judge, linked, "as series")],
        {**facts, **curve}, [_told(score) for score in worst], plots,
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
    numbers = [int(number) for number in np.unique(mask) if number]
    best = max((iou(mask == number, truth) for number in numbers), default=0.0) if truth.any() else None
    extra = sum(not (truth & (mask == number)).any() for number in numbers)
    return SliceScore(name, group, None if best is None else round(best, 3), extra)


def _figures(judge: Judge, scores: list[SliceScore], how: str) -> list[Figure]:
    marked = [(score.group, score.best >= judge.settings.hit) for score in scores if score.best is not None]
    recall = f"Recall of slices with a nodule (IoU ≥ {judge.settings.hit:g}), {how}"
    key = "slice" if how == ALONE else "series"
    return [
        *judge.mean(f"{key}_recall", recall, [hit for _, hit in marked], [group for group, _ in marked]),
        *judge.mean(f"{key}_false_findings", f"False findings a slice, {how}", [score.extra for score in scores],
                    [score.group for score in scores]),
    ]  # fmt: skip


def _worst(scores: list[SliceScore]) -> list[SliceScore]:
    """The slices with the worst outline; among those without a lesion to find, the ones with most false findings."""
    return sorted(scores, key=lambda score: (1.0 if score.best is None else score.best, -score.extra))[:WORST]


def _told(score: SliceScore) -> Worst:
    best = "nothing marked" if score.best is None else f"best IoU {score.best:.2f}"
    return Worst(id=score.name, score=score.best or 0.0, description=f"{best}, {score.extra} false")

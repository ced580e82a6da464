"""Whole DICOM slices with reader masks: recall and false findings a slice, slice by slice and as series.

Layout: folders of `NAME.dcm` with `masks/NAME.png` (palette PNG, value = how many readers marked the pixel).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medvis.core.card import Figure
from medvis.core.case import Case
from medvis.errors import InputError
from medvis.learn.crops import Say
from medvis.learn.data import read_indices
from medvis.learn.evaluation import Evaluation
from medvis.learn.metrics import bootstrap, iou
from medvis.pipeline import Pipeline, load

HIT = 0.3


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
    alone, linked, done = [], [], 0
    for folder in folders:
        for path in sorted(folder.glob("*.dcm")):
            alone += _scores(pipeline, path, folder, readers)
            done += 1
            say(done, total)
        linked += _scores(pipeline, folder, folder, readers)
        done += len(list(folder.glob("*.dcm")))
        say(done, total)
    figures = [*_figures(alone, "each slice alone"), *_figures(linked, "as series")]
    facts = {"slices": {score.name: [score.best, score.extra] for score in alone}, "readers": readers, "iou": HIT}
    return Evaluation(pipeline.config.task, pipeline.context.card.version, data.name, figures, facts)


def _scores(pipeline: Pipeline, path: Path, folder: Path, readers: int) -> list[SliceScore]:
    case, _ = pipeline.run(pipeline.accept(load(path)), last="segment")
    return [
        _score(f"{folder.name}/{name}", folder.name, mask, _truth(folder / "masks" / f"{Path(name).stem}.png", readers))
        for name, mask in _named_frames(case)
    ]


def _named_frames(case: Case) -> Iterator[tuple[str, NDArray[np.int32]]]:
    assert case.mask is not None  # the pipeline has run up to segment
    return zip((Path(file).name for file in case.scan.source.files), case.mask, strict=True)


def _truth(path: Path, readers: int) -> NDArray[np.bool_]:
    return np.asarray(read_indices(path) >= readers)


def _score(name: str, group: str, mask: NDArray[np.int32], truth: NDArray[np.bool_]) -> SliceScore:
    numbers = [int(number) for number in np.unique(mask) if number]
    best = max((iou(mask == number, truth) for number in numbers), default=0.0) if truth.any() else None
    extra = sum(not (truth & (mask == number)).any() for number in numbers)
    return SliceScore(name, group, None if best is None else round(best, 3), extra)


def _figures(scores: list[SliceScore], how: str) -> Iterable[Figure]:
    hits = np.array([score.best >= HIT for score in scores if score.best is not None], float)
    extra = np.array([score.extra for score in scores], float)
    names = [score.name for score in scores]
    marked = [score.name for score in scores if score.best is not None]
    if marked:
        yield Figure(
            name=f"Recall of slices with a nodule (IoU ≥ {HIT}), {how}",
            value=float(hits.mean()),
            ci95=bootstrap(lambda rows: float(hits[rows].mean()), marked),
            n=len(hits),
        )
    yield Figure(
        name=f"False findings a slice, {how}",
        value=float(extra.mean()),
        ci95=bootstrap(lambda rows: float(extra[rows].mean()), names),
        n=len(extra),
    )

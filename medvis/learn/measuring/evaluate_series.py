"""Whole series with boxes around the tumour: is it found, and what else is?

Layout: folders of `NAME.dcm` with boxes.csv (file, x1, y1, x2, y2 in px; further columns do not matter).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Labels
from medvis.errors import InputError
from medvis.learn.measuring.crops import Say
from medvis.learn.measuring.evaluation import Evaluation, Judge
from medvis.model.card import Figure
from medvis.pipeline import Pipeline, load

BOXES = "boxes.csv"
Span = tuple[float, float, float, float]


@dataclass(frozen=True)
class SeriesScore:
    """One series.

    Attributes:
        name: of the folder.
        best: IoU of the best finding's box with the tumour's, for every slice that has one.
        findings: 3-D findings in all.
        others: those that touch no box on any slice.
    """

    name: str
    best: dict[str, float]
    findings: int
    others: int


def boxed_folders(data: Path) -> list[Path]:
    """The folders with slices and boxes at or below `data`."""
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    return [folder for folder in folders if (folder / BOXES).is_file() and any(folder.glob("*.dcm"))]


def evaluate_series(pipeline: Pipeline, data: Path, say: Say) -> Evaluation:
    """All figures of the series below `data`. Raises InputError: there is none, or a table of boxes is unreadable."""
    folders = boxed_folders(data)
    if not folders:
        raise InputError(f"no series with boxes in {data}", f"folders of NAME.dcm with {BOXES}")
    scores = []
    for number, folder in enumerate(folders, 1):
        scores.append(_score(pipeline, folder))
        say(number, len(folders))
    facts: dict[str, Any] = {
        "series": {score.name: {"slices": score.best, "findings": score.findings} for score in scores}
    }
    figures = _figures(Judge(pipeline.config.evaluate), scores)
    return Evaluation(pipeline.config.task, pipeline.context.card.version, data.name, figures, facts)


def _figures(judge: Judge, scores: list[SeriesScore]) -> list[Figure]:
    hit, names = judge.settings.hit, [score.name for score in scores]
    slices = [(score.name, best >= hit) for score in scores for best in score.best.values()]
    found = [any(best >= hit for best in score.best.values()) for score in scores]
    tumour = f"Series with the tumour found (a finding's box with IoU ≥ {hit:g} on a slice)"
    others = "Other 3-D findings a series (unmarked nodules count as false)"
    return [
        *judge.mean("tumour_found", tumour, found, names),
        *judge.mean("tumour_slices", "Slices of the tumour on which it is found", [ok for _, ok in slices],
                    [name for name, _ in slices]),
        *judge.mean("other_findings", others, [score.others for score in scores], names),
    ]  # fmt: skip


def _score(pipeline: Pipeline, folder: Path) -> SeriesScore:
    boxes = read_boxes(folder / BOXES)
    case, _ = pipeline.run(pipeline.accept(load(folder)), last="segment")
    assert case.mask is not None  # the pipeline has run up to segment
    names = [Path(file).name for file in case.scan.source.files]
    absent = sorted(set(boxes) - set(names))
    if absent:
        raise InputError(f"{folder / BOXES} names {absent[0]}", f"a slice of {folder}")
    touching: set[int] = set()
    best = {}
    for name, mask in zip(names, case.mask, strict=True):
        if name in boxes:
            best[name] = round(max(_overlap(mask, box) for box in boxes[name]), 3)
            touching |= {number for box in boxes[name] for number in _inside(mask, box)}
    everything = {int(number) for number in np.unique(case.mask) if number}
    return SeriesScore(folder.name, best, len(everything), len(everything - touching))


def read_boxes(path: Path) -> dict[str, list[Span]]:
    """File → boxes (x1, y1, x2, y2). Raises InputError."""
    boxes: dict[str, list[Span]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                x1, y1, x2, y2 = (float(row[name]) for name in ("x1", "y1", "x2", "y2"))
                boxes.setdefault(row["file"], []).append((x1, y1, x2, y2))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", "columns file, x1, y1, x2, y2") from error
    return boxes


def _inside(mask: Labels, box: Span) -> set[int]:
    x1, y1, x2, y2 = (round(value) for value in box)
    return {int(number) for number in np.unique(mask[y1 : y2 + 1, x1 : x2 + 1]) if number}


def _overlap(mask: Labels, box: Span) -> float:
    """The best IoU of the box around a finding with the given one."""
    best = 0.0
    for number in _inside(mask, box):
        rows, cols = np.nonzero(mask == number)
        own = (float(cols.min()), float(rows.min()), float(cols.max()), float(rows.max()))
        width = max(0.0, min(own[2], box[2]) - max(own[0], box[0]) + 1)
        height = max(0.0, min(own[3], box[3]) - max(own[1], box[1]) + 1)
        shared = width * height
        areas = [(one[2] - one[0] + 1) * (one[3] - one[1] + 1) for one in (own, box)]
        best = max(best, shared / (sum(areas) - shared))
    return best

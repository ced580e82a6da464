"""Whole series with boxes around the tumour: is it found, and what else is?

Layout: folders of `NAME.dcm` with boxes.csv (file, x1, y1, x2, y2 in px; further columns do not matter).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvis.errors import InputError
from medvis.learn.data.scans import BOXES, labelled_scans
from medvis.learn.data.table import read_table
from medvis.learn.figures.matching import Box, box_overlaps, findings_of
from medvis.learn.measuring.crops import Progress
from medvis.learn.measuring.evaluation import Evaluation, FigureMaker
from medvis.model.card import Figure
from medvis.pipeline import Pipeline, load

CORNERS = ("x1", "y1", "x2", "y2")


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


def evaluate_series(pipeline: Pipeline, data: Path, progress: Progress, split: str = "test") -> Evaluation:
    """All figures of the boxed series of a split at or below `data` (`labelled_scans`).

    Raises:
        InputError: there is none, or a table of boxes is unreadable.
    """
    folders = [scan.folder for scan in labelled_scans(data, split) if scan.boxed]
    if not folders:
        raise InputError(f"no series with boxes in {data}", f"folders of NAME.dcm with {BOXES}")
    scores = []
    for number, folder in enumerate(folders, 1):
        scores.append(_score(pipeline, folder))
        progress(number, len(folders))
    facts: dict[str, Any] = {
        "series": {score.name: {"slices": score.best, "findings": score.findings} for score in scores}
    }
    figures = _figures(FigureMaker(pipeline.config.evaluate), scores)
    return Evaluation(pipeline.config.task, pipeline.context.card.version, data.name, figures, facts)


def _figures(maker: FigureMaker, scores: list[SeriesScore]) -> list[Figure]:
    hit, names = maker.settings.hit, [score.name for score in scores]
    slices = [(score.name, best >= hit) for score in scores for best in score.best.values()]
    detected = [any(best >= hit for best in score.best.values()) for score in scores]
    tumour = f"Series with the tumour found (a finding's box with IoU ≥ {hit:g} on a slice)"
    others = "Other 3-D findings a series (unmarked nodules count as false)"
    return [
        *maker.mean("tumour_found", tumour, detected, names),
        *maker.mean("tumour_slices", "Slices of the tumour on which it is found", [reached for _, reached in slices],
                    [name for name, _ in slices]),
        *maker.mean("other_findings", others, [score.others for score in scores], names),
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
            matched = [box_overlaps(mask, box) for box in boxes[name]]
            best[name] = round(max(max(overlaps.values(), default=0.0) for overlaps in matched), 3)
            touching |= {number for overlaps in matched for number in overlaps}
    everything = set(findings_of(case.mask))
    return SeriesScore(folder.name, best, len(everything), len(everything - touching))


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """File → boxes (x1, y1, x2, y2), each with an area. Raises InputError."""
    boxes: dict[str, list[Box]] = {}
    for row in read_table(path, ("file", *CORNERS)):
        try:
            x1, y1, x2, y2 = (float(row[name]) for name in CORNERS)
        except ValueError as error:
            raise InputError(f"{path} cannot be read ({error})", "columns file, x1, y1, x2, y2") from error
        if not (x1 < x2 < math.inf and y1 < y2 < math.inf and min(x1, y1) > -math.inf):
            raise InputError(f"{path} has the box {x1:g}, {y1:g}, {x2:g}, {y2:g} on {row['file']}", "x1 < x2, y1 < y2")
        boxes.setdefault(row["file"], []).append((x1, y1, x2, y2))
    return boxes

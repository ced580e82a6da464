"""Running the shipped pipeline on data-set crops, and what comes out for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medvis.core.arrays import Bools, Indices
from medvis.core.case import Case
from medvis.learn.data.ct_pictures import CtPictures
from medvis.learn.data.index import Row
from medvis.learn.data.views import ct_scan
from medvis.pipeline import Pipeline
from medvis.settings import TaskConfig

# Called with (done, total).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CropCase:
    """A crop after some stages, beside its reference.

    Attributes:
        row: of the index.
        case: with everything the stages added.
        truth: bool [rows, cols].
    """

    row: Row
    case: Case
    truth: Bools


def crop_settings(config: TaskConfig) -> dict[str, Any]:
    """The settings under which crops are run.

    A crop has no whole lung in it to find: all of it is searched. Its Hounsfield units are an estimate, so that its
    outlines stay as the model draws them.
    """
    refined = {"stages.refine.method": "none"} if "refine" in config.stages else {}
    return {"stages.infer.region": "all", **refined}


def depth_of(pipeline: Pipeline) -> float | None:
    """Distance in mm of the slices that the model is shown with each slice; None: it sees the slice alone."""
    depth: float | None = pipeline.shown()["views"].get("depth_mm")
    return depth


def run_crops(
    pipeline: Pipeline, scans: CtPictures, windows: Indices | None, last: str, progress: Progress
) -> Iterator[CropCase]:
    """Every crop through the pipeline up to stage `last`.

    Args:
        pipeline: with `crop_settings` among its overrides.
        scans: the pictures.
        windows: [n, 3] (row, col, side) of a sub-crop each, or None for the whole picture.
        last: name of the last stage.
        progress: called with (done, total).
    """
    for index in range(len(scans)):
        crop = run_crop(pipeline, scans, index, None if windows is None else windows[index], last)
        progress(index + 1, len(scans))
        yield crop


def run_crop(pipeline: Pipeline, scans: CtPictures, index: int, window: Indices | None, last: str | None) -> CropCase:
    """One crop through the pipeline up to stage `last` (None: all of it); the rest as `run_crops`."""
    row, (hu, truth) = scans.rows[index], scans.cut(index, window)
    planes = [hu] if hu.ndim == 2 else [hu[..., side] for side in (1, 0, 2)]
    cases = [
        Case(scan=ct_scan(plane, str(row.image), row.number("pixel_spacing_mm")), task=pipeline.asked)
        for plane in planes
    ]
    if len(cases) == 1:
        case, _ = pipeline.run(cases[0], last=last)
        return CropCase(row, case, truth)
    return CropCase(row, _in_depth(pipeline, cases, last), truth)


def _in_depth(pipeline: Pipeline, cases: list[Case], last: str | None) -> Case:
    """A slice, with the ones below and above it shown as well; `cases` are it and those two."""
    names = [stage.name for stage in pipeline.stages]
    infer = names.index("infer")
    if last in names[:infer]:
        return pipeline.run(cases[0], last=last)[0]
    at, below, above = (pipeline.run(case, last=names[infer - 1])[0] for case in cases)
    assert at.view is not None and below.view is not None and above.view is not None  # shown before `infer`
    triple = np.concatenate([below.view, at.view, above.view], axis=-1)
    seen, _ = pipeline.run(replace(at, view=triple), first="infer", last="infer")
    seen = replace(seen, view=at.view)
    return seen if last == "infer" else pipeline.run(seen, first=names[infer + 1], last=last)[0]

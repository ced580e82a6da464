"""Running the shipped pipeline on data-set crops, and what comes out for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medvis.core.arrays import Bools, Indices
from medvis.core.case import Case
from medvis.learn.data.ct_pictures import CtPictures
from medvis.learn.data.index import Row
from medvis.learn.data.views import ct_scan
from medvis.pipeline import Pipeline

# Called with (done, total).
Progress = Callable[[int, int], None]
# A crop has no whole lung in it to find: all of it is searched.
EVERYWHERE = {"stages.infer.region": "all"}


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


def run_crops(
    pipeline: Pipeline, scans: CtPictures, windows: Indices | None, last: str, progress: Progress
) -> Iterator[CropCase]:
    """Every crop through the pipeline up to stage `last`.

    Args:
        pipeline: with `EVERYWHERE` among its overrides.
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
    scan = ct_scan(hu, str(row.image), row.number("pixel_spacing_mm"))
    case, _ = pipeline.run(Case(scan=scan, task=pipeline.asked), last=last)
    return CropCase(row, case, truth)

"""Running the shipped pipeline on data-set crops, and what comes out for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medvis.core.arrays import Bools, Float32s, Indices
from medvis.core.case import Case
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.learn.data.index import GreyScans, Row
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
    pipeline: Pipeline, scans: GreyScans, windows: Indices | None, last: str, progress: Progress
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


def run_crop(pipeline: Pipeline, scans: GreyScans, index: int, window: Indices | None, last: str | None) -> CropCase:
    """One crop through the pipeline up to stage `last` (None: all of it); the rest as `run_crops`."""
    hu, truth = scans.cut(index, window)
    case, _ = pipeline.run(Case(scan=_scan(scans.rows[index], hu), task=pipeline.asked), last=last)
    return CropCase(scans.rows[index], case, truth)


def _scan(row: Row, hu: Float32s) -> Scan:
    spacing = row.number("pixel_spacing_mm")
    geometry = Geometry(spacing=None if spacing is None else (spacing, spacing))
    source = Source(path=str(row.image), format="png", sha256="")
    return Scan(pixels=hu[None, :, :, None].copy(), geometry=geometry, source=source, unit="HU", modality="CT")

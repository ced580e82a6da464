"""`medvis evaluate`: the shipped pipeline – graph, views, calibration, thresholds – on any folder of ours."""

from __future__ import annotations

from pathlib import Path

from medvis.errors import InputError
from medvis.learn.crops import EVERYWHERE, Say
from medvis.learn.evaluate_crops import evaluate_crops
from medvis.learn.evaluate_slices import evaluate_slices, series_folders
from medvis.learn.evaluation import Evaluation
from medvis.pipeline import Pipeline


def evaluate(task: str, data: Path, split: str, say: Say, bundle: Path | None = None) -> Evaluation:
    """Measures a task on a data set; its layout tells which figures there are.

    Args:
        task: name or YAML of the task.
        data: a folder with index.csv (lesion crops), or folders of DICOM slices with masks/ beside them.
        split: of index.csv; without meaning for slices.
        say: progress (done, total).
        bundle: another bundle than the task's own.

    Raises:
        InputError: the folder is neither; ModelError, SettingsError as everywhere.
    """
    if not data.is_dir():
        raise InputError(f"no folder {data}", "a data set")
    own = {} if bundle is None else {"bundle": str(bundle.resolve())}
    if (data / "index.csv").is_file():
        return evaluate_crops(Pipeline(task, {**own, **EVERYWHERE}), data, split, say)
    if series_folders(data):
        return evaluate_slices(Pipeline(task, own), data, say)
    raise InputError(f"{data} is no data set", "index.csv with images, or folders of NAME.dcm with masks/NAME.png")

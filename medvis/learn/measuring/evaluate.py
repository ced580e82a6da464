"""`medvis evaluate`: the shipped pipeline – graph, views, calibration, thresholds – on any folder of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medvis.errors import InputError
from medvis.learn.data.datasets import strange
from medvis.learn.data.digest import file_digest
from medvis.learn.data.scans import scans_of
from medvis.learn.measuring.crops import Progress, crop_settings
from medvis.learn.measuring.evaluate_crops import evaluate_crops
from medvis.learn.measuring.evaluate_pictures import evaluate_pictures
from medvis.learn.measuring.evaluate_series import evaluate_series
from medvis.learn.measuring.evaluate_slices import evaluate_slices
from medvis.learn.measuring.evaluation import Evaluation, join
from medvis.pipeline import Pipeline
from medvis.settings import Measured, load_task

INDEX = "index.csv"
PASSED_OVER = "odd about the data"
CHANGED = "changed settings"


def baselines_hold(settings: Measured, data: Path) -> bool:
    """Whether the baselines of a task are of this data set; what others reach on other data says nothing of it."""
    index = data / INDEX
    return index.is_file() and settings.baselines_on == file_digest(index).hex()


def evaluate(
    task: str,
    data: Path,
    split: str,
    progress: Progress,
    bundle: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measures a task on a data set; its layout tells which figures there are.

    Args:
        task: name or YAML of the task.
        data: a folder with index.csv; a COCO or MVTec data set; folders of DICOM slices with masks/ or boxes.csv.
        split: of the data set; without meaning for folders of slices without series.csv.
        progress: called with (done, total).
        bundle: another bundle than the task's own.
        overrides: dotted setting → value; the figures are then not those of a card, and `facts` say so.

    Raises:
        InputError: the folder is none of these; ModelError, SettingsError as everywhere.
    """
    if not data.is_dir():
        raise InputError(f"no folder {data}", "a data set")
    own: dict[str, Any] = {**(overrides or {}), **({} if bundle is None else {"bundle": str(bundle.resolve())})}
    evaluation = _measured(task, data, split, progress, own)
    if overrides:
        evaluation.facts[CHANGED] = dict(overrides)
    return evaluation


def _measured(task: str, data: Path, split: str, progress: Progress, own: dict[str, Any]) -> Evaluation:
    config, listed = load_task(task, own), (data / INDEX).is_file()
    if not baselines_hold(config.evaluate, data):
        own["evaluate.baselines"] = {}
    in_hu = "HU" in config.accepts.units
    if listed and in_hu:
        passed_over = strange(data, split)
        return _with(
            evaluate_crops(Pipeline(task, {**own, **crop_settings(config)}), data, split, progress), passed_over
        )
    pipeline = Pipeline(task, own)
    every = [] if listed else scans_of(data, split)
    scans = [scan for scan in every if scan.masked or scan.boxed]
    parts = [evaluate_slices(pipeline, data, progress, split)] if any(scan.masked for scan in scans) else []
    parts += [evaluate_series(pipeline, data, progress, split)] if any(scan.boxed for scan in scans) else []
    if not parts:
        passed_over = strange(data, split)
        return _with(evaluate_pictures(pipeline, data, split, progress), passed_over)
    evaluation, left_out = join(parts), [scan.folder.name for scan in every if scan not in scans]
    if left_out:
        evaluation.facts["not_measured"] = left_out  # nobody has marked them, or read them completely
    return evaluation


def _with(evaluation: Evaluation, passed_over: dict[str, int]) -> Evaluation:
    """The evaluation with what is odd about its data among its facts."""
    if passed_over:
        evaluation.facts[PASSED_OVER] = passed_over
    return evaluation

"""`medvis.diagnose`: one input, one report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from medvis.batch.pipelines import Pipelines
from medvis.batch.run import diagnose_volume
from medvis.core.report import Report
from medvis.io.inputs import volumes
from medvis.pipeline import AUTO


def diagnose(path: str | os.PathLike[str], task: str = AUTO, overrides: Mapping[str, Any] | None = None) -> Report:
    """Everything medvis says about one file or series: what ``medvis diagnose --json`` prints, as an object.

    In a notebook the report shows itself with its picture. For many scans, and for the arrays, make one
    `medvis.Pipeline`: this loads the model anew each time.

    Args:
        path: what holds exactly one volume: a DICOM file, a NIfTI volume, a picture; or a folder, DICOMDIR or ZIP
            archive with one series.
        task: a task's name, the path of a task's YAML, or ``auto``: by modality and body part.
        overrides: dotted setting → value, as with ``--set``.

    Raises:
        InputError: the path is absent, unreadable or no image, holds several volumes, or is not for the task.
        SettingsError: the settings are wrong, or there is no such task.
        ModelError: the task's model is absent or damaged.
        StageError: a stage could not do its work.

    Example:
        >>> import medvis
        >>> report = medvis.diagnose("scan.dcm")  # doctest: +SKIP
        >>> report.verdict.decision, report.verdict.probability  # doctest: +SKIP
        ('positive', 0.87)
    """
    pipelines = Pipelines(task, overrides)
    pipelines.prepare()
    with volumes(path) as inside:
        outcome = diagnose_volume(inside, inside.single(), pipelines)
    return outcome.report.with_picture(outcome.png())

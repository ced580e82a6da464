"""One loaded pipeline a task, and all stages of one on a scan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medvis.batch.progress import Progress, Span, frame_by_frame, silent
from medvis.errors import InputError

if TYPE_CHECKING:
    from medvis.core.outcome import Outcome
    from medvis.core.scan import Scan
    from medvis.core.volumes import Volume
    from medvis.pipeline import Pipeline

_WEIGHTS = {"infer": 12}  # how much longer than the other stages it takes, about


class Pipelines:
    """The pipelines of one run: each task's model is loaded once.

    Args:
        task: name, path or ``auto``.
        overrides: dotted setting → value.
    """

    def __init__(self, task: str, overrides: Mapping[str, Any] | None = None) -> None:
        from medvis.pipeline import AUTO  # noqa: PLC0415 - the stages and their settings; not for --help

        self._task, self._auto, self._overrides = task, task == AUTO, overrides
        self._made: dict[str, Pipeline] = {}

    def prepare(self) -> None:
        """Makes the pipeline of a task that is named, so that wrong settings are known before any work.

        Raises:
            SettingsError: they are wrong. With ``auto`` that shows when a task is first needed.
        """
        if not self._auto:
            self._pipeline(self._task)

    def of(self, scan: Scan) -> Pipeline:
        """The pipeline for a scan. Raises InputError if ``auto`` finds none."""
        from medvis.pipeline import choose_task  # noqa: PLC0415 - as above

        return self._pipeline(choose_task(scan) if self._auto else self._task)

    def expected(self, volume: Volume) -> Pipeline | None:
        """The pipeline that a volume will get, where that is known without its pixels.

        Raises:
            InputError: ``auto`` finds none.
        """
        if not self._auto:
            return self._pipeline(self._task)
        return None if volume.sketch is None else self.of(volume.sketch)

    def refuse_without_modality(self, label: str) -> None:
        """Raises InputError if nothing that names no modality, as a picture, has a task, or is for the one named."""
        from medvis.tasks import task_names  # noqa: PLC0415 - as above

        if self._auto:
            found = f"{label} is a picture or volume that names no modality and no body part"
            raise InputError(found, f"--task with one of {', '.join(task_names())}")
        config = self._pipeline(self._task).config
        if not config.accepts.raster:
            wanted = " or ".join(config.accepts.modalities) or "a DICOM file"
            raise InputError(f"{label} is a picture without a modality", f"{wanted} for task '{config.task}'")

    def _pipeline(self, task: str) -> Pipeline:
        from medvis.pipeline import Pipeline  # noqa: PLC0415 - as above

        if task not in self._made:
            self._made[task] = Pipeline(task, self._overrides)
        return self._made[task]


def run_stages(pipeline: Pipeline, scan: Scan, progress: Progress = silent) -> Outcome:
    """`pipeline.outcome(scan)` with progress: before each stage and, where a stage counts them, before each frame.

    Raises:
        InputError: the scan is not of a kind that the task was made for.
        MedvisError: what the stages raise.
    """
    case = pipeline.accept(scan)
    timings: dict[str, float] = {}
    weights = [_WEIGHTS.get(stage.name, 1) for stage in pipeline.stages]
    for index, stage in enumerate(pipeline.stages):
        span = Span(stage.name, 1 + sum(weights[:index]), weights[index])
        progress(stage.name, span.start, sum(weights) + 3)  # and: read, report, write
        with frame_by_frame(pipeline, progress, span):
            case, seconds = pipeline.run(case, stage.name, stage.name)
        timings |= seconds
    progress("report", sum(weights) + 1)
    return pipeline.conclude(case, timings)

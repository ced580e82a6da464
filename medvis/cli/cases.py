"""Several paths, one run: where each case's results go, and one loaded model a task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medvis.cli.console import Tick
from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.scan import Scan
from medvis.core.volumes import unique

if TYPE_CHECKING:
    from medvis.pipeline import Pipeline

_LONGEST = 100
_WEIGHTS = {"infer": 12}  # how much longer than the other stages it takes, about


def targets(paths: Sequence[Path], out: Path) -> list[Path]:
    """The folder of each case: `out` itself for one path, else one below it that is named after the path.

    Names are made safe for any file system, and unique without regard to case.
    """
    if len(paths) == 1:
        return [out]
    return [out / name for name in unique([_safe(path) for path in paths])]


def check(folders: Iterable[Path], writers: Sequence[Writer], force: bool) -> None:
    """Refuses before any work what could not be written in the end. How many frames a scan has is not known yet."""
    from medvis.io.atomic import check_target

    names = sorted({name for writer in writers for frames in (1, 2) for name in writer.files(frames)})
    for folder in folders:
        check_target(folder, names, force)


class Pipelines:
    """The pipelines of one run: each task's model is loaded once.

    Args:
        task: name, path or ``auto``.
        overrides: dotted setting → value.
    """

    def __init__(self, task: str, overrides: Mapping[str, Any]) -> None:
        from medvis.pipeline import AUTO

        self._task, self._auto, self._overrides = task, task == AUTO, overrides
        self._made: dict[str, Pipeline] = {}
        if not self._auto:
            self._pipeline(task)

    def of(self, scan: Scan) -> Pipeline:
        """The pipeline for a scan. Raises InputError if `auto` finds none."""
        from medvis.pipeline import choose_task

        return self._pipeline(choose_task(scan) if self._auto else self._task)

    def _pipeline(self, task: str) -> Pipeline:
        from medvis.pipeline import Pipeline

        if task not in self._made:
            self._made[task] = Pipeline(task, self._overrides)
        return self._made[task]


def run_stages(pipeline: Pipeline, scan: Scan, tick: Tick) -> Outcome:
    """`pipeline.outcome(scan)`, with a tick before each stage and, where a stage offers that, before each frame."""
    case = pipeline.accept(scan)
    timings: dict[str, float] = {}
    weights = [_WEIGHTS.get(stage.name, 1) for stage in pipeline.stages]
    for number, stage in enumerate(pipeline.stages):
        share = Share(stage.name, 1 + sum(weights[:number]), weights[number])
        tick(stage.name, share.start, sum(weights) + 3)  # and: read, report, write
        with frame_by_frame(pipeline, tick, share):
            case, seconds = pipeline.run(case, stage.name, stage.name)
        timings |= seconds
    tick("report", sum(weights) + 1)
    return pipeline.conclude(case, timings)


class Share(NamedTuple):
    """A stage's part of the bar."""

    name: str
    start: int
    weight: int


@contextmanager
def frame_by_frame(pipeline: Pipeline, tick: Tick, share: Share) -> Iterator[None]:
    """Shows the frames of the stage that runs meanwhile."""

    def say(done: int, total: int) -> None:
        text = f"{share.name}, frame {done + 1} of {total}" if total > 1 else share.name
        tick(text, share.start + share.weight * done / total)

    pipeline.context.tick = say
    try:
        yield
    finally:
        pipeline.context.tick = None


def _without_ending(name: str) -> str:
    """A file's name without the ending that is usual for a format that can be read, or for an archive."""
    from medvis.io.registry import endings

    ending = next((ending for ending in (*endings(), ".zip") if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def _safe(path: Path) -> str:
    named = path.resolve().name if path.name in ("", "..") else path.name
    name = _without_ending(named)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:_LONGEST] or "case"

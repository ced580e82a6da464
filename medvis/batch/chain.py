"""Which of a task's stages each stage command runs (`medvis window | medvis enhance - | …`), and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medvis.errors import SettingsError, StageError

if TYPE_CHECKING:
    from medvis.core.case import Case
    from medvis.pipeline import Pipeline

STAGES = ("window", "enhance", "infer", "segment")
COMMANDS = (*STAGES, "report")


def run_part(pipeline: Pipeline, case: Case, command: str) -> tuple[Case, dict[str, float]]:
    """The case after the stages of one command, and their seconds.

    That is the stage of the command's name, and stages of a user's own between it and the command before; `report`
    runs all that come after `segment`.

    Raises:
        SettingsError: the task has no such stage.
        StageError: the case has been through it already, or lacks one before. A stage left out in silence would
            show the model something else than it was trained on.
    """
    names = [stage.name for stage in pipeline.stages]
    if command in STAGES and command not in names:
        raise SettingsError(f"task '{pipeline.config.task}' has no stage '{command}'", f"one of {', '.join(names)}")
    start, stop = _span(names, command)
    _check_order(case, names, start, stop)
    return pipeline.run(case, names[start], names[stop - 1]) if start < stop else (case, {})


def chain_to(command: str, path: Path) -> str:
    """The shell line that takes a scan to `command`."""
    before = COMMANDS[1 : COMMANDS.index(command) + 1]
    return " | ".join([f"medvis window {path}", *(f"medvis {name} -" for name in before)])


def _span(names: list[str], command: str) -> tuple[int, int]:
    """The command's stages as a slice of the task's."""
    earlier = COMMANDS[: COMMANDS.index(command)]
    start = max((names.index(name) + 1 for name in earlier if name in names), default=0)
    return start, names.index(command) + 1 if command in STAGES else len(names)


def _check_order(case: Case, names: list[str], start: int, stop: int) -> None:
    done = {step.name for step in case.scan.trail}
    missing = [name for name in names[:start] if name not in done]
    if missing:
        raise StageError(f"the case has not been through '{missing[0]}'", hint=f"run {_command(missing[0])} before")
    repeated = [name for name in names[start:stop] if name in done]
    if repeated:
        left = [name for name in names if name not in done]
        hint = f"the next is {_command(left[0])}" if left else "it is complete"
        raise StageError(f"the case has been through '{repeated[0]}' already", hint=hint)


def _command(stage: str) -> str:
    return f"'medvis {stage if stage in STAGES else 'report'}'"

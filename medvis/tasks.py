"""The tasks that have a name: those of installed packages, and those in the folders on ``MEDVIS_TASKS``.

A package registers a task by an entry point of the group ``medvis.tasks``. Its object is the path of the task's YAML (a
text, a path, or a resource of the package), or a function that returns it. The tasks that come with medvis use the
same door. The environment variable holds folders, separated as those on PATH are; each YAML in them is a task of the
file's name.

Standard library only: the shell asks for these names at every press of TAB.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medvis import plugins
from medvis.errors import SettingsError

GROUP = "medvis.tasks"
FOLDERS = "MEDVIS_TASKS"
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class TaskFile:
    """The YAML of a named task.

    Attributes:
        name: what ``--task`` calls it.
        origin: name and version of the package that brought it, or the folder.
        locate: gives the path of the YAML; raises SettingsError.
    """

    name: str
    origin: str
    locate: Callable[[], Path]


def task_files() -> dict[str, TaskFile]:
    """Every named task by its name, sorted. Raises SettingsError if a name stands twice, or a folder is absent."""
    return {name: _only(name, files) for name, files in sorted(_all().items())}


def task_names() -> tuple[str, ...]:
    """The names of all tasks, sorted. Raises SettingsError as `task_files`."""
    return tuple(task_files())


def task_file(name: str) -> TaskFile:
    """One task by its name. Raises SettingsError if there is none of that name, or more than one."""
    known = _all()
    if name not in known:
        raise SettingsError(
            f"unknown task '{name}'", f"one of {', '.join(sorted(known))}, or the path of a task's YAML"
        )
    return _only(name, known[name])


def _all() -> dict[str, list[TaskFile]]:
    files = [
        TaskFile(name, origin, partial(_registered, name))
        for name in plugins.names(GROUP)
        for origin in plugins.origins(GROUP, name)
    ]
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        files += _in_folder(Path(folder).expanduser())
    known: dict[str, list[TaskFile]] = {}
    for file in files:
        known.setdefault(file.name, []).append(file)
    return known


def _in_folder(folder: Path) -> list[TaskFile]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        raise SettingsError(f"{FOLDERS} names {folder}: {error.strerror}", "folders with the YAMLs of tasks") from error
    return [TaskFile(path.stem, str(folder), partial(Path, path)) for path in paths]


def _registered(name: str) -> Path:
    registered = plugins.load(GROUP, name)
    path = Path(str(registered() if callable(registered) else registered))
    if not path.is_file():
        raise SettingsError(f"no task file {path}", hint=f"reinstall the package that registers '{name}'")
    return path


def _only(name: str, files: list[TaskFile]) -> TaskFile:
    if len(files) > 1:
        origins = " and ".join(file.origin for file in files)
        raise SettingsError(f"task '{name}' is there {len(files)} times: from {origins}", "one", "rename or remove one")
    return files[0]

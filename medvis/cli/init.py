"""`medvis init`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, cast

import typer

from medvis.cli.console import emit
from medvis.errors import OutputError, UsageError

KINDS = ("classes", "masks", "classes+masks")
DEFAULT_LABELS = {"classes": "defect,normal", "masks": "defect", "classes+masks": "defect,normal"}


def init(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A new name: small letters, digits and hyphens, e.g. weld-pores.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder.  [default: ./TASK]")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="What your data teach: classes (a label for each picture), masks (an outline of what is there, also "
            "small things in large pictures), or classes+masks.",
        ),
    ] = "classes",
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="The labels, e.g. pore,crack,normal; of masks alone what is outlined, e.g. pore. 'normal' is nothing "
            "there.  [default: defect,normal; of masks alone defect]",
        ),
    ] = None,
    colour: Annotated[
        bool, typer.Option("--colour", help="The pictures are in colour, and colour tells something.")
    ] = False,
) -> None:
    """Writes TASK.yaml, with comments, and data/ with an index.csv and a README of its columns.

    The YAML works as it is: put in your pictures, then train. Nothing is overwritten.
    """
    from medvis.io.atomic import write_atomic
    from medvis.learn.data.starter import Kind, Starter
    from medvis.tasks import task_names

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", task):
        raise UsageError(f"task name '{task}'", "small letters, digits and hyphens")
    if task in task_names():
        raise UsageError(f"there is a task '{task}' already", "another name", "'medvis tasks' lists them")
    if kind not in KINDS:
        raise UsageError(f"--kind {kind}", f"one of {', '.join(KINDS)}")
    names = [name.strip() for name in (labels or DEFAULT_LABELS[kind]).split(",")]
    files = Starter(task, cast(Kind, kind), names, colour).files()
    folder = output or Path(task)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is there already", "a new or empty folder", "give another one with -o")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, text.encode())
    for name in ("images", *(["masks"] if kind != "classes" else [])):
        (folder / "data" / name).mkdir(exist_ok=True)
    emit(_next(folder, task))


def _next(folder: Path, task: str) -> str:
    where = shlex.quote(str(folder))
    return (
        f"{folder / f'{task}.yaml'}\n{folder / 'data' / 'index.csv'}\n{folder / 'data' / 'README.md'}\n"
        f"Next: put your pictures into {folder / 'data'} as its README.md says, then\n"
        f"  cd {where} && medvis train {task}.yaml --data data -o run\n"
    )

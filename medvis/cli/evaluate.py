"""`medvis evaluate`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.cards import matrix_rows
from medvis.cli.console import emit, emit_json, waiting
from medvis.cli.options import Json, NamedTask, Quiet, with_extra
from medvis.cli.tables import show_pairs, show_rows

if TYPE_CHECKING:
    from medvis.learn.measuring.evaluation import Evaluation


def evaluate(
    task: NamedTask,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="A data set with index.csv, COCO, MVTec's folders, or DICOM slices with masks/ or boxes.csv.",
        ),
    ],
    split: Annotated[
        str, typer.Option(help="Which part of the data set: train, val, test or as it calls it.")
    ] = "test",
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Another bundle than the task's own, e.g. one just exported.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw ROC, FROC, reliability, confusion and the five worst cases there."),
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Fit trivial methods on the train split and measure them beside it.")
    ] = False,
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Write the figures into the bundle's card.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Every figure has its bootstrap interval, its baseline and its bar beside it."""
    run = with_extra("medvis.learn.measuring.evaluate").evaluate
    fit = with_extra("medvis.learn.measuring.baselines").with_baselines if baseline else None
    if plots is not None:
        with_extra("medvis.learn.figures.plots")
    with waiting(f"evaluating {task}", quiet=quiet) as tick:
        found = run(task, data, split, lambda done, total: tick("", done, total), bundle)
        found = found if fit is None else fit(found, task, data, split, bundle)
        for number, (name, draw) in enumerate(found.plots.items() if plots else (), 1):
            tick("drawing", number, len(found.plots))
            draw(plots / name)
    if update_card:
        place = bundle or _own_bundle(task)
        command = f"medvis evaluate --task {task} --data {data.name} --split {split}"
        import_module("medvis.learn.bundling.card_file").add_figures(place, found, command)
    if json:
        emit_json(found.as_dict(), indent=2)
    else:
        _show(found)


def _own_bundle(task: str) -> Path:
    """The folder of the task's bundle; `evaluate` has just loaded it."""
    from medvis.model.bundle import bundle_folder
    from medvis.settings import load_task

    config = load_task(task)
    return bundle_folder(str(config.bundle), config.base)


def _show(found: Evaluation) -> None:
    show_pairs([("task", found.task), ("model", found.model), ("data", found.data), *found.lines()])
    if "confusion" in found.facts:
        emit("\n")
        show_rows(*matrix_rows(found.facts["confusion"]))
    if found.worst:
        emit("\n")
        show_rows(("worst case", "score", ""), [(one.id, f"{one.score:.3f}", one.description) for one in found.worst])

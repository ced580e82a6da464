"""`medvis evaluate`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.cards import matrix_rows
from medvis.cli.console import emit, emit_json, waiting
from medvis.cli.options import Json, NamedTask, Quiet, Set, overrides, with_extra
from medvis.cli.tables import show_pairs, show_rows
from medvis.errors import OutputError, UsageError

if TYPE_CHECKING:
    from medvis.learn.measuring.evaluation import Evaluation


def evaluate(
    task: NamedTask,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="The labelled data set: with index.csv, COCO, folders as MVTec has them, or DICOM slices with masks/ "
            "or boxes.csv ('medvis help figures').",
        ),
    ],
    split: Annotated[
        str,
        typer.Option(
            metavar="SPLIT",
            help="Which part of the data set: train, val, test or as it calls it; all: of a COCO JSON without a split.",
        ),
    ] = "test",
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Another bundle than the task's own, e.g. one just exported.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw ROC, FROC, reliability, confusion and the five worst cases as PNGs into a new folder (needs "
            "medvis[plots]).",
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline", help="Fit trivial methods on the train split and measure them as well (needs medvis[plots])."
        ),
    ] = False,
    update_card: Annotated[
        bool, typer.Option("--update-card", help="Write the figures into the bundle's card.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    settings: Set = None,
) -> None:
    """Beside each figure stand its 95 % interval (bootstrap), what trivial methods reach (baseline) and the value that
    the task's YAML wants (bar).

    Measured is what 'medvis diagnose' would say of each picture: the bundle with its thresholds, not the training.
    """
    from medvis.learn.measuring.evaluate import evaluate as run

    changes = overrides(settings)
    if changes and update_card:
        raise UsageError("--update-card beside --set", "figures of the task as it is on its card")
    fit = with_extra("medvis.learn.measuring.baselines", "plots").with_baselines if baseline else None
    if plots is not None:
        for module in ("medvis.learn.figures.plots", "sklearn.calibration"):  # the second only when it draws
            with_extra(module, "plots")
        _require_empty(plots)
    with waiting(f"evaluating {task}", quiet=quiet) as tick:
        evaluation = run(task, data, split, lambda done, total: tick("", done, total), bundle, changes)
        evaluation = evaluation if fit is None else fit(evaluation, task, data, split, bundle, changes)
        for number, (name, draw) in enumerate(evaluation.plots.items() if plots else (), 1):
            tick("drawing", number, len(evaluation.plots))
            draw(plots / name)
    if update_card:
        folder = bundle or _own_bundle(task)
        command = f"medvis evaluate --task {task} --data {data.name} --split {split}"
        import_module("medvis.learn.bundling.card_file").add_figures(folder, evaluation, command)
    if json:
        emit_json(evaluation.as_dict(), indent=2)
    else:
        _show(evaluation)


def _require_empty(folder: Path) -> None:
    """Plots of two evaluations in one folder cannot be told apart."""
    if folder.is_dir() and any(folder.glob("*.png")):
        raise OutputError(f"{folder} holds plots already", "an empty or new folder", "give another one to --plots")


def _own_bundle(task: str) -> Path:
    """The folder of the task's bundle; `evaluate` has just loaded it."""
    from medvis.model.bundle import bundle_folder
    from medvis.settings import load_task

    config = load_task(task)
    return bundle_folder(str(config.bundle), config.base)


def _show(evaluation: Evaluation) -> None:
    show_pairs([("task", evaluation.task), ("model", evaluation.model), ("data", evaluation.data)])
    changed = evaluation.facts.get("changed settings")
    if changed:
        texts = ", ".join(f"{key}={value}" for key, value in changed.items())
        show_pairs([("settings", f"changed: {texts}; the figures are not those of the card")])
    show_pairs(evaluation.lines())
    foreign = evaluation.facts.get("labels that the task does not know")
    if foreign:
        counts = ", ".join(f"'{label}' ({count})" for label, count in sorted(foreign.items()))
        show_pairs([("not measured", f"labels that the task does not know: {counts}")])
    absent = evaluation.facts.get("classes without a picture")
    if absent:
        rest = "figures over all classes are of the others, and one class alone has no AUC"
        show_pairs([("not measured", f"no picture is labelled {', '.join(absent)}: {rest}")])
    if "not_measured" in evaluation.facts:
        names = ", ".join(evaluation.facts["not_measured"])
        show_pairs([("not measured", f"{names}: not marked, and not said to be free of lesions")])
    unlabelled = evaluation.facts.get("unlabelled, left out", 0)
    if unlabelled:
        show_pairs([("not measured", f"pictures without a label or mask: {unlabelled}")])
    for name, count in evaluation.facts.get("odd about the data", {}).items():
        show_pairs([("data", f"{name}: {count}")])
    if "masks" in evaluation.facts:
        show_pairs([("masks", evaluation.facts["masks"])])
    if "confusion" in evaluation.facts:
        emit("\n")
        show_rows(*matrix_rows(evaluation.facts["confusion"]))
    if evaluation.worst:
        emit("\n")
        show_rows(
            ("worst case", "score", ""), [(case.id, f"{case.score:.3f}", case.description) for case in evaluation.worst]
        )

"""What each part of the network is worth: the same training without it, measured in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from medvis.errors import InputError, SettingsError
from medvis.io.atomic import write_atomic
from medvis.io.lock import locked
from medvis.learn.bundling.bundle import Packing, make_bundle
from medvis.learn.bundling.card_file import write_card
from medvis.learn.data.digest import folder_digest
from medvis.learn.measuring.evaluate import evaluate
from medvis.learn.measuring.paired import differences, samples_of
from medvis.learn.run import train
from medvis.learn.task_check import trainable
from medvis.learn.training.recipe import Recipe
from medvis.model.bundle import read_card
from medvis.model.card import Ablated, Ablation, Difference, Figure
from medvis.nets.weights import load_net
from medvis.settings import load_task

RESULT = "result.json"
SUMMARY = "ablation.json"
TABLE = "ablation.md"
# Figures of the table where the task's YAML sets no bars.
FIRST = 4
OnRecord = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Variant:
    """One change to the task, and whether it needs a training of its own."""

    name: str
    changes: Mapping[str, Any]
    trained: bool = True

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return self.name.lower().replace(" ", "-")


FULL = Variant("full", {})
# Samplers that paste targets into crops without one; whole pictures are taken as they are.
PASTING = frozenset({"lesions", "tiles"})
ONE_VIEW = {"stages.infer.scales": {1.0: 1.0}, "stages.infer.flips": ["none"]}


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        task: name or YAML.
        data: data set folder.
        split: that is measured on.
        epochs: of every training, shared out among the phases as in the recipe; None: the recipe's own.
        settings: dotted changes to the task that all variants have.
    """

    task: str
    data: Path
    split: str
    epochs: int | None
    settings: Mapping[str, Any]


def variants(recipe: Recipe) -> list[Variant]:
    """The variants that make sense for a recipe, the full model first."""
    chosen = [FULL]
    if recipe.network.streams == "dual":
        chosen.append(Variant("detail stream only", {"train.network.streams": "detail"}))
    if recipe.network.attention:
        chosen.append(Variant("no attention", {"train.network.attention": False}))
    if recipe.masks and recipe.network.nested:
        chosen.append(Variant("U-Net decoder", {"train.network.nested": False}))
    if recipe.masks and recipe.sampler in PASTING and recipe.augment.paste > 0:
        chosen.append(Variant("no target pasting", {"train.augment.paste": 0.0}))
    return [*chosen, Variant("no TTA", ONE_VIEW, trained=False)]


def ablate(plan: Plan, out: Path, on_record: OnRecord) -> Ablation:
    """Trains and measures every variant; one that is finished is not done again.

    Args:
        plan: what is measured.
        out: a folder; each variant gets its own in it, and `ablation.json` and `ablation.md` their results.
        on_record: called with a record an epoch and one a variant, each with the variant's name.

    Raises:
        SettingsError: no `train:` section, or the folder holds another ablation, or one that is still at work.
        ModelError, InputError: as everywhere.
    """
    recipe = trainable(load_task(plan.task, plan.settings))
    out.mkdir(parents=True, exist_ok=True)
    with locked(out, "ablation"):
        results = [_measured(variant, plan, recipe, out, on_record) for variant in variants(recipe)]
    rows = [
        Ablated(
            variant=result["variant"],
            parameters=result["parameters"],
            figures=[Figure(**figure) for figure in result["figures"]],
            differences=[] if result is results[0] else differences(results[0]["samples"], result["samples"]),
        )
        for result in results
    ]
    data = f"{plan.data.name} {plan.split}"
    ablation = Ablation(data=data, epochs=plan.epochs, settings=dict(plan.settings), variants=rows)
    summary = {"task": plan.task, **ablation.model_dump(mode="json")}
    _write(out / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    _write(out / TABLE, table(ablation))
    return ablation


def add_ablation(folder: Path, ablation: Ablation) -> None:
    """Puts it on the card of a bundle, in place of the one that was there."""
    write_card(folder, read_card(folder).model_copy(update={"ablation": ablation}))


def table(ablation: Ablation) -> str:
    """Markdown: a row a variant; the figures that have a bar, or the first few."""
    names = _columns(ablation.variants[0])
    head = [
        f"Each variant trained alike ({ablation.how}, one seed) and measured on {ablation.data}; in brackets 95 % "
        "intervals by group. Below the first variant: the difference from it, paired by group; where its interval "
        "holds 0, the two are not told apart.",
        "",
        "| variant | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    rows = []
    for variant in ablation.variants:
        figures = {figure.name: figure for figure in variant.figures}
        apart = {difference.name: difference for difference in variant.differences}
        cells = [_cell(figures.get(name), apart.get(name)) for name in names]
        rows.append(f"| {variant.variant} | " + " | ".join(cells) + " |")
    return "\n".join([*head, *rows]) + "\n"


def _columns(full: Ablated) -> list[str]:
    barred = [figure.name for figure in full.figures if figure.bar is not None]
    return barred or [figure.name for figure in full.figures[:FIRST]]


def _cell(figure: Figure | None, apart: Difference | None) -> str:
    if figure is None:
        return "–"
    if apart is not None:
        return f"{figure.value:.3f} ({_with_interval(apart, '+.3f')})"
    return _with_interval(figure, ".3f")


def _with_interval(figure: Figure | Difference, digits: str) -> str:
    interval = "" if figure.ci95 is None else f" [{figure.ci95[0]:{digits}}, {figure.ci95[1]:{digits}}]"
    return f"{figure.value:{digits}}{interval}"


def _measured(variant: Variant, plan: Plan, recipe: Recipe, out: Path, on_record: OnRecord) -> dict[str, Any]:
    """The record of one variant, from its folder if it is there."""
    folder = out / variant.folder
    task = _task_file(variant, plan, recipe, folder)
    key = _key(task, plan)
    if (folder / RESULT).is_file():
        return _finished(folder / RESULT, key)
    weights = out / FULL.folder / "run" / "model.safetensors"
    if variant.trained:
        named = _named(on_record, variant.name)
        weights = train(load_task(str(task)), plan.data, folder / "run", named)
    make_bundle(str(task), weights, plan.data, folder / "bundle", _silent, Packing(smallest=False))
    evaluation = evaluate(str(task), plan.data, plan.split, _silent)
    result = {
        "variant": variant.name,
        "key": key,
        "parameters": sum(parameter.numel() for parameter in load_net(weights).parameters()),
        "figures": [figure.model_dump(mode="json") for figure in evaluation.figures],
        "samples": samples_of(evaluation.figures),
    }
    _write(folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    on_record(
        {"variant": variant.name, **{figure.name: round(figure.value, 4) for figure in evaluation.figures[:FIRST]}}
    )
    return result


def _task_file(variant: Variant, plan: Plan, recipe: Recipe, folder: Path) -> Path:
    """The task with the variant's changes as a YAML of its own, whose bundle is the folder beside it."""
    settings = {**plan.settings, **variant.changes, "bundle": "bundle"}
    if plan.epochs is not None:
        settings["train.phases"] = _shortened(recipe, plan.epochs)
    config = load_task(plan.task, settings)
    trainable(config)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "task.yaml"
    _write(path, yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True))
    return path


def _shortened(recipe: Recipe, epochs: int) -> list[dict[str, Any]]:
    """The phases with `epochs` shared out among them as theirs are; each keeps one at least."""
    if epochs < len(recipe.phases):
        raise SettingsError(f"{epochs} epochs for {len(recipe.phases)} phases", "one a phase at least")
    phases = [phase.model_dump(exclude_none=True) for phase in recipe.phases]
    total, left = sum(phase.epochs for phase in recipe.phases), epochs
    for index, (phase, short) in enumerate(zip(recipe.phases, phases, strict=True)):
        after = len(phases) - index - 1
        short["epochs"] = left if not after else min(max(1, round(epochs * phase.epochs / total)), left - after)
        left -= short["epochs"]
    return phases


def _key(task: Path, plan: Plan) -> dict[str, str]:
    """What a finished variant must have been measured with, to stand beside the others: all but the card's words.

    Data are known by their content; where there are none, by their path, and the training says so.
    """
    measured = yaml.safe_load(task.read_text(encoding="utf-8"))
    measured.pop("card", None)
    measured.pop("base", None)
    data = folder_digest(plan.data) if plan.data.is_dir() else str(plan.data.absolute())
    settings = sha256(json.dumps(measured, default=str).encode()).hexdigest()
    return {"settings or epochs": settings, "data": data, "split": plan.split}


def _finished(path: Path, key: Mapping[str, str]) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        differing = [part for part, value in key.items() if result["key"][part] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no result of an ablation: {error}", hint="remove it") from error
    if differing:
        raise SettingsError(f"{path} was measured with other {differing[0]}", hint="give another output folder")
    return result


def _named(on_record: OnRecord, name: str) -> OnRecord:
    return lambda record: on_record({"variant": name, **record})


def _silent(done: int, total: int) -> None:
    del done, total


def _write(path: Path, text: str) -> None:
    write_atomic(path, text.encode())

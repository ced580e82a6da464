"""Weights → bundle: the graph, its parity, what was fitted on val, and the card that says all of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medvis.backends.onnx import OnnxPredictor
from medvis.core.card import Card, InputContract, ModelFile
from medvis.errors import SettingsError
from medvis.learn.calibrate import calibrate
from medvis.learn.card_file import write_card
from medvis.learn.certificate import certify, views_of
from medvis.learn.crops import Say
from medvis.learn.data import load_grey_scans, read_index
from medvis.learn.export import export_onnx, parity
from medvis.learn.quantise import quantise
from medvis.learn.recipe import Recipe
from medvis.learn.train import Range
from medvis.nets.model import MULTIPLE_OF, DualStreamUNetPP
from medvis.nets.weights import load_net, save_net
from medvis.settings import TaskConfig, load_task, validated


def make_bundle(task: str, weights: Path, data: Path, folder: Path, say: Say, keep_weights: bool = False) -> Card:
    """Exports the weights and writes a bundle without figures; `card_file.add_figures` puts them on its card.

    Args:
        task: name or YAML of the task.
        weights: the model.safetensors of a training.
        data: data set folder, for what is fitted on its val split.
        folder: the bundle to write.
        say: progress.
        keep_weights: put the torch weights into the bundle, for the torch backend.

    Raises:
        ModelError, SettingsError, InputError.
    """
    config = load_task(task)
    recipe = validated(Recipe, config.train, "train")
    net = load_net(weights)
    folder.mkdir(parents=True, exist_ok=True)
    model, certificate = _write_graph(net, data, folder, recipe, Range(*input_range(config)))
    contract = InputContract(
        channels=net.spec.channels, multiple_of=MULTIPLE_OF, crop=recipe.phases[-1].size, unit=_unit(config)
    )
    labels = [label.card_label() for label in recipe.labels]
    fixed: dict[str, Any] = {**config.card, "task": config.task, "model": model, "input": contract, "labels": labels}
    draft = Card(
        **fixed, masks=[config.taxonomy.finding], thresholds={}, figures=[], measured_by="",
        parity=certificate, training=_told(recipe), weights=_kept(net, folder) if keep_weights else None,
    )  # fmt: skip
    write_card(folder, draft)
    thresholds, calibration = calibrate(task, OnnxPredictor(folder), data, say)
    card = draft.model_copy(update={"thresholds": thresholds, "calibration": calibration})
    write_card(folder, card)
    return card


def _kept(net: DualStreamUNetPP, folder: Path) -> ModelFile:
    path = folder / "model.safetensors"
    save_net(net, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFile(file=path.name, sha256=digest, precision="fp32", bytes=path.stat().st_size)


def _told(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the card tells it: where the volume lay on the training machine is nobody's business."""
    told = recipe.model_dump(mode="json")
    if recipe.negative_volume:
        told["negative_volume"] = Path(recipe.negative_volume).name
    return told


def _write_graph(
    net: DualStreamUNetPP, data: Path, folder: Path, recipe: Recipe, reach: Range
) -> tuple[ModelFile, dict[str, Any]]:
    """Writes model.onnx, in INT8 where that keeps parity on val; returns its entry and the certificate."""
    scans = load_grey_scans(read_index(data, "val"), recipe.readers)
    side = recipe.phases[-1].size
    views, truth = views_of(scans, side, recipe.seed, reach)
    with TemporaryDirectory() as scratch:
        fp32, int8 = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        export_onnx(net, fp32)
        torch_parity = parity(net, fp32).certificate()
        # Every tenth crop sets the ranges; the others, which it has not seen, say what that costs.
        rest = max(1, len(views) // 10)
        quantise(fp32, [views[start : min(start + 8, rest)] for start in range(0, rest, 8)], int8)
        certificate = certify((fp32, int8), views[rest:], truth[rest:], scans.rows[rest:])
        chosen = int8 if certificate["ships"] == "int8" else fp32
        body = chosen.read_bytes()
    (folder / "model.onnx").write_bytes(body)
    model = ModelFile(sha256=hashlib.sha256(body).hexdigest(), precision=certificate["ships"], bytes=len(body))
    return model, {"torch_to_onnx": torch_parity, "quantisation": certificate}


def _unit(config: TaskConfig) -> str:
    return config.accepts.units[0] if config.accepts.units else "grey"


def input_range(config: TaskConfig) -> tuple[float, float]:
    """The modality units that the model's 0…1 stands for, from the window stage. Raises SettingsError without one."""
    window = config.stages.get("window") or {}
    center, width = window.get("center"), window.get("width")
    if center is None or width is None:
        raise SettingsError(f"task '{config.task}' has no window to train in", "stages.window with center and width")
    return center - width / 2, center + width / 2

"""Weights → bundle: the graph, its parity, what was fitted on val, and the card that says all of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medvis.errors import ModelError
from medvis.learn.bundling.calibrate import calibrate
from medvis.learn.bundling.calibrate_whole import calibrate_pictures
from medvis.learn.bundling.card_file import write_card
from medvis.learn.bundling.export import export_onnx, parity
from medvis.learn.bundling.precision import as_trained, choose
from medvis.learn.bundling.recorded import compare_with_record
from medvis.learn.bundling.validation_views import validation_views
from medvis.learn.data.views import ViewReader
from medvis.learn.measuring.crops import Progress
from medvis.learn.training.recipe import Recipe
from medvis.model.card import Card, ModelFile
from medvis.model.contract import InputContract
from medvis.model.onnx import OnnxPredictor
from medvis.model.predictor import Predictor
from medvis.nets.model import MULTIPLE_OF, DualStreamUNetPP
from medvis.nets.weights import load_net, save_net
from medvis.pipeline import Pipeline
from medvis.preprocess.depth import SLICES
from medvis.settings import TaskConfig, load_task, validated


@dataclass(frozen=True)
class Packing:
    """What goes into a bundle.

    Attributes:
        keep_weights: the torch weights as well, for the torch backend.
        smallest: the smallest precision that keeps parity; else fp32, which takes no search.
    """

    keep_weights: bool = False
    smallest: bool = True


def make_bundle(
    task: str, weights: Path, data: Path, folder: Path, progress: Progress, packing: Packing | None = None
) -> Card:
    """Exports the weights and writes a bundle without figures; `card_file.add_figures` puts them on its card.

    Args:
        task: name or YAML of the task.
        weights: the model.safetensors of a training.
        data: data set folder, for what is fitted on its val split.
        folder: the bundle to write.
        progress: called with (done, total).
        packing: what goes into it; without, the smallest graph alone.

    Raises:
        ModelError: the exported graph does not reach on val what the training recorded (`compare_with_record`).
        ModelError, SettingsError, InputError: as everywhere.
    """
    packing = packing or Packing()
    config = load_task(task)
    recipe = validated(Recipe, config.train, "train")
    net = load_net(weights)
    _check_fit(net, recipe, _channels(recipe, config), weights)
    views = validation_views(task, recipe, data) if packing.smallest else None
    fp32, torch_parity = _exported(net)
    record = compare_with_record(fp32, ViewReader(config), data, weights)
    chosen, quantisation = as_trained(fp32) if views is None else choose(fp32, views, recipe.seed)
    body, precision = chosen.graph, chosen.precision
    certificate = {"torch_to_onnx": torch_parity, "training_record": record, "quantisation": quantisation}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(body)
    model = ModelFile(sha256=hashlib.sha256(body).hexdigest(), precision=precision, bytes=len(body))
    fixed: dict[str, Any] = {
        **config.card,
        "task": config.task,
        "model": model,
        "input": _contract(net, recipe, config),
    }
    draft = Card(
        **fixed,
        labels=[label.card_label() for label in recipe.labels],
        masks=[config.taxonomy.finding] if recipe.masks else [],
        thresholds={}, figures=[], measured_by="", parity=certificate, training=_training_facts(recipe, net),
        weights=_kept(net, folder) if packing.keep_weights else None,
    )  # fmt: skip
    write_card(folder, draft)
    thresholds, calibration = _fit(task, recipe, OnnxPredictor(folder), data, progress)
    card = draft.model_copy(update={"thresholds": thresholds, "calibration": calibration})
    write_card(folder, card)
    return card


def recalibrate(task: str, bundle: Path, data: Path, folder: Path, progress: Progress) -> Card:
    """A bundle with thresholds and calibration fitted anew, and with what the task's YAML says of it; same graph.

    The figures of its card were measured with the old ones; `medvis evaluate --update-card` replaces them.

    Args:
        task: name or YAML of the task.
        bundle: what to start from.
        data: data set folder, for its val split.
        folder: the bundle to write; may be the same.
        progress: called with (done, total).

    Raises:
        ModelError, SettingsError, InputError.
    """
    config = load_task(task)
    recipe = validated(Recipe, config.train, "train")
    predictor = OnnxPredictor(bundle)
    thresholds, calibration = _fit(task, recipe, predictor, data, progress)
    changed = Card.model_validate({**predictor.card.model_dump(), **config.card})
    card = changed.model_copy(update={"thresholds": thresholds, "calibration": calibration})
    folder.mkdir(parents=True, exist_ok=True)
    graphs = [kept.file for kept in (card.model, card.weights) if kept is not None]
    for name in graphs if folder.resolve() != bundle.resolve() else []:
        (folder / name).write_bytes((bundle / name).read_bytes())
    write_card(folder, card)
    return card


def _check_fit(net: DualStreamUNetPP, recipe: Recipe, channels: int, weights: Path) -> None:
    expected = {"labels": len(recipe.labels), "masks": int(recipe.masks), "channels": channels}
    actual = {"labels": net.spec.classes, "masks": net.spec.masks, "channels": net.spec.channels}
    for name, wanted in expected.items():
        if actual[name] != wanted:
            raise ModelError(f"{weights} has {actual[name]} {name}", f"{wanted} as in the train: section of the task")


def _channels(recipe: Recipe, config: TaskConfig) -> int:
    """Of the network's input: those of the view, once for each slice that is shown of it."""
    return recipe.channels * (SLICES if ViewReader(config).depth_mm is not None else 1)


def _exported(net: DualStreamUNetPP) -> tuple[bytes, dict[str, Any]]:
    """The float32 graph, and the certificate of its parity with torch."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "fp32.onnx"
        export_onnx(net, path)
        return path.read_bytes(), parity(net, path).certificate()


def _contract(net: DualStreamUNetPP, recipe: Recipe, config: TaskConfig) -> InputContract:
    colour = "grey" if recipe.channels == 1 else "RGB"
    shape = {"channels": net.spec.channels, "multiple_of": MULTIPLE_OF, "crop": recipe.phases[-1].size}
    unit = config.accepts.units[0] if config.accepts.units else colour
    shown = Pipeline(config.model_copy(update={"input_contract": "ignore"})).shown()
    return InputContract.model_validate({**shape, "unit": unit, "colour": colour, **shown})


def _fit(
    task: str, recipe: Recipe, predictor: Predictor, data: Path, progress: Progress
) -> tuple[dict[str, float], dict[str, Any]]:
    """Thresholds and calibration, by what the task's pictures are."""
    fit = calibrate if recipe.sampler == "lesions" else calibrate_pictures
    return fit(task, predictor, data, progress)


def _kept(net: DualStreamUNetPP, folder: Path) -> ModelFile:
    path = folder / "model.safetensors"
    save_net(net, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFile(file=path.name, sha256=digest, precision="fp32", bytes=path.stat().st_size)


def _training_facts(recipe: Recipe, net: DualStreamUNetPP) -> dict[str, Any]:
    """The recipe as the card tells it, with the network that it is (a student's is not the recipe's).

    Where the volume lay on the training machine is nobody's business; the one of val is told with the calibration.
    """
    facts = recipe.model_dump(mode="json")
    shape = net.spec.as_dict()
    facts["network"] = {name: _plain(shape[name]) for name in facts["network"] if name in shape}
    if recipe.negative_volume:
        facts["negative_volume"] = Path(recipe.negative_volume).name
    del facts["val_volume"]
    return facts


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

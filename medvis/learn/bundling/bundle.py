"""Weights → bundle: the graph, its parity, what was fitted on val, and the card that says all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medvis.errors import ModelError, OutputError
from medvis.io.atomic import write_atomic
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
from medvis.learn.training.run_folder import WEIGHTS
from medvis.model.bundle import CARD, read_card
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
        replace: what lies in the folder is replaced, even if it is the bundle of another task.
    """

    keep_weights: bool = False
    smallest: bool = True
    replace: bool = False


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
    model = ModelFile(sha256=hashlib.sha256(body).hexdigest(), precision=precision, bytes=len(body))
    fixed: dict[str, Any] = {
        **config.card,
        "task": config.task,
        "model": model,
        "input": _contract(net, recipe, config),
    }
    weights_body, kept = _kept(net) if packing.keep_weights else (None, None)
    draft = Card(
        **fixed,
        labels=[label.card_label() for label in recipe.labels],
        masks=[config.taxonomy.finding] if recipe.masks else [],
        thresholds={}, figures=[], measured_by="", parity=certificate, training=_training_facts(recipe, net),
        weights=kept,
    )  # fmt: skip
    with TemporaryDirectory() as scratch:  # a bundle without its thresholds must not lie where bundles are looked for
        (Path(scratch) / draft.model.file).write_bytes(body)
        write_card(Path(scratch), draft)
        thresholds, calibration = _fit(task, recipe, OnnxPredictor(Path(scratch)), data, progress)
    card = draft.model_copy(update={"thresholds": thresholds, "calibration": calibration})
    _write(folder, card, {draft.model.file: body, WEIGHTS: weights_body})
    return card


def require_own_folder(folder: Path, task: str) -> None:
    """Refuses a folder that holds the bundle of another task, or a card that nobody can read.

    Raises:
        OutputError: naming the task whose bundle it is.
    """
    if not (folder / CARD).is_file():
        return
    try:
        found = f"the bundle of task '{read_card(folder).task}'"
    except ModelError:
        found = f"a {CARD} that cannot be read"
    if found != f"the bundle of task '{task}'":
        raise OutputError(f"{folder} holds {found}", f"a new folder, or one of task '{task}'", "--force replaces it")


def _write(folder: Path, card: Card, files: Mapping[str, bytes | None]) -> None:
    """The files of a bundle, each whole, the card last: until then its hash does not fit, and nothing is loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if content is not None:
            write_atomic(folder / name, content)
    write_card(folder, card)


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
    graphs = [kept.file for kept in (card.model, card.weights) if kept is not None]
    elsewhere = folder.resolve() != bundle.resolve()
    _write(folder, card, {name: (bundle / name).read_bytes() for name in graphs} if elsewhere else {})
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


def _kept(net: DualStreamUNetPP) -> tuple[bytes, ModelFile]:
    """The torch weights as a file's content, and how the card names them."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / WEIGHTS
        save_net(net, path)
        body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    return body, ModelFile(file=WEIGHTS, sha256=digest, precision="fp32", bytes=len(body))


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

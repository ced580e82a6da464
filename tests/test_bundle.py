"""From training to figures: a small model that really learns goes the whole way that the shipped one went."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="the export needs the extra 'train'")

import numpy as np
from tiny_chest import scan_of
from tiny_data import write_data
from tiny_task import write_task

from medvis.errors import InputError, ModelError, SettingsError
from medvis.learn.bundling.bundle import Packing, make_bundle
from medvis.learn.bundling.card_file import write_card
from medvis.learn.data.ct_pictures import load_ct_pictures
from medvis.learn.data.index import read_index
from medvis.learn.data.views import ViewReader
from medvis.learn.measuring.evaluate import evaluate
from medvis.learn.run import export, train
from medvis.model.bundle import read_card
from medvis.model.card import OUTPUTS
from medvis.model.onnx import OnnxPredictor
from medvis.model.torch import TorchPredictor
from medvis.nets.weights import load_net, save_net
from medvis.pipeline import Pipeline
from medvis.settings import load_task


def quiet(*_):
    """No progress."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def home(data, tmp_path_factory):
    """A folder with tiny.yaml, the training's run/ and, beside the YAML, the bundle tiny/."""
    folder = tmp_path_factory.mktemp("home")
    before = torch.are_deterministic_algorithms_enabled()
    phases = [{"size": 32, "epochs": 10}, {"size": 64, "epochs": 20}]
    task = write_task(folder, phases=phases, rate=0.005, validate_every=30, negative_volume="absent/volume")
    weights = train(load_task(str(task)), data, folder / "run", quiet)
    told = []
    card = export(str(task), weights, data, folder / "tiny", lambda *at: told.append(at), Packing(keep_weights=True))
    torch.use_deterministic_algorithms(before)
    assert card == read_card(folder / "tiny").model_dump(mode="json") and told[-1] == (12, 12)
    return folder


@pytest.fixture(scope="module")
def card(home):
    return read_card(home / "tiny")


def test_the_bundle_holds_what_its_card_says(home, card):
    assert sorted(path.name for path in (home / "tiny").iterdir()) == ["card.yaml", "model.onnx", "model.safetensors"]
    for entry in (card.model, card.weights):
        body = (home / "tiny" / entry.file).read_bytes()
        assert hashlib.sha256(body).hexdigest() == entry.sha256 and len(body) == entry.bytes
    assert card.task == "tiny" and [label.name for label in card.labels] == ["nodule", "malignancy"]
    assert (card.input.channels, card.input.multiple_of, card.input.crop, card.input.unit) == (1, 32, 64, "HU")
    assert card.masks == ["lung nodule"] and card.figures == []
    assert card.not_for == load_task("lung-nodule").card["not_for"]


def test_the_card_tells_the_recipe_but_not_the_machine(card):
    assert card.training["batch"] == 4 and card.training["negative_volume"] == "volume"


def test_both_runtimes_compute_the_same(home, card):
    assert set(card.parity["torch_to_onnx"]) == set(OUTPUTS)
    assert max(card.parity["torch_to_onnx"].values()) <= 1e-4
    if card.model.precision == "fp32":
        x = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
        ours, theirs = OnnxPredictor(home / "tiny")(x), TorchPredictor(home / "tiny")(x, OUTPUTS)
        for name in OUTPUTS:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4)


def test_the_certificate_says_which_precision_ships_and_why(card):
    certificate = card.parity["quantisation"]
    assert certificate["ships"] == card.model.precision in ("fp32", "fp16", "int8")
    val = certificate["val"]
    assert val["measured"] + val["set_ranges"] == 12 and val["set_ranges"] >= 1
    tried = certificate["tried"]
    assert tried[0]["made"] == "ranges by MinMax" and tried[0]["precision"] == "int8"
    assert all(one["objections"] for one in tried[:-1]), "none is tried after one that is good enough"
    assert certificate["fp32"]["dice"] > 0.2
    assert abs(certificate["fp32"]["dice"] - tried[0]["dice"]) < 0.2, "INT8 computes about the same"
    if card.model.precision != "fp32":
        assert not tried[-1]["objections"] and tried[-1]["precision"] == card.model.precision
        assert certificate["fp32"]["dice"] - tried[-1]["dice"] <= 0.0101 and tried[-1]["decisions_changed"] <= 0.01
    assert card.model.precision in certificate["why"]


def test_size_and_speed_stand_on_the_certificate_beside_their_bars(card):
    certificate = card.parity["quantisation"]
    assert certificate["size"]["shipped"] == card.model.bytes
    assert certificate["size"]["share"] == pytest.approx(card.model.bytes / certificate["size"]["fp32"], abs=1e-4)
    assert certificate["size"]["met"] == (certificate["size"]["share"] <= 0.27)
    assert certificate["speed"]["ratio"] > 0 and "interleaved pairs" in certificate["speed"]["measured"]


def test_the_calibration_was_fitted(card):
    assert set(card.thresholds) == {"high", "low", "finding", "series"}
    assert {"finding", "finding_hu", "malignancy", "val"} <= set(card.calibration)
    assert card.calibration["val"]["dice"] > 0.5


def test_a_bundle_can_be_calibrated_anew(home, card, data, tmp_path):
    """The graph and what was measured stay; `export` of a bundle writes into another folder or into its own."""
    write_card(tmp_path, card.model_copy(update={"thresholds": {}, "calibration": {}, "summary": "an old text"}))
    for name in ("model.onnx", "model.safetensors"):
        (tmp_path / name).write_bytes((home / "tiny" / name).read_bytes())
    for out in (tmp_path / "elsewhere", tmp_path):
        export(str(home / "tiny.yaml"), tmp_path, data, out, quiet)
        assert read_card(out) == card
        for entry in (card.model, card.weights):
            assert hashlib.sha256((out / entry.file).read_bytes()).hexdigest() == entry.sha256


def test_the_bundle_of_another_task_is_replaced_only_on_demand(home, card, data, tmp_path, medvis):
    out = tmp_path / "out"
    out.mkdir()
    write_card(out, card.model_copy(update={"task": "another"}))
    before = (out / "card.yaml").read_bytes()
    command = ["export", home / "tiny", "--task", home / "tiny.yaml", "--data", data, "-o", out, "--json"]
    refused = medvis(*command).error(7)
    assert "holds the bundle of task 'another'; wanted: a new folder, or one of task 'tiny'" in refused
    assert (out / "card.yaml").read_bytes() == before and len(list(out.iterdir())) == 1
    assert medvis(*command, "--force").json["task"] == "tiny" and read_card(out) == card
    (out / "card.yaml").write_text("no card", encoding="utf-8")
    assert "holds a card.yaml that cannot be read" in medvis(*command).error(7)


def test_an_export_that_ends_early_leaves_no_bundle_without_thresholds(home, data, tmp_path, monkeypatch):
    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    monkeypatch.setattr("medvis.learn.bundling.bundle.calibrate", stop)
    task, weights = str(home / "tiny.yaml"), home / "run" / "model.safetensors"
    with pytest.raises(StoppedError):
        make_bundle(task, weights, data, tmp_path / "out", quiet, Packing(smallest=False))
    assert not (tmp_path / "out").exists()


def test_the_bundle_beside_the_yaml_is_what_the_pipeline_runs(home, data):
    evaluation = evaluate(str(home / "tiny.yaml"), data, "test", quiet)
    dice = evaluation.figures[0]
    assert evaluation.task == "tiny" and dice.n == 12
    assert dice.value > 0.4, "it has learned to outline nodules that it has never seen"
    json.dumps(evaluation.as_dict(), allow_nan=False)


def test_another_bundle_can_be_evaluated_in_its_place(home, data, tmp_path):
    task = write_task(tmp_path, "elsewhere")
    with pytest.raises(ModelError, match="no model card"):
        evaluate(str(task), data, "val", quiet)
    assert evaluate(str(task), data, "val", quiet, bundle=home / "tiny").figures[0].value > 0.4


def test_the_torch_backend_gives_the_same_findings_as_fp32(home, data):
    scans = load_ct_pictures(read_index(data, "test"), 2)
    hu, _ = scans.cut(1, None)
    found = {}
    for backend in ("onnx", "torch"):
        line = Pipeline(str(home / "tiny.yaml"), {"backend": backend, "stages.infer.region": "all"})
        outcome = line.outcome(scan_of(hu[None]))
        assert outcome.report.provenance.backend == backend
        found[backend] = outcome.case.mask > 0
    assert (found["onnx"] != found["torch"]).mean() < 0.005


def test_the_weights_of_the_bundle_are_those_of_the_training(home):
    one, other = load_net(home / "run" / "model.safetensors"), load_net(home / "tiny" / "model.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_what_cannot_be_exported_is_one_line(home, data, tmp_path):
    task = str(home / "tiny.yaml")
    with pytest.raises(ModelError, match="holds no medvis weights"):
        export(task, tmp_path / "gone.safetensors", data, tmp_path / "out", quiet)
    with pytest.raises(InputError, match=r"no index\.csv"):
        export(task, home / "run" / "model.safetensors", tmp_path, tmp_path / "out", quiet)
    assert not (tmp_path / "out" / "card.yaml").exists()


def test_weights_of_another_task_are_one_line(home, data, tmp_path):
    task = write_task(tmp_path, "three", labels=[{"name": "nodule"}, {"name": "malignancy"}, {"name": "texture"}])
    weights = home / "run" / "model.safetensors"
    with pytest.raises(SettingsError, match=r"model\.safetensors was trained with train\.labels .* instead of"):
        export(str(task), weights, data, tmp_path / "out", quiet)
    alone = Path(shutil.copy(weights, tmp_path))
    with pytest.raises(ModelError, match=r"has 2 labels; wanted: 3 as in the train: section"):
        export(str(task), alone, data, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_the_exported_graph_reaches_what_the_training_recorded(home, card):
    compared = card.parity["training_record"]
    last = json.loads((home / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert compared["recorded"]["val_dice"] == last["val_dice"] > 0
    assert compared["found"]["val_dice"] == pytest.approx(last["val_dice"], abs=compared["tolerance"])


def _copied_run(home, folder):
    shutil.copytree(home / "run", folder / "run")
    return folder / "run"


def test_figures_other_than_the_recorded_ones_do_not_ship(home, data, tmp_path):
    run = _copied_run(home, tmp_path)
    net = load_net(run / "model.safetensors")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)  # weights that are not the ones that were measured
    save_net(net, run / "model.safetensors")
    with pytest.raises(ModelError, match=r"val_dice is 0\.\d+ with the exported graph, and 0\.\d+ in .*metrics\.jsonl"):
        export(str(home / "tiny.yaml"), run / "model.safetensors", data, tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_pictures_shown_otherwise_than_in_training_do_not_ship(home, data, tmp_path, monkeypatch):
    run = _copied_run(home, tmp_path)
    shown = ViewReader.ct
    monkeypatch.setattr(ViewReader, "ct", lambda *arguments, **named: 1 - shown(*arguments, **named))
    with pytest.raises(ModelError, match="with the exported graph, and"):
        export(str(home / "tiny.yaml"), run / "model.safetensors", data, tmp_path / "out", quiet)


def test_weights_without_a_record_say_that_nothing_was_compared(home, data, tmp_path):
    weights = tmp_path / "model.safetensors"
    shutil.copy(home / "run" / "model.safetensors", weights)
    card = make_bundle(str(home / "tiny.yaml"), weights, data, tmp_path / "out", quiet, Packing(smallest=False))
    assert card.parity["training_record"] == {"not_compared": "no metrics.jsonl and training.json beside the weights"}


def test_without_a_search_fp32_ships(home, data, tmp_path):
    weights = home / "run" / "model.safetensors"
    card = make_bundle(str(home / "tiny.yaml"), weights, data, tmp_path, quiet, Packing(smallest=False))
    assert card.model.precision == "fp32" and card.weights is None
    assert not (tmp_path / "model.safetensors").exists()

"""The runtimes behind the predictor protocol, and every way in which a bundle can be wrong."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
import yaml

from medvis.errors import ModelError
from medvis.model.bundle import bundle_folder, checked_weights, read_card
from medvis.model.card import OUTPUTS, Card
from medvis.model.onnx import OnnxPredictor
from medvis.plugins import load

SHIPPED = load("medvis.bundles", "lung-nodule")
pytestmark = pytest.mark.skipif(not (SHIPPED / "model.onnx").is_file(), reason="the bundle is not in this checkout")


@pytest.fixture(scope="module")
def shipped() -> OnnxPredictor:
    return OnnxPredictor(SHIPPED, threads=1)


@pytest.fixture
def copy(tmp_path):
    """A copy of the shipped bundle to spoil."""
    return shutil.copytree(SHIPPED, tmp_path / "bundle")


def change(folder, **changes):
    """Rewrites card.yaml with some of its entries changed."""
    path = folder / "card.yaml"
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        body[key] = {**body[key], **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return folder


def batch(count=1, rows=64, cols=96):
    return np.random.default_rng(0).random((count, 1, rows, cols), np.float32)


def test_the_shipped_card_describes_the_shipped_model(shipped):
    card = shipped.card
    assert card.task == "lung-nodule" and card.labels[0].name == "nodule" and card.index("malignancy") is not None
    assert card.model.bytes == (SHIPPED / card.model.file).stat().st_size
    assert card.model.sha256 == hashlib.sha256((SHIPPED / card.model.file).read_bytes()).hexdigest()
    assert set(card.thresholds) == {"high", "low", "finding", "series"}
    assert set(card.calibration["finding"]) >= {"bias", "mask"}
    assert card.not_for and card.known_failures and card.data, "a card without limits is no card"


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 64, 96), (1, 192, 192)])
def test_one_pass_gives_the_four_outputs(shipped, size):
    given = shipped(batch(*size))
    count, rows, cols = size
    labels = len(shipped.card.labels)
    assert list(given) == list(OUTPUTS)
    assert given["class_logits"].shape == (count, labels)
    assert given["mask_logits"].shape == (count, len(shipped.card.masks), rows, cols)
    assert given["evidence"].shape == (count, labels, rows // 8, cols // 8)
    assert given["embedding"].shape[0] == count and given["embedding"].ndim == 2
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in given.values())


def test_only_what_is_asked_for_is_given_and_it_is_the_same(shipped):
    x = batch()
    alone, whole = shipped(x, ("evidence",)), shipped(x)
    assert list(alone) == ["evidence"]
    np.testing.assert_allclose(alone["evidence"], whole["evidence"], atol=1e-5)


def test_a_pass_is_repeatable_changes_nothing_and_does_not_look_at_its_neighbours(shipped):
    x = batch(3)
    x.flags.writeable = False
    first, second = shipped(x), shipped(x)
    for name in OUTPUTS:
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(shipped(x[1:2])[name], first[name][1:2], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 60, 64), (1, 1, 64, 65), (1, 3, 64, 64), (1, 64, 64)])
def test_a_batch_that_does_not_fit_says_what_would(shipped, shape):
    with pytest.raises(ModelError, match=r"does not fit the model; wanted: \[b, 1, h, w\] .* multiples of 32"):
        shipped(np.zeros(shape, np.float32))


def test_a_registered_bundle_is_found_by_name_and_others_beside_the_yaml(copy):
    assert bundle_folder("lung-nodule") == SHIPPED
    assert bundle_folder(copy.name, copy.parent) == copy
    with pytest.raises(ModelError, match=r"no model card .*other.card.yaml; .* or one of .*lung-nodule"):
        bundle_folder("other", copy.parent)


def test_altered_weights_are_not_loaded(copy):
    path = copy / "model.onnx"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(ModelError, match=r"model.onnx has SHA-256 \w{12}…; wanted: \w{12}… .*weights were altered"):
        OnnxPredictor(copy)


def test_absent_weights_are_one_line(copy):
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model.onnx cannot be read: No such file.*reinstall medvis"):
        OnnxPredictor(copy)


def test_a_file_that_is_no_graph_is_one_line(copy):
    (copy / "model.onnx").write_bytes(b"not a graph")
    change(copy, model={"sha256": hashlib.sha256(b"not a graph").hexdigest()})
    with pytest.raises(ModelError, match=r"model.onnx cannot be loaded: "):
        OnnxPredictor(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": ["one", "two"]}, "mask_logits has 1 channels; wanted: 2 as on its card"),
        (
            {"labels": [{"name": "nodule", "kind": "binary"}]},
            r"class_logits has \d+ channels; wanted: 1 as on its card",
        ),
        ({"input": {"channels": 3}}, "image has 1 channels; wanted: 3 as on its card"),
    ],
)
def test_a_graph_that_is_not_the_cards_is_refused(copy, changes, message):
    with pytest.raises(ModelError, match=message):
        OnnxPredictor(change(copy, **changes))


def test_a_graph_with_other_outputs_is_refused(copy):
    onnx = pytest.importorskip("onnx", reason="making another graph needs the extra 'train'")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = [helper.make_tensor_value_info(name, kind, ["b", 1]) for name in ("image", "answer")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["answer"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    body = model.SerializeToString()
    (copy / "model.onnx").write_bytes(body)
    change(copy, model={"sha256": hashlib.sha256(body).hexdigest()})
    with pytest.raises(ModelError, match=r"model.onnx has image, answer; wanted: image, class_logits, "):
        OnnxPredictor(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: [1", "card.yaml cannot be read"),
        (b"\xff\xfe", "card.yaml cannot be read"),
        (b"- 1", r"card.yaml: \(top level\): input should be"),
        (b"task: x", r"card.yaml: version: field required"),
    ],
)
def test_a_card_that_cannot_be_read_is_one_line(copy, text, message):
    (copy / "card.yaml").write_bytes(text)
    with pytest.raises(ModelError, match=message):
        read_card(copy)


def test_an_unknown_entry_of_a_card_is_named(copy):
    with pytest.raises(ModelError, match=r"card.yaml: model.colour: extra inputs"):
        read_card(change(copy, model={"colour": "red"}))


def test_the_weights_are_read_once_and_whole(copy):
    card: Card = read_card(copy)
    assert checked_weights(copy, card.model) == (copy / "model.onnx").read_bytes()


def test_the_torch_backend_needs_weights_in_the_bundle(copy):
    pytest.importorskip("torch", reason="the torch backend needs the extra 'train'")
    backend = load("medvis.backends", "torch")
    body = yaml.safe_load((copy / "card.yaml").read_text(encoding="utf-8"))
    body["weights"] = None
    (copy / "card.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    with pytest.raises(ModelError, match=r"has no torch weights; wanted: a bundle exported with --keep-weights"):
        backend(copy)


def test_without_torch_its_backend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ModelError, match=r"torch is not installed; pip install 'medvis\[train\]', or backend: onnx"):
        load("medvis.backends", "torch")(SHIPPED)

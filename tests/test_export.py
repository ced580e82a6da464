"""Weights → one ONNX graph: the same numbers in both runtimes, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json

import pytest

torch = pytest.importorskip("torch", reason="the export needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="the export needs the extra 'train'")

import numpy as np
from tiny_bundle import tiny_graph, tiny_net, write_bundle

from medvis.backends.onnx import OnnxPredictor
from medvis.backends.torch import TorchPredictor
from medvis.core.card import OUTPUTS
from medvis.errors import ModelError
from medvis.learn.export import Parity, parity
from medvis.nets.weights import load_net, save_net


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A whole bundle of the tiny network, with its torch weights."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    folder.mkdir()
    save_net(tiny_net(), folder / "model.safetensors")
    body = (folder / "model.safetensors").read_bytes()
    weights = {"file": "model.safetensors", "sha256": hashlib.sha256(body).hexdigest(), "precision": "fp32"}
    return write_bundle(folder, weights={**weights, "bytes": len(body)})


def images(count=2, rows=64, cols=96):
    return np.random.default_rng(3).random((count, 1, rows, cols), np.float32)


def test_torch_and_onnx_runtime_agree_on_every_output(bundle):
    worst = parity(tiny_net(), bundle / "model.onnx").worst
    assert set(worst) == set(OUTPUTS)
    assert max(worst.values()) <= 1e-4, worst


def test_parity_notices_other_weights(bundle):
    worst = parity(tiny_net(seed=1), bundle / "model.onnx").worst
    assert min(worst.values()) > 1e-3


def test_the_certificate_is_short_and_json():
    text = json.dumps(Parity({"mask_logits": 1.23456e-5, "embedding": 0.0}).certificate())
    assert text == '{"mask_logits": 1.23e-05, "embedding": 0.0}'


def test_both_backends_run_the_bundle_alike(bundle):
    x = images()
    ours, theirs = OnnxPredictor(bundle)(x), TorchPredictor(bundle)(x, OUTPUTS)
    for name in OUTPUTS:
        assert ours[name].dtype == theirs[name].dtype == np.float32
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4)
    assert list(TorchPredictor(bundle)(x, ("embedding",))) == ["embedding"]


@pytest.mark.parametrize("size", [(1, 32, 32), (5, 96, 32), (2, 256, 160)])
def test_batch_and_image_sizes_are_free(bundle, size):
    masks = OnnxPredictor(bundle)(images(*size), ("mask_logits",))["mask_logits"]
    assert masks.shape == (size[0], 1, *size[1:])


def test_altered_torch_weights_are_not_loaded(bundle, tmp_path):
    folder = write_bundle(
        tmp_path / "altered", weights={"file": "w", "sha256": "0" * 64, "precision": "fp32", "bytes": 1}
    )
    (folder / "w").write_bytes((bundle / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="the weights were altered"):
        TorchPredictor(folder)


def test_the_graph_holds_no_trace_of_where_it_was_made():
    model = onnx.load_from_string(tiny_graph())
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    text = tiny_graph()
    assert b"/medvis/" not in text and b".py" not in text, "no path of a source file"


def test_the_graph_says_its_names_and_widths():
    graph = onnx.load_from_string(tiny_graph()).graph
    assert [item.name for item in graph.input] == ["image"]
    assert [item.name for item in graph.output] == list(OUTPUTS)


def test_weights_survive_the_way_through_a_file(tmp_path):
    net, path = tiny_net(streams="detail", cuts=[(0.0, 0.5), (0.25, 1.0), (0.0, 1.0)]), tmp_path / "model.safetensors"
    save_net(net, path)
    again = load_net(path)
    assert again.spec == net.spec and not again.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("body", [b"", b"not weights", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_file_without_our_weights_is_one_line(tmp_path, body):
    path = tmp_path / "model.safetensors"
    path.write_bytes(body)
    with pytest.raises(
        ModelError, match=r"holds no medvis weights: .*; wanted: the model.safetensors of 'medvis train'"
    ):
        load_net(path)


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"gone.safetensors holds no medvis weights"):
        load_net(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("spec", [{"colour": 1}, {"cuts": []}, {"cuts": [], "widths": [8, 8, 16, 16, 16]}])
def test_weights_of_another_shape_are_one_line(tmp_path, spec):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(1)}, str(path), metadata={"spec": json.dumps(spec)})
    with pytest.raises(ModelError, match="holds no medvis weights"):
        load_net(path)

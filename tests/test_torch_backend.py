"""The torch backend: the same answers as the graph, from weights that hash to what the card says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch backend needs the extra 'train'")

from tiny_bundle import tiny_net, write_bundle

from medvis.errors import ModelError
from medvis.model.card import OUTPUTS
from medvis.model.onnx import OnnxPredictor
from medvis.model.torch import TorchPredictor
from medvis.nets.weights import save_net


@pytest.fixture
def bundle(tmp_path):
    weights = tmp_path / "model.safetensors"
    save_net(tiny_net(), weights)
    body = weights.read_bytes()
    entry = {"file": weights.name, "sha256": hashlib.sha256(body).hexdigest(), "precision": "fp32", "bytes": len(body)}
    return write_bundle(tmp_path, weights=entry)


def test_both_backends_say_the_same(bundle):
    image = np.random.default_rng(0).random((2, 1, 64, 96), np.float32)
    theirs, ours = OnnxPredictor(bundle)(image), TorchPredictor(bundle)(image)
    assert set(theirs) == set(ours) == set(OUTPUTS)
    for name in OUTPUTS:
        assert ours[name].dtype == np.float32
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-4)


def test_only_the_outputs_that_are_asked_for(bundle):
    given = TorchPredictor(bundle)(np.zeros((1, 1, 64, 64), np.float32), ("evidence",))
    assert list(given) == ["evidence"] and given["evidence"].shape == (1, 2, 8, 8)


def test_altered_weights_are_refused(bundle):
    path = bundle / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="the weights were altered"):
        TorchPredictor(bundle)


def test_a_bundle_without_torch_weights_says_how_to_get_them(tmp_path):
    with pytest.raises(ModelError, match="no torch weights; wanted: a bundle exported with --keep-weights"):
        TorchPredictor(write_bundle(tmp_path))

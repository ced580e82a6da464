"""Weights → one ONNX graph: the same numbers in both runtimes, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="the export needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="the export needs the extra 'train'")

import numpy as np
from tiny_bundle import tiny_graph, tiny_net, write_bundle

from medvis.errors import ModelError
from medvis.learn.bundling import precision
from medvis.learn.bundling.certificate import Predictions, changed, objections, quality, see
from medvis.learn.bundling.export import Parity, parity
from medvis.learn.bundling.graph_optimise import halve, slim
from medvis.learn.bundling.quantise import Quantiser
from medvis.learn.bundling.validation_views import ValidationViews
from medvis.model.card import OUTPUTS
from medvis.model.onnx import OnnxPredictor
from medvis.model.session import cpu_session
from medvis.model.torch import TorchPredictor
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


def outputs(graph, x):
    """What a graph gives for a batch."""
    return cpu_session(graph, 1).run(list(OUTPUTS), {"image": x})


def test_a_slim_graph_computes_the_same_in_fewer_bytes():
    graph = tiny_graph()
    small = slim(onnx.load_from_string(graph))
    assert len(small) < len(graph) - 50_000 and b"pkg.torch" not in small
    for one, other in zip(outputs(graph, images()), outputs(small, images()), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_halved_weights_take_half_the_bytes_and_change_little():
    full, small = slim(onnx.load_from_string(tiny_graph())), halve(onnx.load_from_string(tiny_graph()))
    assert 0.45 < len(small) / len(full) < 0.7
    for one, other in zip(outputs(full, images()), outputs(small, images()), strict=True):
        assert 0 < np.abs(one - other).max() < 0.1


@pytest.fixture(scope="module")
def quantiser():
    return Quantiser(tiny_graph(), [images(4, 64, 64)])


@pytest.mark.parametrize("method", ["MinMax", "Percentile"])
def test_int8_computes_about_the_same(quantiser, method, capsys):
    full, small = tiny_graph(), quantiser.int8(method)
    assert len(small) < len(slim(onnx.load_from_string(full))) / 2
    exact, coarse = (outputs(graph, images(1, 64, 64))[1] for graph in (full, small))
    assert np.corrcoef(exact.ravel(), coarse.ravel())[0, 1] > 0.95
    assert capsys.readouterr().out == "", "stdout is for data"
    assert quantiser.int8(method) == small


def test_what_eight_bits_would_hurt_stays_in_floats(quantiser):
    graph = onnx.load_from_string(quantiser.int8()).graph
    shapes = {item.name: list(item.dims) for item in graph.initializer}
    floats = [shapes[node.input[1]] for node in graph.node if node.op_type == "Conv" and node.input[1] in shapes]
    assert all(shape[1] <= 3 for shape in floats) and [1, 2, 7, 7] in floats, "attention and first grey steps"
    assert "encoder.detail.stem" not in quantiser.blocks


def test_a_block_can_be_kept_in_floats(quantiser):
    assert {"decoder.nodes.x01", "decoder.finish", "classify", "encoder.fuse.0"} <= set(quantiser.blocks)
    kept = quantiser.int8("MinMax", ["classify", "gather"])
    assert len(kept) > len(quantiser.int8())
    exact, coarse, better = (outputs(graph, images(1, 64, 64)) for graph in (tiny_graph(), quantiser.int8(), kept))
    assert np.abs(exact[0] - better[0]).max() != np.abs(exact[0] - coarse[0]).max()


def held(count=8, **changes):
    """Views with a class each, in groups of two, and masks that the tiny network itself outlines."""
    views = images(count, 64, 64)
    masks = outputs(tiny_graph(), views)[1][:, 0] > 0
    groups = [f"g{place // 2}" for place in range(count)]
    facts = {"views": views, "groups": groups, "masks": masks, "columns": [0, 1], "truth": np.arange(count) % 2}
    return ValidationViews(**{**facts, **changes})


def test_a_graph_is_compared_with_its_reference():
    seen = see(tiny_graph(), held())
    figures = quality(seen, held())
    assert figures["dice"] == 1 and set(figures) == {"dice", "auc", "accuracy"}
    assert changed(seen, seen) == 0 and objections(figures, figures, 0.0) == []
    unknown = quality(seen, held(truth=np.full(8, -1)))
    assert set(unknown) == {"dice"}


def test_a_fall_or_another_decision_is_an_objection():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    one, other = Predictions(None, None, logits), Predictions(None, None, logits[::-1])
    assert changed(one, other) == 1
    found = objections({"dice": 0.8, "auc": 0.9}, {"dice": 0.785, "auc": 0.895}, 0.02)
    assert found == ["dice falls by 0.0150 (at most 0.01)", "2.00% of decisions change (at most 1%)"]


def test_no_group_is_in_both_parts():
    first, rest = held().halves(0.1, 64, seed=1)
    assert len(first) + len(rest) == 8 and not set(first.groups) & set(rest.groups) and len(first) == 2


def test_the_first_candidate_without_objections_ships(monkeypatch):
    tried = iter([*[["worse"]] * 7, []])
    monkeypatch.setattr(precision, "objections", lambda *_: next(tried))
    monkeypatch.setattr(precision, "speed", lambda *_: {})
    chosen, certificate = precision.choose(tiny_graph(), held(4), seed=0)
    assert chosen.precision == certificate["ships"] == "fp16"
    made = [one["made"] for one in certificate["tried"]]
    assert made[:3] == [f"ranges by {method}" for method in ("MinMax", "Percentile", "Entropy")]
    kept = [text.split("in fp32: ")[1].split(", ") for text in made[3:7]]
    assert [len(blocks) for blocks in kept] == [1, 2, 4, 8]
    assert all(more[: len(fewer)] == fewer for fewer, more in pairwise(kept)), "the worst block first"
    assert certificate["why"].count("worse") == 7 and certificate["size"]["shipped"] == len(chosen.graph)


def test_where_nothing_smaller_will_do_fp32_ships(monkeypatch):
    monkeypatch.setattr(precision, "objections", lambda *_: ["worse"])
    monkeypatch.setattr(precision, "speed", lambda *_: {})
    monkeypatch.setattr(
        precision, "smaller_candidates", lambda *_: iter([precision.GraphCandidate("fp16", "a", tiny_graph())])
    )
    chosen, certificate = precision.choose(tiny_graph(), held(4), seed=0)
    assert chosen.precision == "fp32" and "nothing smaller keeps" in certificate["why"]
    assert certificate["size"]["share"] == 1


def test_quantised_sums_do_not_saturate_on_any_processor():
    """64 products of the largest activation and weight are 64.0; sums that end at 32767 would make half of it."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    constants = {
        "x_scale": np.float32(1 / 255),
        "x_zero": np.uint8(0),
        "w": np.full((8, 64, 1, 1), 127, np.int8),
        "w_scale": np.float32(1 / 127),
        "w_zero": np.int8(0),
        "y_scale": np.float32(80 / 255),
        "y_zero": np.uint8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "y_scale", "y_zero"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "y_scale", "y_zero"], ["y"]),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", floats, [1, 64, 32, 32])],
        [helper.make_tensor_value_info("y", floats, [1, 8, 32, 32])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (sums,) = cpu_session(model.SerializeToString(), 1).run(None, {"x": np.ones((1, 64, 32, 32), np.float32)})
    np.testing.assert_allclose(sums, 64.0, atol=80 / 255)

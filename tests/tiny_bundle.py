"""A real bundle in small: a seeded network, exported by the project's own exporter, with a valid card beside it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

SPEC = {"classes": 2, "widths": (16, 16, 16, 16, 16), "embedding": 16, "cuts": [(0.0, 0.5), (0.3, 0.7), (0.4, 1.0)]}
SHAPE = {"channels", "multiple_of", "crop", "unit"}
LABELS = [{"name": "nodule", "kind": "binary"}, {"name": "texture", "kind": "rating", "low": 1.0, "high": 5.0}]


def tiny_net(seed: int = 0, **changes: Any):
    """A small network with seeded weights, in evaluation mode. Needs torch."""
    import torch

    from medvis.nets.model import DualStreamUNetPP, NetSpec

    # A second thread saves nothing on maps of this size, and on a busy machine it waits more than it works.
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = DualStreamUNetPP(NetSpec(**{**SPEC, **changes}))
        _settle(net)
    return net.eval()


def _settle(net) -> None:
    """Batch-norm statistics of a few noise images: without them the outputs of a fresh network are all but flat."""
    import torch

    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(4, net.spec.channels, 64, 64))


@cache
def tiny_graph(masks: int = 1) -> bytes:
    """The exported graph. The export takes a while, so all tests of a run share it."""
    pytest.importorskip("torch", reason="a graph is made with the extra 'train'")
    from medvis.learn.bundling.export import export_onnx

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(tiny_net(masks=masks), path)
        return path.read_bytes()


def contract_of(task: str | Path = "lung-nodule", overrides: Any = None, **shape: Any) -> dict[str, Any]:
    """The input contract of a model that learned from images as a task shows them; `shape` are its other fields."""
    from medvis.pipeline import Pipeline
    from medvis.settings import load_task

    config = load_task(str(task), {**(overrides or {}), "input_contract": "ignore"})
    unit = config.accepts.units[0] if config.accepts.units else "grey"
    given = {"channels": 1, "multiple_of": 32, "crop": 64, "unit": unit, **shape}
    return {**given, "colour": "grey" if given["channels"] == 1 else "RGB", **Pipeline(config).shown()}


def pipeline_of(task: str | Path, overrides: Any = None, predictor: Any = None):
    """The pipeline of a task with a model that has learned to see images as this task shows them."""
    from medvis.model.contract import InputContract
    from medvis.pipeline import Pipeline

    old = predictor.card.input
    shape = {"channels": old.channels, "multiple_of": old.multiple_of, "crop": old.crop}
    learned = InputContract.model_validate(contract_of(task, overrides, **shape))
    predictor.card = predictor.card.model_copy(update={"input": learned})
    return Pipeline(str(task), overrides, predictor)


def tiny_card(graph: bytes = b"", **changes: Any) -> dict[str, Any]:
    """The body of a card.yaml for that graph; `input` may be a contract, or some of its sizes."""
    shape = changes.pop("input", {})
    return {
        "task": "tiny",
        "version": "1",
        "summary": "an untrained network for tests",
        "intended_use": "tests",
        "not_for": ["anything else"],
        "model": {"sha256": hashlib.sha256(graph).hexdigest(), "precision": "fp32", "bytes": len(graph)},
        "input": contract_of(**shape) if shape.keys() <= SHAPE else shape,
        "labels": LABELS,
        "masks": ["nodule"],
        "thresholds": {"high": 0.5, "low": 0.4, "finding": 0.3},
        "data": [],
        "figures": [],
        "measured_by": "",
        "known_failures": ["it was never trained"],
        **changes,
    }


def write_bundle(folder: Path, **changes: Any) -> Path:
    """Writes model.onnx and card.yaml into `folder`; `changes` go into the card."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = tiny_graph(len(changes.get("masks", ["nodule"])))
    (folder / "model.onnx").write_bytes(graph)
    card = tiny_card(graph, **changes)
    (folder / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return folder

"""Weights → one ONNX graph with the four outputs, and the certificate that it computes the same."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medvis.core.arrays import Float32s
from medvis.errors import ModelError
from medvis.model.card import OUTPUTS
from medvis.model.session import cpu_session
from medvis.nets.model import MULTIPLE_OF, DualStreamUNetPP

OPSET = 18


class _Graph(nn.Module):
    """The network with a plain tuple as its result: what the exporter wants."""

    def __init__(self, net: DualStreamUNetPP) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        out = self.net(image)
        return out.class_logits, out.mask_logits, out.evidence, out.embedding


def export_onnx(net: DualStreamUNetPP, path: Path) -> str:
    """Writes the graph with free batch and image sizes; returns its SHA-256."""
    import onnx  # noqa: PLC0415 - only here

    example = torch.rand(2, net.spec.channels, 3 * MULTIPLE_OF, 4 * MULTIPLE_OF)
    batch, rows, cols = (
        torch.export.Dim("batch", max=64),
        torch.export.Dim("rows", max=128),
        torch.export.Dim("cols", max=128),
    )
    with _quiet():
        program = torch.onnx.export(
            _Graph(net).eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"image": {0: batch, 2: MULTIPLE_OF * rows, 3: MULTIPLE_OF * cols}},
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise ModelError("the ONNX exporter gave no graph")
    proto = program.model_proto
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(proto)
    body = proto.SerializeToString(deterministic=True)
    path.write_bytes(body)
    return hashlib.sha256(body).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own deprecations, and of torchvision, which no graph of ours needs."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@dataclass(frozen=True)
class Parity:
    """Largest absolute difference between torch and ONNX Runtime, over several image sizes, per output."""

    worst: dict[str, float]

    def certificate(self) -> dict[str, Any]:
        """For the card."""
        return {name: float(f"{value:.2e}") for name, value in self.worst.items()}


def parity(net: DualStreamUNetPP, path: Path, seed: int = 0) -> Parity:
    """Compares both runtimes on random images of four sizes."""
    session = cpu_session(path.read_bytes())
    rng = np.random.default_rng(seed)
    worst = dict.fromkeys(OUTPUTS, 0.0)
    for shape in ((1, 64, 64), (2, 96, 96), (1, 96, 160), (1, 192, 192)):
        image: Float32s = rng.random((shape[0], net.spec.channels, *shape[1:]), np.float32)
        with torch.no_grad():
            ours = _Graph(net).eval()(torch.from_numpy(image))
        theirs = session.run(list(OUTPUTS), {"image": image})
        for name, a, b in zip(OUTPUTS, ours, theirs, strict=True):
            worst[name] = max(worst[name], float(np.abs(a.numpy() - b).max(initial=0.0)))
    return Parity(worst)

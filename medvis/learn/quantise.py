"""fp32 graph → INT8: static QDQ, per channel, calibrated on val crops; and what that costs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.float32]


class _Reader:
    """What onnxruntime's calibrator asks for: one feed at a time, None at the end."""

    def __init__(self, batches: list[Batch]) -> None:
        self._feeds: Iterator[dict[str, Batch]] = iter([{"image": batch} for batch in batches])

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._feeds, None)


def quantise(graph: Path, batches: list[Batch], out: Path) -> str:
    """Writes the INT8 graph (activations uint8, weights int8 per channel) and returns its SHA-256.

    Args:
        graph: the fp32 ONNX file.
        batches: float32 [b, c, h, w] of val, for the ranges of the activations.
        out: the file to write.
    """
    import onnx  # noqa: PLC0415 - only here
    from onnxruntime.quantization import (  # noqa: PLC0415 - only here
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    with TemporaryDirectory() as folder:
        ready, raw = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(graph), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(raw),
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Concat", "Add", "Relu", "Resize", "Clip"],
            nodes_to_exclude=_fine_sums(ready),
            calibrate_method=CalibrationMethod.MinMax,
        )
        body: bytes = onnx.load(str(raw)).SerializeToString(deterministic=True)
    out.write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def _fine_sums(graph: Path) -> list[str]:
    """Names of the sums right after a pooling: the attention's floor of 0.001 is below one step of 8 bits over 0…1."""
    import onnx  # noqa: PLC0415 - only here

    nodes = onnx.load(str(graph)).graph.node
    pooled = {name for node in nodes if node.op_type == "AveragePool" for name in node.output}
    return [node.name for node in nodes if node.op_type == "Add" and pooled.intersection(node.input)]

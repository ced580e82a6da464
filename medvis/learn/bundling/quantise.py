"""fp32 graph → INT8: static QDQ, weights per channel, activations by ranges that val pictures set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from medvis.core.arrays import Float32s
from medvis.learn.bundling.graph_optimise import halve, slim

Method = Literal["MinMax", "Percentile", "Entropy"]
METHODS: tuple[Method, ...] = ("MinMax", "Percentile", "Entropy")
KINDS = ["Conv", "Concat", "Add", "Relu", "Resize", "Clip"]
# A convolution over so few channels has too little to multiply for INT8 to gain anything, and the first grey steps of
# the image are what a faint target is made of.
FEW_CHANNELS = 3
BLOCK = re.compile(
    r"encoder\.overview\.trunk\.(stages\.\d+|stem)|encoder\.detail\.(levels\.\d+|stem|attend\.\d+)"
    r"|encoder\.fuse\.\d+|decoder\.(nodes|heads)\.\w+|decoder\.\w+|\w+"
)


class _Reader:
    """What onnxruntime's calibrator asks for: one feed at a time, None at the end."""

    def __init__(self, batches: list[Float32s]) -> None:
        self._feeds: Iterator[dict[str, Float32s]] = iter([{"image": batch} for batch in batches])

    def get_next(self) -> dict[str, Float32s] | None:
        return next(self._feeds, None)


class Quantiser:
    """Makes INT8 graphs of one fp32 graph; the ranges of a method are measured once, on first use.

    Args:
        graph: the fp32 ONNX file, as `export_onnx` writes it.
        batches: float32 [b, c, h, w] each, for the ranges of the activations.
    """

    def __init__(self, graph: bytes, batches: list[Float32s]) -> None:
        self._graph, self._batches = graph, batches
        self._ranges: dict[Method, Any] = {}

    def int8(self, method: Method = "MinMax", floats: Sequence[str] = ()) -> bytes:
        """One INT8 graph.

        Args:
            method: how outliers among the activations are treated.
            floats: names of `blocks` that are computed with in fp32; their weights are stored as fp16.
        """
        import onnx  # noqa: PLC0415 - an extra
        from onnxruntime.quantization import QDQQuantizer, QuantType  # noqa: PLC0415 - only here

        excluded = {*self._left_alone, *(name for block in floats for name in self.blocks[block])}
        quantiser = QDQQuantizer(
            onnx.load_from_string(self._ready),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._measured(method),
            nodes_to_quantize=[],
            nodes_to_exclude=sorted(excluded),
            op_types_to_quantize=KINDS,
            extra_options={},
        )
        quantiser.quantize_model()
        return halve(quantiser.model.model) if floats else slim(quantiser.model.model)

    @cached_property
    def blocks(self) -> dict[str, list[str]]:
        """Block of the network → names of its convolutions and of what directly follows them."""
        import onnx  # noqa: PLC0415 - an extra

        graph = onnx.load_from_string(self._ready).graph
        blocks: dict[str, list[str]] = {}
        for node in graph.node:
            if node.op_type == "Conv" and node.name not in self._left_alone:
                after = [user.name for user in graph.node if user.op_type in KINDS and node.output[0] in user.input]
                blocks.setdefault(_block(node.input[1]), []).extend([node.name, *after])
        return blocks

    @cached_property
    def _ready(self) -> bytes:
        """The graph with its shapes inferred and its constants folded."""
        from onnxruntime.quantization import quant_pre_process  # noqa: PLC0415 - only here

        with TemporaryDirectory() as folder:
            given, ready = Path(folder) / "given.onnx", Path(folder) / "ready.onnx"
            given.write_bytes(self._graph)
            quant_pre_process(str(given), str(ready), skip_symbolic_shape=True)
            return ready.read_bytes()

    @cached_property
    def _left_alone(self) -> list[str]:
        """Names of the nodes that 8 bits would hurt, or slow down.

        The sums right after a pooling: the attention's floor of 0.001 is below one step of 8 bits over 0…1. And the
        convolutions over `FEW_CHANNELS`, with the concatenation that a spatial attention reads.
        """
        import onnx  # noqa: PLC0415 - an extra

        graph = onnx.load_from_string(self._ready).graph
        makers = {name: node for node in graph.node for name in node.output}
        shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
        left = []
        for node in graph.node:
            before = [makers[name] for name in node.input if name in makers]
            if node.op_type == "Add" and any(source.op_type == "AveragePool" for source in before):
                left.append(node.name)
            if node.op_type == "Conv" and _group(node) == 1 and shapes[node.input[1]][1] <= FEW_CHANNELS:
                left += [node.name, *(source.name for source in before if source.op_type == "Concat")]
        return left

    def _measured(self, method: Method) -> Any:  # noqa: ANN401 - onnxruntime's TensorsData
        if method not in self._ranges:
            self._ranges[method] = self._measure(method)
        return self._ranges[method]

    def _measure(self, method: Method) -> Any:  # noqa: ANN401 - onnxruntime's TensorsData
        from onnxruntime.quantization import CalibrationMethod, create_calibrator  # noqa: PLC0415 - only here

        with TemporaryDirectory() as folder:
            ready = Path(folder) / "ready.onnx"
            ready.write_bytes(self._ready)
            calibrator = create_calibrator(
                ready, KINDS, str(Path(folder) / "augmented.onnx"), calibrate_method=CalibrationMethod[method]
            )
            # One batch at a time: all activations of the network are in memory until they are counted. And the
            # calibrator prints, where data are expected.
            with redirect_stdout(StringIO()):
                for batch in self._batches:
                    calibrator.collect_data(_Reader([batch]))
                return calibrator.compute_data()


def _group(node: Any) -> int:  # noqa: ANN401 - protobuf
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _block(weight: str) -> str:
    """``net.decoder.nodes.x01.0.weight`` → ``decoder.nodes.x01``: as fine as a person would name it."""
    block = BLOCK.match(weight.removeprefix("net."))
    return block.group() if block else weight

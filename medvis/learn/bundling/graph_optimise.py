"""What a graph does not need to compute the same: long names, defaults, and constants that follow from others.

onnxslim (0.1.98) does not replace it: of the INT8 network of 1.81 MB it leaves 1.76 MB, this module 1.65 MB, with the
same outputs and no measurable difference in speed; and it has no counterpart to the derived bias scales, fp16 storage
and short names, so that this code would be needed behind it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Attributes that say what is true without them (ONNX operators, opset 18).
DEFAULTS: dict[str, dict[str, Any]] = {
    "Conv": {"auto_pad": b"NOTSET", "group": 1, "dilations": [1, 1], "strides": [1, 1], "pads": [0, 0, 0, 0]},
    "Resize": {
        "antialias": 0,
        "cubic_coeff_a": -0.75,
        "exclude_outside": 0,
        "extrapolation_value": 0.0,
        "keep_aspect_ratio_policy": b"stretch",
        "coordinate_transformation_mode": b"half_pixel",
        "mode": b"nearest",
        "nearest_mode": b"round_prefer_floor",
    },
}
# A half keeps 11 bits from here on; smaller ones lose some.
LEAST_NORMAL_HALF = 2.0**-14
FEW = 64


def slim(model: Any) -> bytes:  # noqa: ANN401 - onnx.ModelProto, an extra
    """The graph in as few bytes as it can be written in, with the same results.

    INT8 graphs lose what the runtime computes again at load: the scale of a bias is that of its input times that of
    its weights, and the zero points of weights and biases are 0. Names but those of inputs and outputs get short.
    """
    graph = model.graph
    _drop_zero_points(graph)
    _derive_bias_scales(graph)
    _drop_defaults(graph.node)
    _drop_unused(graph)
    _rename(graph)
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    _keep_used_domains(model)
    body: bytes = model.SerializeToString(deterministic=True)
    return body


def halve(model: Any) -> bytes:  # noqa: ANN401 - onnx.ModelProto, an extra
    """The graph with its weights stored as fp16 and computed with in fp32: the casts are folded when it is loaded."""
    from onnx import helper, numpy_helper  # noqa: PLC0415 - an extra

    casts = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.ndim > 1 and values.size > FEW:  # a vector may be a scale of INT8
            name = constant.name
            constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(
                helper.make_node("Cast", [f"{name}_half"], [name], to=helper.np_dtype_to_tensor_dtype(values.dtype))
            )
    _put_first(model.graph, casts)
    return slim(model)


def _put_first(graph: Any, nodes: list[Any]) -> None:  # noqa: ANN401 - protobuf
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _drop_zero_points(graph: Any) -> None:  # noqa: ANN401 - protobuf
    from onnx import numpy_helper  # noqa: PLC0415 - an extra

    zeros = {constant.name for constant in graph.initializer if not numpy_helper.to_array(constant).any()}
    constants = {constant.name for constant in graph.initializer}
    for node in graph.node:
        weights = node.op_type == "DequantizeLinear" and node.input[0] in constants
        if weights and len(node.input) == 3 and node.input[2] in zeros:
            del node.input[2]


def _derive_bias_scales(graph: Any) -> None:  # noqa: ANN401 - protobuf
    """Bias scale = input scale · weight scale, as one node instead of a constant."""
    from onnx import helper, numpy_helper  # noqa: PLC0415 - an extra

    values = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    dequantised = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    products = []
    for node in graph.node:
        if node.op_type != "Conv" or any(name not in dequantised for name in node.input) or len(node.input) < 3:
            continue
        given, weight, bias = (dequantised[name] for name in node.input)
        product = values[given.input[1]] * values[weight.input[1]]
        scale = values[bias.input[1]]
        if scale.size > 1 and scale.shape == product.shape and np.array_equal(scale, product.astype(scale.dtype)):
            name = f"{bias.input[1]}_derived"
            products.append(helper.make_node("Mul", [given.input[1], weight.input[1]], [name]))
            bias.input[1] = name
    _put_first(graph, products)


def _drop_defaults(nodes: Iterable[Any]) -> None:
    from onnx import helper  # noqa: PLC0415 - an extra

    for node in nodes:
        defaults = DEFAULTS.get(node.op_type, {})
        values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        # The shape of the kernel is that of the weights.
        kept = [
            attribute
            for attribute in node.attribute
            if not (attribute.name in defaults and _same(values[attribute.name], defaults[attribute.name]))
            and not (node.op_type == "Conv" and attribute.name == "kernel_shape")
        ]
        del node.attribute[:]
        node.attribute.extend(kept)


def _same(value: Any, default: Any) -> bool:  # noqa: ANN401 - an attribute's value
    return bool(list(value) == default if isinstance(default, list) else value == default)


def _drop_unused(graph: Any) -> None:  # noqa: ANN401 - protobuf
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _rename(graph: Any) -> None:  # noqa: ANN401 - protobuf
    short: dict[str, str] = {item.name: item.name for item in (*graph.input, *graph.output)}
    short[""] = ""
    for item in (*graph.input, *graph.output):
        del item.metadata_props[:]

    def renamed(name: str) -> str:
        if name not in short:
            short[name] = f"_{_digits(len(short))}"
        return short[name]

    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        del node.metadata_props[:]
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    for constant in graph.initializer:
        constant.name = renamed(constant.name)
        constant.ClearField("doc_string")


def _digits(number: int) -> str:
    text = ""
    while number or not text:
        number, digit = divmod(number, len(DIGITS))
        text = DIGITS[digit] + text
    return text


def _keep_used_domains(model: Any) -> None:  # noqa: ANN401 - protobuf
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used or not entry.domain]
    del model.opset_import[:]
    model.opset_import.extend(kept)

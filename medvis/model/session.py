"""The one place where ONNX Runtime is told how to run a graph, so that every processor gives the same answers."""

from __future__ import annotations

import os
from typing import Any


def cpu_session(graph: bytes, threads: int = 0) -> Any:  # noqa: ANN401 - onnxruntime's session
    """An ONNX Runtime session on the CPU.

    Quantised graphs multiply unsigned 8-bit activations with signed 8-bit weights. Processors without VNNI instructions
    add two such products in 16 bits, which saturates: other findings than the card's, without a word. The session entry
    `session.x64quantprecision` has them use exact arithmetic (there slower by some 40 %); elsewhere nothing changes.
    Source: ONNX Runtime, "Quantize ONNX models", sections "U8S8 or U8U8" and "x64quantprecision".

    Args:
        graph: a serialised ONNX model.
        threads: for one forward pass; 0: all cores that this process may use.

    Raises:
        Exception: of onnxruntime, for what is no such model; its exceptions share no base class.
    """
    import onnxruntime  # noqa: PLC0415 - 0.2 s that only a forward pass needs

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def usable_cores() -> int:
    """The cores that this process may use, where the system tells; else all there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1

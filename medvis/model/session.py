"""The one place where ONNX Runtime is told how to run a graph, so that every processor gives the same answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def cpu_session(graph: bytes, threads: int = 0) -> Any:  # noqa: ANN401 - onnxruntime's session
    """An ONNX Runtime session on the CPU.

    Quantised graphs multiply unsigned 8-bit activations with signed 8-bit weights. Processors without VNNI instructions
    add two such products in 16 bits, which saturates: other findings than the card's, without a word. The session entry
    `session.x64quantprecision` has them use exact arithmetic (there slower by some 40 %); elsewhere nothing changes.
    Source: ONNX Runtime, "Quantize ONNX models", sections "U8S8 or U8U8" and "x64quantprecision".

    Args:
        graph: a serialised ONNX model.
        threads: for one forward pass; 0: as `limited_threads` says, or all cores that this process may use.

    Raises:
        Exception: of onnxruntime, for what is no such model; its exceptions share no base class.
    """
    import onnxruntime  # noqa: PLC0415 - 0.2 s that only a forward pass needs

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _Limit.threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class _Limit:
    """How many threads sessions to come have that say nothing themselves; 0: all cores."""

    threads = 0


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """A block in which models that are loaded, and OpenCV, use at most so many threads; None: no limit.

    The findings of the bundled models do not depend on it.
    """
    if count is None:
        yield
        return
    import cv2  # noqa: PLC0415 - 0.2 s that whoever sets no limit need not wait for here

    before = _Limit.threads, cv2.getNumThreads()
    _Limit.threads = count
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        _Limit.threads = before[0]
        cv2.setNumThreads(before[1])


def thread_limit() -> int:
    """The limit that `limited_threads` has set; 0: none."""
    return _Limit.threads


def usable_cores() -> int:
    """The cores that this process may use, where the system tells; else all there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1

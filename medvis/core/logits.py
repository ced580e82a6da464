"""From logits to probabilities.

`scipy.special` has both functions, but importing it takes 0.24 s, on the way of every diagnosis.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Float32s

F = TypeVar("F", bound=np.floating)


def sigmoid(x: Float32s) -> Float32s:
    """1 / (1 + e^−x) of an array of any shape, in float32, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def softmax(logits: NDArray[F]) -> NDArray[F]:
    """Probabilities that sum to 1 along the last axis, in the type of the logits, without overflow."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), logits.dtype)

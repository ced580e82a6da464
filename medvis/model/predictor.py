"""What runs a model: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from medvis.core.arrays import Float32s
from medvis.model.card import Card


class Predictor(Protocol):
    """A loaded model: numpy in, numpy out."""

    card: Card

    def __call__(self, batch: Float32s, outputs: Sequence[str]) -> dict[str, Float32s]:
        """One forward pass.

        Args:
            batch: float32 [b, c, h, w] in 0…1; h and w multiples of `card.input.multiple_of`.
            outputs: which of ``class_logits`` [b,k], ``mask_logits`` [b,m,h,w], ``evidence`` [b,k,h/8,w/8],
                ``embedding`` [b,d] are needed; the runtime prunes the rest.
        """
        ...

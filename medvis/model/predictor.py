"""What runs a model: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medvis.model.card import Card


class Predictor(Protocol):
    """A loaded model: numpy in, numpy out."""

    card: Card

    def __call__(self, batch: NDArray[np.float32], outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """One forward pass.

        Args:
            batch: float32 [b, c, h, w] in 0…1; h and w multiples of `card.input.multiple_of`.
            outputs: which of ``class_logits`` [b,k], ``mask_logits`` [b,m,h,w], ``evidence`` [b,k,h/8,w/8],
                ``embedding`` [b,d] are needed; the runtime prunes the rest.
        """
        ...

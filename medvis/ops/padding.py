"""CT padding that no tag declares: the corners outside the reconstructed circle."""

from __future__ import annotations

import numpy as np

from medvis.core.arrays import Bools, Float32s

BELOW_AIR = -1500.0
"""HU. Air is −1000 and scanners clip at −1024; nothing that is far below can be a measurement."""


def corner_padding(hounsfield: Float32s) -> Bools:
    """True where a CT slice is below −1500 HU and hangs together (4-connected) with its edge.

    Args:
        hounsfield: float32 [rows, cols] in HU.
    """
    if hounsfield.min() >= BELOW_AIR:
        return np.zeros(hounsfield.shape, np.bool_)
    import cv2  # noqa: PLC0415 - 0.2 s, and few slices have such corners

    low: Bools = hounsfield < BELOW_AIR
    _, labels = cv2.connectedComponents(low.astype(np.uint8), connectivity=4)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    padding: Bools = np.isin(labels, edge[edge > 0])
    return padding

"""Augmentation of the slices below and above a crop: left out, ended with the lesion, upside down."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from medvis.core.arrays import Float32s
from medvis.learn.training.augment import Augment

BELOW, AT, ABOVE = 0, 1, 2
# Pixels around a lesion whose values its own blur reaches.
RIM = 2


def beside(view: Float32s, mask: Float32s, there: tuple[bool, bool], rng: Generator, settings: Augment) -> Float32s:
    """Another version of what lies beside a slice.

    Args:
        view: float32 [s, s, 3] in 0…1, below, at and above.
        mask: float32 [s, s] in 0…1, the lesion at the slice.
        there: whether the slices below and above are there; one that is not repeats the slice itself.
        rng: the only source of chance.
        settings: rates.

    Returns:
        As `view`.
    """
    view = view.copy()
    at = np.ascontiguousarray(view[..., AT])
    for side, known in ((BELOW, there[0]), (ABOVE, there[1])):
        if not known and settings.end_beside and rng.random() < settings.end_beside and mask.any():
            view[..., side] = _without(at, mask)
    if settings.drop_beside:
        chance = rng.random()
        if chance < settings.drop_beside:
            view[..., BELOW] = view[..., ABOVE] = at
        elif chance < 2 * settings.drop_beside:
            view[..., BELOW if rng.random() < 0.5 else ABOVE] = at
    # A chest upside down is still a chest, slice by slice.
    return view[..., ::-1].copy() if rng.random() < 0.5 else view


def _without(at: Float32s, mask: Float32s) -> Float32s:
    """The slice with its lesion replaced by a blur of what surrounds it (normalised convolution)."""
    covered = cv2.dilate((mask > 0).astype(np.float32), np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8))
    free = 1 - covered
    around = max(2.0, 0.5 * float(np.sqrt(covered.sum())))
    weight = cv2.GaussianBlur(free, (0, 0), around)
    filled = cv2.GaussianBlur(at * free, (0, 0), around) / np.maximum(weight, 1e-3)
    share = cv2.GaussianBlur(covered, (0, 0), 1.0)
    return np.asarray(at * (1 - share) + filled * share, np.float32)

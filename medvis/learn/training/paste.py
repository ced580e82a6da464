"""Small targets pasted into other images: into aerated lung, and onto any surface."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from medvis.core.arrays import Bools, Float32s

# Pixels from the crop's border that no target is put into.
RIM = 8


def paste(hu: Float32s, lesion: Float32s, mask: Float32s, rng: Generator) -> tuple[Float32s, Float32s] | None:
    """Puts a lesion into aerated lung of another crop.

    Args:
        hu: float32 [s, s], the crop; or [s, s, 3], with the slices below and above it.
        lesion: HU, shape as `hu`, another crop whose lesion is at the centre.
        mask: float32 [s, s] in 0…1, that lesion.
        rng: chooses the place.

    Returns:
        The new crop and its mask, or None if there is no lung to put it in.
    """
    at = hu if hu.ndim == 2 else np.ascontiguousarray(hu[..., 1])
    move = _random_move(cv2.blur(at, (7, 7)) < -700, rng)
    if move is None:
        return None
    size = mask.shape
    alpha = cv2.warpAffine(_soft(mask), move, size)
    moved = cv2.warpAffine(lesion, move, size, borderValue=(-1000.0, -1000.0, -1000.0))
    inside = cv2.warpAffine(mask, move, size)
    if hu.ndim == 3:
        alpha = alpha[..., None]
    # A lesion displaces air; where the host is denser (a vessel), the host shows through.
    return np.asarray(hu + alpha * np.maximum(moved - hu, 0), np.float32), np.asarray(inside, np.float32)


def transplant(
    host: Float32s, taken: Bools, target: tuple[Float32s, Float32s], rng: Generator
) -> tuple[Float32s, Float32s] | None:
    """Puts a target onto another surface, in the light of the place it comes to.

    Args:
        host: float32 [s, s] or [s, s, 3], the crop, in grey values from 0.
        taken: bool [s, s], where it must not go.
        target: another crop, as `host`, whose target is at the centre; and its mask, float32 [s, s] in 0…1.
        rng: chooses the place.

    Returns:
        The new crop and the mask of the pasted target alone, or None if there is no place or no target.
    """
    donor, mask = target
    ring = (cv2.dilate(mask, np.ones((9, 9))) > 0.5) & (cv2.dilate(mask, np.ones((3, 3))) < 0.1)
    move = _random_move(~taken, rng) if ring.any() and mask.max() > 0.5 else None
    if move is None:
        return None
    size = mask.shape
    # Values relative to the target's own surroundings, and then to those of the new place.
    relative = donor / np.maximum(donor[ring].mean(0), 1.0)
    alpha = cv2.warpAffine(_soft(mask), move, size)
    moved = cv2.warpAffine(np.asarray(relative, np.float32), move, size, borderValue=(1.0, 1.0, 1.0))
    light = cv2.GaussianBlur(host, (0, 0), 6.0)
    if host.ndim == 3:
        alpha = alpha[..., None]
    inside = cv2.warpAffine(mask, move, size)
    return np.asarray(host + alpha * (moved * light - host), np.float32), np.asarray(inside, np.float32)


def _random_move(allowed: Bools, rng: Generator) -> Float32s | None:
    """The move of the crop's centre to a random allowed place, or None if there is none."""
    allowed = allowed.copy()
    allowed[:RIM], allowed[-RIM:], allowed[:, :RIM], allowed[:, -RIM:] = False, False, False, False
    places = np.flatnonzero(allowed)
    if len(places) == 0:
        return None
    size = allowed.shape[0]
    row, col = divmod(int(places[rng.integers(len(places))]), size)
    return np.array([[1, 0, col - (size - 1) / 2], [0, 1, row - (size - 1) / 2]], np.float32)


def _soft(mask: Float32s) -> Float32s:
    return np.asarray(cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3))), (0, 0), 0.8), np.float32)

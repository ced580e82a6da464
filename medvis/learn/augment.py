"""Augmentation in HU: geometry in one remap, then the scanner's differences. Each part is switched by its rate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]


class Augment(BaseModel):
    """Rates are probabilities per image; 0 switches a part off.

    Attributes:
        rotate: rotation by any angle, and flips.
        zoom: (low, high) of a log-uniform scale.
        near: share of crops that are taken from near, as the last views of the closer look see a candidate.
        near_zoom: (low, high) of their scale.
        elastic: smooth random displacement (Simard et al. 2003).
        window: sd in HU of a shift, and sd of a relative stretch, of the HU scale.
        noise: largest sd of white noise in HU.
        blur: rate of Gaussian blur (sd up to 0.9 px); `motion`: rate of a 3–7 px motion blur.
        absent: share of crops that are moved away from the target.
        paste: rate at which such a crop gets a 5–15 px target of another image pasted in.
        mixup: rate of Mixup on the intensities (Zhang et al. 2018) with weight on the first image ≥ 0.7.
        smoothing: label smoothing of the binary classes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotate: float = 1.0
    zoom: tuple[float, float] = (0.7, 1.4)
    near: float = Field(default=0.0, ge=0, le=1)
    near_zoom: tuple[float, float] = (1.4, 2.5)
    elastic: float = 0.25
    window: tuple[float, float] = (35.0, 0.05)
    noise: float = 40.0
    blur: float = 0.25
    motion: float = 0.05
    absent: float = 0.22
    paste: float = 0.4
    mixup: float = 0.0
    smoothing: float = 0.02


def crop_maps(rng: Generator, settings: Augment, size: int, focus: tuple[float, float]) -> tuple[Floats, Floats]:
    """Sampling maps of a turned, zoomed, bent and shifted square crop.

    Args:
        rng: the only source of chance.
        settings: rates.
        size: side of the crop in px.
        focus: (row, col) in the source that the crop is to be centred on.

    Returns:
        (rows, cols), float32 [size, size], for `cv2.remap`.
    """
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < settings.rotate else 0.0
    zoom = float(np.exp(rng.uniform(*np.log(settings.zoom))))
    flip = -1.0 if rng.random() < 0.5 * settings.rotate else 1.0
    grid = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / zoom
    rows, cols = np.meshgrid(grid, grid * flip, indexing="ij")
    cos, sin = np.cos(angle), np.sin(angle)
    source_rows = focus[0] + cos * rows - sin * cols
    source_cols = focus[1] + sin * rows + cos * cols
    if rng.random() < settings.elastic:
        source_rows = source_rows + _bend(rng, size)
        source_cols = source_cols + _bend(rng, size)
    return source_rows.astype(np.float32), source_cols.astype(np.float32)


def sample(image: NDArray[np.generic], maps: tuple[Floats, Floats], interpolation: int = cv2.INTER_LINEAR) -> Floats:
    """The crop of `image` under `maps`, mirrored beyond the edge."""
    crop = cv2.remap(image.astype(np.float32), maps[1], maps[0], interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(crop, np.float32)


def scanner(hu: Floats, rng: Generator, settings: Augment) -> Floats:
    """Another scanner's version of a crop: HU scale, sharpness, motion and noise."""
    shift, stretch = settings.window
    hu = (hu + 400.0) * float(1 + rng.normal(0, stretch)) - 400.0 + float(rng.normal(0, shift))
    if rng.random() < settings.blur:
        hu = np.asarray(cv2.GaussianBlur(hu, (0, 0), rng.uniform(0.3, 0.9)), np.float32)
    if rng.random() < settings.motion:
        hu = np.asarray(cv2.filter2D(hu, -1, _streak(int(rng.integers(3, 8)), rng.uniform(0, np.pi))), np.float32)
    level = rng.uniform(0, settings.noise) * (rng.random() < 0.6)
    if level > 1:
        noise = rng.standard_normal(hu.shape, dtype=np.float32)
        hu = hu + level * (noise if rng.random() < 0.5 else 1.8 * cv2.GaussianBlur(noise, (0, 0), 0.7))
    return np.asarray(hu, np.float32)


def paste(hu: Floats, lesion: Floats, mask: Floats, rng: Generator) -> tuple[Floats, Floats] | None:
    """Puts a lesion into aerated lung of another crop.

    Args:
        hu: float32 [s, s], the crop.
        lesion: float32 [s, s] HU, another crop whose lesion is at the centre.
        mask: float32 [s, s] in 0…1, that lesion.
        rng: chooses the place.

    Returns:
        The new crop and its mask, or None if there is no lung to put it in.
    """
    size = hu.shape[0]
    lung = cv2.blur(hu, (7, 7)) < -700
    lung[:8], lung[-8:], lung[:, :8], lung[:, -8:] = False, False, False, False
    places = np.flatnonzero(lung)
    if len(places) == 0:
        return None
    row, col = divmod(int(places[rng.integers(len(places))]), size)
    move = np.array([[1, 0, col - (size - 1) / 2], [0, 1, row - (size - 1) / 2]], np.float32)
    alpha = cv2.warpAffine(cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3))), (0, 0), 0.8), move, (size, size))
    moved = cv2.warpAffine(lesion, move, (size, size), borderValue=-1000.0)
    inside = cv2.warpAffine(mask, move, (size, size))
    # A lesion displaces air; where the host is denser (a vessel), the host shows through.
    return np.asarray(hu + alpha * np.maximum(moved - hu, 0), np.float32), np.asarray(inside, np.float32)


def _bend(rng: Generator, size: int) -> Floats:
    coarse = rng.normal(0, 2.0, (5, 5)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def _streak(length: int, angle: float) -> Floats:
    kernel = np.zeros((length, length), np.float32)
    middle, reach = (length - 1) / 2, (length - 1) / 2
    start = (round(middle - reach * np.cos(angle)), round(middle - reach * np.sin(angle)))
    stop = (round(middle + reach * np.cos(angle)), round(middle + reach * np.sin(angle)))
    cv2.line(kernel, start, stop, 1.0, 1)
    return np.asarray(kernel / max(kernel.sum(), 1), np.float32)

"""Augmentation: geometry in one remap, then the differences between scanners and cameras. Each part has its switch."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from medvis.core.arrays import Float32s
from medvis.learn.data.views import InputRange

Zoom = Annotated[float, Field(ge=0.1, le=10)]
Units = Annotated[float, Field(ge=0, le=10_000)]
Relative = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(ge=-100_000, le=100_000)]
Rate = Field(default=0.0, ge=0, le=1)


class Augment(BaseModel):
    """Rates are probabilities per image; 0 switches a part off. Units: HU for CT, else grey values 0…255.

    Attributes:
        rotate, angle: rate of a rotation by up to `angle` degrees (180: by any angle).
        mirror, upside_down: rates of the two flips; a chest is mirrored at most.
        zoom: (low, high) of a log-uniform scale.
        shift: largest move of a whole picture, as a share of its side.
        near: share of crops that are taken from near, as the last views of the closer look see a candidate.
        near_zoom: (low, high) of their scale.
        elastic, elastic_px: rate of a smooth random displacement (Simard et al. 2003), and its sd in px.
        window: contrast: sd of a shift in units, and sd of a relative stretch, of the scale of values.
        gamma: sd of the logarithm of an exponent on the view's 0…1.
        colour: sd of a relative gain of each channel.
        noise: largest sd of white noise in units.
        speckle: largest sd of noise relative to the value.
        blur: rate of Gaussian blur (sd up to 0.9 px).
        motion: rate of a 3–7 px motion blur.
        absent: share of crops that are moved away from the target (lesions and tiles).
        paste: rate at which such a crop gets a 5–15 px target of another image pasted in.
        cutout: rate of a grey square of a tenth to a third of the side (DeVries & Taylor 2017).
        mixup: share of crops that another of the batch is mixed into, by up to a half (Zhang et al. 2018).
        smoothing: label smoothing.
        drop_beside: of lesions in depth: rate at which both slices beside are left out, and at which one of them is.
        end_beside: rate at which a slice that is not there is taken to show the picture without its lesion: stacks of
            data sets end with the lesion, scans do not.
        ceiling: (rate, units): share of crops whose values end there, as those of scans that were cut.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rotate: float = Field(default=1.0, ge=0, le=1)
    angle: float = Field(default=180.0, ge=0, le=180)
    mirror: float = Field(default=0.5, ge=0, le=1)
    upside_down: float = Rate
    zoom: tuple[Zoom, Zoom] = (0.7, 1.4)
    shift: float = Field(default=0.0, ge=0, le=0.5)
    near: float = Rate
    near_zoom: tuple[Zoom, Zoom] = (1.4, 2.5)
    elastic: float = Field(default=0.25, ge=0, le=1)
    elastic_px: float = Field(default=2.0, ge=0, le=100)
    window: tuple[Units, Relative] = (35.0, 0.05)
    gamma: float = Field(default=0.0, ge=0, le=3)
    colour: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=40.0, ge=0, le=10_000)
    speckle: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.25, ge=0, le=1)
    motion: float = Field(default=0.05, ge=0, le=1)
    absent: float = Field(default=0.22, ge=0, le=1)
    paste: float = Field(default=0.4, ge=0, le=1)
    cutout: float = Rate
    mixup: float = Rate
    smoothing: float = Field(default=0.02, ge=0, lt=1)
    drop_beside: float = Rate
    end_beside: float = Rate
    ceiling: tuple[Relative, Level] = (0.0, 0.0)

    @model_validator(mode="after")
    def _low_before_high(self) -> Augment:
        for name in ("zoom", "near_zoom"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} goes from {low:g} to {high:g}; the lower one comes first")
        return self


def crop_maps(rng: Generator, settings: Augment, size: int, focus: tuple[float, float]) -> tuple[Float32s, Float32s]:
    """Sampling maps of a turned, zoomed, bent and shifted square crop.

    Args:
        rng: the only source of chance.
        settings: rates.
        size: side of the crop in px.
        focus: (row, col) in the source that the crop is to be centred on.

    Returns:
        (rows, cols), float32 [size, size], for `cv2.remap`.
    """
    angle = _turn(rng, settings.angle) if rng.random() < settings.rotate else 0.0
    zoom = float(np.exp(rng.uniform(*np.log(settings.zoom))))
    mirrored = -1.0 if rng.random() < settings.mirror else 1.0
    # A part that is off must not use up a random number: crops stay the same when a part is added.
    turned = -1.0 if settings.upside_down and rng.random() < settings.upside_down else 1.0
    # Around whole pixels: a crop that is neither turned nor zoomed is cut out, not interpolated.
    middle = (size - 1) / 2
    focus = round(focus[0] - middle) + middle, round(focus[1] - middle) + middle
    grid = (np.arange(size, dtype=np.float32) - middle) / zoom
    rows, cols = np.meshgrid(grid * turned, grid * mirrored, indexing="ij")
    cos, sin = np.cos(angle), np.sin(angle)
    source_rows = focus[0] + cos * rows - sin * cols
    source_cols = focus[1] + sin * rows + cos * cols
    if rng.random() < settings.elastic:
        source_rows = source_rows + _bend(rng, size, settings.elastic_px)
        source_cols = source_cols + _bend(rng, size, settings.elastic_px)
    return source_rows.astype(np.float32), source_cols.astype(np.float32)


def sample(
    image: NDArray[np.generic], maps: tuple[Float32s, Float32s], interpolation: int = cv2.INTER_LINEAR
) -> Float32s:
    """The crop of `image` [h, w] or [h, w, 3] under `maps`, mirrored beyond the edge, as `ops.tiles.cut` does."""
    crop = cv2.remap(image.astype(np.float32), maps[1], maps[0], interpolation, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(crop, np.float32)


def scanner(view: Float32s, rng: Generator, settings: Augment, input_range: InputRange, middle: float) -> Float32s:
    """Another scanner's or camera's version of a crop: scale, sharpness, motion and noise.

    What is switched off leaves the pixels as they are, bit for bit.

    Args:
        view: float32 [s, s] or [s, s, 3] in 0…1, what the network sees.
        rng: the only source of chance.
        settings: rates, in modality units.
        input_range: the modality units that 0…1 stands for.
        middle: the value in modality units that a stretch of the scale leaves in place.

    Returns:
        As `view`, in 0…1.
    """
    shift, stretch = settings.window
    gain, offset = float(1 + rng.normal(0, stretch)), float(rng.normal(0, shift)) / input_range.span
    if shift or stretch:
        fixed = input_range.fraction(middle)
        view = (view - np.float32(fixed)) * gain + np.float32(fixed + offset)
    if settings.colour and view.ndim == 3:
        view = view * np.asarray(1 + rng.normal(0, settings.colour, view.shape[2]), np.float32)
    if rng.random() < settings.blur:
        view = np.asarray(cv2.GaussianBlur(view, (0, 0), rng.uniform(0.3, 0.9)), np.float32)
    if rng.random() < settings.motion:
        streak = _streak(int(rng.integers(3, 8)), rng.uniform(0, np.pi))
        view = np.asarray(cv2.filter2D(view, -1, streak), np.float32)
    if settings.speckle:
        level = rng.uniform(0, settings.speckle)
        # Noise relative to the value itself, which is 0 where the modality's is.
        zero = np.float32(input_range.fraction(0.0))
        view = zero + (view - zero) * (1 + level * _grain(rng, view.shape))
    level = rng.uniform(0, settings.noise) * (rng.random() < 0.6)
    if level > 1:
        view = view + np.float32(level / input_range.span) * _grain(rng, view.shape)
    return np.asarray(np.clip(view, 0, 1), np.float32)


def finish(view: Float32s, mask: Float32s, rng: Generator, settings: Augment) -> tuple[Float32s, Float32s]:
    """What is done to the network's own view [c, s, s] in 0…1: its grey curve, and a square cut out of it.

    Where the square is, there is nothing to be outlined.
    """
    if settings.gamma:
        view = np.asarray(view ** np.float32(np.exp(rng.normal(0, settings.gamma))), np.float32)
    if settings.cutout and rng.random() < settings.cutout:
        size = view.shape[-1]
        side = int(size * rng.uniform(0.1, 0.33))
        row, col = (int(corner) for corner in rng.integers(0, size - side + 1, 2))
        hole = (..., slice(row, row + side), slice(col, col + side))
        view, mask = view.copy(), mask.copy()
        view[hole], mask[hole] = 0.5, 0.0
    return view, mask


def _turn(rng: Generator, largest: float) -> float:
    turn = float(rng.uniform(0, 2 * np.pi))
    if largest >= 180:
        return turn
    return (turn - np.pi) * largest / 180


def _bend(rng: Generator, size: int, pixels: float) -> Float32s:
    coarse = rng.normal(0, pixels, (5, 5)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def _grain(rng: Generator, shape: tuple[int, ...]) -> Float32s:
    """Noise with an sd of about 1: of single pixels, or of coarser grain."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    return noise if rng.random() < 0.5 else np.asarray(1.8 * cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)


def _streak(length: int, angle: float) -> Float32s:
    kernel = np.zeros((length, length), np.float32)
    middle = radius = (length - 1) / 2
    start = (round(middle - radius * np.cos(angle)), round(middle - radius * np.sin(angle)))
    stop = (round(middle + radius * np.cos(angle)), round(middle + radius * np.sin(angle)))
    cv2.line(kernel, start, stop, 1.0, 1)
    return np.asarray(kernel / max(kernel.sum(), 1), np.float32)

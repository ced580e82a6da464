"""A CT phantom: a chest made by code, with nodules of known place, size, contrast and texture. Same spec, same pixels.

It looks like a CT of the chest and is none: use it to see whether a known truth comes out of the pipeline, never as
evidence of how well a model does on patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from typing import Literal, get_args

import cv2
import numpy as np

from medvis.core.arrays import Float32s, Labels
from medvis.errors import SettingsError
from medvis.phantom.anatomy.chest import LUNG, chest_plane
from medvis.phantom.anatomy.vessels import draw_vessels, grow_vessels

Texture = Literal["solid", "part-solid", "ground-glass"]

VESSEL = 40.0
GRAIN_SD = 16.0  # HU, of the parenchyma's own texture
HAZE = 260.0  # HU by which ground-glass is denser than lung
CORE = 0.55  # diameter of the solid core of a part-solid nodule, as a share of the whole
SUBPLANES = 9
LEAST_HU, MOST_HU = -1024, 3071


@dataclass(frozen=True)
class NoduleSpec:
    """One ball.

    Attributes:
        center_mm: (z, y, x) from the middle of the volume: to the head, to the back, to the patient's left.
        diameter_mm: of the ball.
        texture: ``solid``, ``ground-glass`` (a haze through which vessels show) or ``part-solid`` (a solid core in it).
        contrast_hu: how much denser than lung the ball is (of part-solid: its core).
    """

    center_mm: tuple[float, float, float]
    diameter_mm: float
    texture: Texture = "solid"
    contrast_hu: float = 900.0

    def __post_init__(self) -> None:
        if not (self.diameter_mm > 0 and self.contrast_hu > 0):
            raise SettingsError(
                f"a nodule of {self.diameter_mm:g} mm with a contrast of {self.contrast_hu:g} HU", "both above 0"
            )
        if self.texture not in get_args(Texture):
            raise SettingsError(f"nodule texture '{self.texture}'", f"one of {', '.join(get_args(Texture))}")

    @property
    def volume_mm3(self) -> float:
        """Of the ball."""
        return pi / 6 * self.diameter_mm**3


NODULES = (
    NoduleSpec((-12.0, -34.0, -88.0), 5.0),
    NoduleSpec((6.0, 40.0, 94.0), 8.0),
    NoduleSpec((13.0, 36.0, -78.0), 12.0, "part-solid"),
    NoduleSpec((-7.0, 14.0, 92.0), 20.0),
)


@dataclass(frozen=True)
class PhantomSpec:
    """The whole phantom.

    Attributes:
        frames, shape: number of planes from feet to head, and (rows, cols) of each.
        spacing, slice_spacing: in mm; a plane is as thick as the planes are apart.
        nodules: numbered from 1 in the labels.
        seed: of vessels, texture and noise.
        noise_sd: of the noise, in HU.
        psf_mm: standard deviation of the blur of the scanner.
        scale: enlarges the body.
    """

    frames: int = 24
    shape: tuple[int, int] = (512, 512)
    spacing: tuple[float, float] = (0.7, 0.7)
    slice_spacing: float = 2.5
    nodules: tuple[NoduleSpec, ...] = NODULES
    seed: int = 0
    noise_sd: float = 14.0
    psf_mm: float = 0.45
    scale: float = 1.0

    def __post_init__(self) -> None:
        if min(self.frames, *self.shape, self.seed + 1) < 1:
            raise SettingsError(
                f"a phantom of {self.frames} frames of {list(self.shape)} px with seed {self.seed}", "at least 1, 1, 0"
            )
        if not min(*self.spacing, self.slice_spacing, self.scale) > 0 or min(self.noise_sd, self.psf_mm) < 0:
            raise SettingsError(
                f"a phantom with spacing {self.spacing}, slices {self.slice_spacing:g} mm apart, scale {self.scale:g}, "
                f"noise {self.noise_sd:g} HU and blur {self.psf_mm:g} mm",
                "lengths and scale above 0, noise and blur not below 0",
            )

    def z_of(self, frame: int) -> float:
        """Height of a plane in mm above the middle of the volume."""
        return (frame - (self.frames - 1) / 2) * self.slice_spacing

    def index_of(self, nodule: NoduleSpec) -> tuple[float, float, float]:
        """(frame, row, col) of a nodule's centre."""
        z, y, x = nodule.center_mm
        return (
            z / self.slice_spacing + (self.frames - 1) / 2,
            y / self.spacing[0] + (self.shape[0] - 1) / 2,
            x / self.spacing[1] + (self.shape[1] - 1) / 2,
        )


def chest_phantom(spec: PhantomSpec | None = None) -> tuple[Float32s, Labels]:
    """The phantom.

    Returns:
        HU in whole numbers, float32 [frames, rows, cols], and labels, int32 of the same shape: the number of the nodule
        that fills at least half of the voxel, else 0.
    """
    spec = spec or PhantomSpec()
    hu = np.empty((spec.frames, *spec.shape), dtype=np.float32)
    labels = np.empty(hu.shape, dtype=np.int32)
    for frame, (plane, marks) in enumerate(phantom_planes(spec)):
        hu[frame], labels[frame] = plane, marks
    return hu, labels


def phantom_planes(spec: PhantomSpec) -> Iterator[tuple[Float32s, Labels]]:
    """The planes of `chest_phantom` one by one, for those who show progress or have little memory."""
    rng = np.random.default_rng([spec.seed, 0])
    twigs = grow_vessels(spec.seed)
    grain = np.zeros(spec.shape, dtype=np.float32)
    for frame in range(spec.frames):
        z = spec.z_of(frame)
        hu, lung = chest_plane(spec.shape, spec.spacing, z, spec.scale)
        spacing = spec.spacing[0] / spec.scale, spec.spacing[1] / spec.scale
        grain = np.float32(0.6) * grain + np.float32(0.8) * _grain(rng, spec)
        hu += np.float32(GRAIN_SD) * grain * lung
        hu += (VESSEL - hu) * draw_vessels(twigs, spec.shape, spacing, (z, spec.slice_spacing))
        labels = _draw_nodules(hu, lung, spec, z)
        if spec.psf_mm:
            down, across = (spec.psf_mm / step for step in spec.spacing)
            hu = np.asarray(cv2.GaussianBlur(hu, (0, 0), sigmaX=across, sigmaY=down), dtype=np.float32)
        hu += np.float32(spec.noise_sd) * _smooth_noise(rng, spec.shape, 0.6)
        yield np.clip(np.rint(hu), LEAST_HU, MOST_HU).astype(np.float32), labels


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Float32s:
    """Noise of standard deviation 1, correlated over `sigma` px."""
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), sigma), dtype=np.float32)
    kernel = cv2.getGaussianKernel(2 * int(4 * sigma + 1) + 1, sigma)
    return noise / np.float32((kernel**2).sum())


def _grain(rng: np.random.Generator, spec: PhantomSpec) -> Float32s:
    """Texture of the parenchyma: fine and coarse, in mm."""
    fine, coarse = (_smooth_noise(rng, spec.shape, max(mm / spec.spacing[1], 0.3)) for mm in (0.8, 3.0))
    return np.float32(0.8) * fine + np.float32(0.6) * coarse


def _draw_nodules(hu: Float32s, lung: Float32s, spec: PhantomSpec, z: float) -> Labels:
    """Solid tissue takes the place of lung and vessels; a haze only lifts what is less dense than itself."""
    labels = np.zeros(spec.shape, dtype=np.int32)
    for number, nodule in enumerate(spec.nodules, start=1):
        whole = _ball(spec, nodule, nodule.diameter_mm, z)
        if whole is None:
            continue
        window, fraction = whole
        labels[window][fraction >= 0.5] = number
        if nodule.texture != "solid":
            part = hu[window]
            haze = np.float32(LUNG + min(HAZE, nodule.contrast_hu))
            np.maximum(part, part + (haze - part) * fraction, out=part)
        solid = CORE * nodule.diameter_mm if nodule.texture == "part-solid" else nodule.diameter_mm
        core = None if nodule.texture == "ground-glass" else _ball(spec, nodule, solid, z)
        if core is not None:
            window, fraction = core
            hu[window] += (np.float32(LUNG + nodule.contrast_hu) - hu[window]) * fraction * lung[window]
    return labels


def _ball(
    spec: PhantomSpec, nodule: NoduleSpec, diameter: float, z: float
) -> tuple[tuple[slice, slice], Float32s] | None:
    """The pixels that a ball may touch in the plane at z, and its share of each voxel; None if there are none."""
    radius = diameter / 2
    off = z - nodule.center_mm[0] + spec.slice_spacing * ((np.arange(SUBPLANES) + 0.5) / SUBPLANES - 0.5)
    circles = np.sqrt(np.maximum(radius**2 - off**2, 0))
    _, row, col = spec.index_of(nodule)
    reach = (radius / spec.spacing[0] + 1, radius / spec.spacing[1] + 1)
    window = tuple(
        slice(max(int(np.floor(at - far)), 0), max(min(int(np.ceil(at + far)) + 1, size), 0))
        for at, far, size in zip((row, col), reach, spec.shape, strict=True)
    )
    y = (np.arange(window[0].start, window[0].stop) - row) * spec.spacing[0]
    x = (np.arange(window[1].start, window[1].stop) - col) * spec.spacing[1]
    if not circles.any() or not (y.size and x.size):
        return None
    away = np.hypot(y[:, None], x[None])
    edge = float(np.mean(spec.spacing))
    fractions = [np.clip(0.5 - (away - circle) / edge, 0, 1) for circle in circles if circle > 0]
    return (window[0], window[1]), (np.sum(fractions, axis=0) / SUBPLANES).astype(np.float32)

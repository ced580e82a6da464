"""Training crops of large pictures at their native resolution: on the targets, off them, and with targets pasted in."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from medvis.core.arrays import Array, Bools, Float32s, Uint8s
from medvis.errors import InputError
from medvis.learn.data.pictures import Pictures
from medvis.learn.data.views import InputRange
from medvis.learn.training.augment import Augment, crop_maps, finish, sample, scanner
from medvis.learn.training.paste import transplant
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Crop, planes, smoothed, targets_in

# Sides in px that a pasted target may have (requirement: small targets).
SMALL = (5.0, 15.0)


class TileSampler:
    """See `sampling.Sampler`. Every picture is labelled: where its mask is empty, there is nothing to find.

    Args:
        pictures: of any size, with masks.
        recipe: labels, augmentation, crops a picture (`repeat`).
        input_range: grey values that the network's input stands for.

    Raises:
        InputError: not one picture has a target.
    """

    def __init__(self, pictures: Pictures, recipe: Recipe, input_range: InputRange) -> None:
        self.pictures, self.recipe, self.input_range = pictures, recipe, input_range
        self.masks = [_bytes(mask, image) for mask, image in zip(pictures.masks, pictures.views, strict=True)]
        self.parts = [_parts(mask) for mask in self.masks]
        self.donors = [(index, part) for index, parts in enumerate(self.parts) for part in range(len(parts))]
        if not self.donors:
            raise InputError("no picture of the training split has a target in its mask", "masks with pixels above 0")

    def __len__(self) -> int:
        return len(self.pictures) * self.recipe.repeat

    def crop(self, epoch: int, index: int, size: int) -> Crop:
        """One augmented crop."""
        rng, settings = np.random.default_rng([self.recipe.seed, epoch, index]), self.recipe.augment
        if settings.near and rng.random() < settings.near:
            settings = settings.model_copy(update={"zoom": settings.near_zoom, "paste": 0.0})
        picture = index % len(self.pictures)
        if rng.random() < settings.absent or not len(self.parts[picture]):
            view, mask = self._anywhere(rng, settings, picture, size)
        else:
            view, mask = self._present(rng, settings, picture, size)
        view = scanner(view, rng, settings, self.input_range, (self.input_range.low + self.input_range.high) / 2)
        view, masks = finish(planes(view), mask[None], rng, settings)
        classes, known = targets_in(masks[0], None, self.recipe.labels)
        return Crop(view, masks, smoothed(classes, self.recipe.labels, settings.smoothing), known)

    def _present(self, rng: Generator, settings: Augment, picture: int, size: int) -> tuple[Float32s, Float32s]:
        """Somewhere around one of the picture's targets, the small ones as often as the large ones."""
        parts = self.parts[picture]
        row, col, _ = parts[int(rng.integers(len(parts)))]
        farthest = 0.4 * size / max(1.0, settings.zoom[1])
        move = rng.uniform(-farthest, farthest, 2)
        return self._take(rng, settings, picture, size, (row + move[0], col + move[1]))

    def _anywhere(self, rng: Generator, settings: Augment, picture: int, size: int) -> tuple[Float32s, Float32s]:
        """Anywhere in the picture, perhaps with a small target of another one pasted in."""
        rows, cols = self.masks[picture].shape
        margin = min(size / 3, rows / 2, cols / 2)
        focus = rng.uniform(margin, rows - margin), rng.uniform(margin, cols - margin)
        view, mask = self._take(rng, settings, picture, size, focus)
        if rng.random() >= settings.paste:
            return view, mask
        donor, part = self.donors[int(rng.integers(len(self.donors)))]
        row, col, side = self.parts[donor][part]
        zoom = float(np.clip(rng.uniform(*SMALL) / side, 0.1, 2.0))
        small = settings.model_copy(update={"zoom": (zoom, zoom * 1.001)})
        target, inside = self._take(rng, small, donor, size, (row, col))
        donated = self.input_range.units(target), _central(inside)
        pasted = transplant(self.input_range.units(view), mask > 0.1, donated, rng)
        return (view, mask) if pasted is None else (self.input_range.view(pasted[0]), np.maximum(mask, pasted[1]))

    def _take(
        self, rng: Generator, settings: Augment, picture: int, size: int, focus: tuple[float, float]
    ) -> tuple[Float32s, Float32s]:
        maps = crop_maps(rng, settings, size, focus)
        image: Array = self.pictures.views[picture]
        mask: Array = self.masks[picture]
        if settings.zoom[1] < 0.7:
            # So much smaller, single pixels would stand for whole patches.
            image, mask = _soft(image, settings.zoom[1]), _soft(mask, settings.zoom[1])
        values = sample(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image, maps)
        return values, sample(mask, maps) / np.float32(255)


def _bytes(mask: Bools | None, image: Float32s) -> Uint8s:
    return np.zeros(image.shape[:2], np.uint8) if mask is None else mask.astype(np.uint8) * np.uint8(255)


def _parts(mask: Uint8s) -> list[tuple[float, float, float]]:
    """(row, col, longer side in px) of each component of a mask."""
    count, _, boxes, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sides = boxes[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    return [(float(centres[n][1]), float(centres[n][0]), float(sides[n])) for n in range(1, count)]


def _central(mask: Float32s) -> Float32s:
    """The component nearest to the middle of a crop, alone."""
    count, labels, _, centres = cv2.connectedComponentsWithStats((mask > 0.3).astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    far = np.linalg.norm(centres[1:] - (mask.shape[0] - 1) / 2, axis=1)
    inside = cv2.dilate((labels == 1 + int(far.argmin())).astype(np.float32), np.ones((3, 3)))
    return np.asarray(mask * inside, np.float32)


def _soft(image: Array, zoom: float) -> Array:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / zoom), image.dtype)

"""Training views of whole pictures: one square view each, its classes balanced, turned and lit in many ways."""

from __future__ import annotations

from threading import Lock

import numpy as np

from medvis.core.arrays import Bools, Float32s, Indices, Uint8s
from medvis.learn.data.pictures import Pictures, fitted
from medvis.learn.data.views import InputRange
from medvis.learn.training.augment import crop_maps, finish, sample, scanner
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import LEAST, Crop, balanced, class_targets, planes, smoothed


class PictureSampler:
    """See `sampling.Sampler`.

    Args:
        pictures: whole ones, of any size.
        recipe: labels, augmentation, balance.
        input_range: grey values that the network's input stands for.
    """

    def __init__(self, pictures: Pictures, recipe: Recipe, input_range: InputRange) -> None:
        self.pictures, self.recipe, self.input_range = pictures, recipe, input_range
        self.targets = [class_targets(row, recipe.labels) for row in pictures.rows]
        self.names = [row.label for row in pictures.rows]
        self._views: tuple[int, list[Float32s], list[Uint8s]] = (0, [], [])
        self._orders: dict[int, Indices] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.pictures) * self.recipe.repeat

    def crop(self, epoch: int, index: int, size: int) -> Crop:
        """One augmented view."""
        images, masks = self._fitted(size)
        row = int(self._order(epoch)[index])
        rng, settings = np.random.default_rng([self.recipe.seed, epoch, index]), self.recipe.augment
        middle = (size - 1) / 2
        move = rng.uniform(-settings.shift, settings.shift, 2) * size
        maps = crop_maps(rng, settings, size, (middle + move[0], middle + move[1]))
        mask = sample(masks[row], maps)[None] / np.float32(255) if masks else np.zeros((0, size, size), np.float32)
        middle_value = (self.input_range.low + self.input_range.high) / 2
        view = scanner(sample(images[row], maps), rng, settings, self.input_range, middle_value)
        view, mask = finish(planes(view), mask, rng, settings)
        classes, known = self.targets[row][0].copy(), self.targets[row][1]
        for position, label in enumerate(self.recipe.labels):
            if label.kind != "class" and label.column is None and masks:
                classes[position] = float(mask.sum() >= LEAST)
        return Crop(view, mask, smoothed(classes, self.recipe.labels, settings.smoothing), known)

    def _order(self, epoch: int) -> Indices:
        with self._lock:
            if epoch not in self._orders:
                rng = np.random.default_rng([self.recipe.seed, epoch])
                self._orders = {epoch: balanced(self.names, self.recipe.balance, len(self), rng)}
            return self._orders[epoch]

    def _fitted(self, size: int) -> tuple[list[Float32s], list[Uint8s]]:
        """All pictures (0…1) and masks (0…255) as square views of that size; made once a size."""
        with self._lock:
            if self._views[0] != size:
                images = [_interleaved(fitted(view, size)) for view in self.pictures.views]
                self._views = size, images, self._fitted_masks(size) if self.recipe.masks else []
            return self._views[1], self._views[2]

    def _fitted_masks(self, size: int) -> list[Uint8s]:
        pairs = zip(self.pictures.views, self.pictures.masks, strict=True)
        return [fitted_mask(mask, view.shape[:2], size) for view, mask in pairs]


def fitted_mask(mask: Bools | None, shape: tuple[int, ...], size: int) -> Uint8s:
    """The mask of a picture of `shape` on its fitted view, uint8 [size, size] in 0…255; no mask: nothing is there."""
    if mask is None:
        mask = np.zeros(shape[:2], bool)
    return np.asarray(np.rint(fitted(mask[..., None].astype(np.float32), size)[0] * 255), np.uint8)


def _interleaved(view: Float32s) -> Float32s:
    """[c, s, s] → [s, s] or [s, s, 3]."""
    return view[0] if len(view) == 1 else np.ascontiguousarray(view.transpose(1, 2, 0))

"""Training crops of small lesions in grey CT: off-centre, absent or pasted."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvis.core.arrays import Float32s, Uint8s
from medvis.learn.data.ct_pictures import CtPictures
from medvis.learn.data.views import InputRange
from medvis.learn.training.augment import Augment, crop_maps, finish, sample, scanner
from medvis.learn.training.beside import beside
from medvis.learn.training.paste import paste
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Crop, class_targets, planes, smoothed, targets_in

# View [s, s] or, in depth, [s, s, 3] in 0…1, mask [s, s], and the index of the picture whose lesion it is, if any.
Taken = tuple[Float32s, Float32s, int | None]
# HU that stay where they are when the scale is stretched.
MIDDLE = -400.0


class LesionSampler:
    """See `sampling.Sampler`.

    Args:
        scans: views of pictures with one target each, near the centre (`CtPictures.shown`).
        recipe: labels and augmentation.
        input_range: HU that the network's input stands for.
        extra: views of whole slices for hard negatives, or None.
    """

    def __init__(
        self, scans: CtPictures, recipe: Recipe, input_range: InputRange, extra: CtPictures | None = None
    ) -> None:
        self.scans, self.recipe, self.input_range, self.extra = scans, recipe, input_range, extra
        self.targets = [class_targets(row, recipe.labels) for row in scans.rows]
        self.centres = [_centre(mask) for mask in scans.mask]
        self.marked = np.flatnonzero(extra.mask.any((1, 2))) if extra is not None else np.empty(0, np.intp)
        self.diameters = [2 * float(np.sqrt(mask.sum() / np.pi)) for mask in scans.mask]

    def __len__(self) -> int:
        return len(self.scans)

    def crop(self, epoch: int, index: int, size: int) -> Crop:
        """One augmented crop."""
        rng = np.random.default_rng([self.recipe.seed, epoch, index])
        settings = self.recipe.augment
        if rng.random() < settings.near:
            # Pasting is for targets of few pixels; from near there are none.
            settings = settings.model_copy(update={"zoom": settings.near_zoom, "paste": 0.0})
        if self.extra is not None and rng.random() < self.recipe.hard_negative_share:
            view, mask, owner = self._hard(rng, settings, size)
        elif rng.random() < settings.absent:
            view, mask, owner = self._absent(rng, settings, index, size)
        else:
            view, mask, owner = self._present(rng, settings, index, size)
        own = None if owner is None else self.targets[owner]
        classes, known = targets_in(mask, own, self.recipe.labels)
        if view.ndim == 3:
            view = beside(view, mask, self._there(owner), rng, settings)
        view = self._cut_off(scanner(view, rng, settings, self.input_range, MIDDLE), rng)
        view, masks = finish(planes(view), mask[None], rng, settings)
        return Crop(view, masks, smoothed(classes, self.recipe.labels, settings.smoothing), known)

    def _there(self, owner: int | None) -> tuple[bool, bool]:
        """Whether the slices below and above a crop are there; what is no lesion's crop repeats those that are not."""
        if owner is None or self.scans.beside is None:
            return True, True
        below, above = self.scans.beside[owner]
        return bool(below), bool(above)

    def _cut_off(self, view: Float32s, rng: Generator) -> Float32s:
        rate, units = self.recipe.augment.ceiling
        if rate and rng.random() < rate:
            return np.minimum(view, np.float32(self.input_range.fraction(units)))
        return view

    def _present(self, rng: Generator, settings: Augment, index: int, size: int) -> Taken:
        farthest = 0.4 * size / max(1.0, settings.zoom[0])
        focus = np.array(self.centres[index]) + rng.uniform(-farthest, farthest, 2)
        return (*self._take(rng, settings, index, size, (focus[0], focus[1])), index)

    def _absent(self, rng: Generator, settings: Augment, index: int, size: int) -> Taken:
        low, high = settings.zoom
        settings = settings.model_copy(update={"zoom": (max(low, 1.0), max(high, 1.6))})
        side = self.scans.shape[0]
        spots = rng.uniform(0, side, (16, 2))
        far = np.linalg.norm(spots - np.array(self.centres[index]), axis=1)
        focus = spots[int(far.argmax())]
        view, mask = self._take(rng, settings, index, size, (focus[0], focus[1]))
        if rng.random() >= settings.paste or mask.max() > 0.5:
            return view, mask, index
        donor = int(rng.integers(len(self.scans)))
        zoom = float(np.clip(rng.uniform(5, 15) / max(self.diameters[donor], 1.0), 0.5, 2.0))
        small = settings.model_copy(update={"zoom": (zoom, zoom * 1.001)})
        lesion, inside = self._take(rng, small, donor, size, self.centres[donor])
        pasted = paste(self.input_range.units(view), self.input_range.units(lesion), inside, rng)
        return (view, mask, index) if pasted is None else (self.input_range.view(pasted[0]), pasted[1], donor)

    def _hard(self, rng: Generator, settings: Augment, size: int) -> Taken:
        assert self.extra is not None  # narrows the type; `crop` has checked
        assert self.extra.region is not None  # `joined` has filled it in
        where: NDArray[Any]
        where, share = self.extra.region, self.recipe.marked_share
        if share and len(self.marked) and rng.random() < share:
            where, index = self.extra.mask, int(self.marked[rng.integers(len(self.marked))])
        else:
            index = int(rng.integers(len(self.extra)))
        values, inside = self.extra.values[index], np.flatnonzero(where[index])
        row, col = divmod(int(inside[rng.integers(len(inside))]), values.shape[1])
        maps = crop_maps(rng, settings, size, (row, col))
        mask = sample(self.extra.mask[index], maps)
        return sample(values, maps), mask, None

    def _take(
        self, rng: Generator, settings: Augment, index: int, size: int, focus: tuple[float, float]
    ) -> tuple[Float32s, Float32s]:
        maps = crop_maps(rng, settings, size, focus)
        return sample(self.scans.values[index], maps), sample(self.scans.mask[index], maps)


def _centre(mask: Uint8s) -> tuple[float, float]:
    moments = cv2.moments(mask, binaryImage=True)
    if moments["m00"] == 0:
        return (mask.shape[0] - 1) / 2, (mask.shape[1] - 1) / 2
    return moments["m01"] / moments["m00"], moments["m10"] / moments["m00"]

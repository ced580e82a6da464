"""Training crops of small lesions: off-centre, absent or pasted; and the fixed off-centre crops that measure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from medvis.learn.augment import Augment, Floats, crop_maps, paste, sample, scanner
from medvis.learn.data import GreyScans, Row
from medvis.learn.recipe import Recipe, TrainLabel


@dataclass(frozen=True)
class Crop:
    """One training example: HU [s, s], mask [s, s] in 0…1, class targets [k] and their weights [k] (0: unknown)."""

    hu: Floats
    mask: Floats
    classes: Floats
    known: Floats


class LesionSampler:
    """Crops by (epoch, index): the same numbers always give the same crop, so a killed training can resume.

    Args:
        scans: pictures with one target each, near the centre.
        recipe: labels and augmentation.
        extra: whole slices for hard negatives, or None.
    """

    def __init__(self, scans: GreyScans, recipe: Recipe, extra: GreyScans | None = None) -> None:
        self.scans, self.recipe, self.extra = scans, recipe, extra
        self.targets = [class_targets(row, recipe.labels) for row in scans.rows]
        self.centres = [_centre(mask) for mask in scans.mask]
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
            crop = self._hard(rng, settings, size)
        elif rng.random() < settings.absent:
            crop = self._absent(rng, settings, index, size)
        else:
            crop = self._present(rng, settings, index, size)
        return Crop(scanner(crop.hu, rng, settings), crop.mask, self._smooth(crop.classes), crop.known)

    def _present(self, rng: Generator, settings: Augment, index: int, size: int) -> Crop:
        reach = 0.4 * size / max(1.0, settings.zoom[0])
        focus = np.array(self.centres[index]) + rng.uniform(-reach, reach, 2)
        hu, mask = self._take(rng, settings, index, size, (focus[0], focus[1]))
        return self._labelled(hu, mask, index)

    def _absent(self, rng: Generator, settings: Augment, index: int, size: int) -> Crop:
        low, high = settings.zoom
        settings = settings.model_copy(update={"zoom": (max(low, 1.0), max(high, 1.6))})
        side = self.scans.grey.shape[1]
        spots = rng.uniform(0, side, (16, 2))
        far = np.linalg.norm(spots - np.array(self.centres[index]), axis=1)
        focus = spots[int(far.argmax())]
        hu, mask = self._take(rng, settings, index, size, (focus[0], focus[1]))
        if rng.random() >= settings.paste or mask.max() > 0.5:
            return self._labelled(hu, mask, index)
        donor = int(rng.integers(len(self.scans)))
        zoom = float(np.clip(rng.uniform(5, 15) / max(self.diameters[donor], 1.0), 0.5, 2.0))
        one = settings.model_copy(update={"zoom": (zoom, zoom * 1.001)})
        pasted = paste(hu, *self._take(rng, one, donor, size, self.centres[donor]), rng)
        return self._labelled(hu, mask, index) if pasted is None else self._labelled(*pasted, donor)

    def _hard(self, rng: Generator, settings: Augment, size: int) -> Crop:
        assert self.extra is not None  # narrows the type; `crop` has checked
        index = int(rng.integers(len(self.extra)))
        hu = self.extra.hounsfield(index)
        assert self.extra.region is not None  # `joined` has filled it in
        inside = np.flatnonzero(self.extra.region[index])
        row, col = divmod(int(inside[rng.integers(len(inside))]), hu.shape[1])
        maps = crop_maps(rng, settings, size, (row, col))
        mask = sample(self.extra.mask[index], maps)
        return self._labelled(sample(hu, maps), mask, None)

    def _take(
        self, rng: Generator, settings: Augment, index: int, size: int, focus: tuple[float, float]
    ) -> tuple[Floats, Floats]:
        maps = crop_maps(rng, settings, size, focus)
        low, high = self.scans.scale[index]
        grey = sample(self.scans.grey[index], maps)
        hu = np.asarray(low + grey * ((high - low) / 255.0), np.float32)
        return hu, sample(self.scans.mask[index], maps)

    def _labelled(self, hu: Floats, mask: Floats, index: int | None) -> Crop:
        present = float(mask.sum() >= 4)
        classes, known = np.zeros(len(self.recipe.labels), np.float32), np.zeros(len(self.recipe.labels), np.float32)
        if index is not None and present:
            classes, known = self.targets[index][0].copy(), self.targets[index][1].copy()
        for position, label in enumerate(self.recipe.labels):
            if label.column is None:
                classes[position], known[position] = present, label.weight
        return Crop(hu, mask, classes, known)

    def _smooth(self, classes: Floats) -> Floats:
        amount = self.recipe.augment.smoothing
        return np.asarray(classes * (1 - amount) + amount / 2, np.float32)


def class_targets(row: Row, labels: list[TrainLabel]) -> tuple[Floats, Floats]:
    """(targets [k] in 0…1, weights [k], 0 where the target is unknown) of one row."""
    targets, known = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    for index, label in enumerate(labels):
        value = 1.0 if label.column is None else row.number(label.column)
        if value is not None:
            share = value if label.column is None else (value - label.low) / (label.high - label.low)
            targets[index], known[index] = float(np.clip(share, 0, 1)), label.weight
    return targets, known


def _centre(mask: NDArray[np.uint8]) -> tuple[float, float]:
    moments = cv2.moments(mask, binaryImage=True)
    if moments["m00"] == 0:
        return (mask.shape[0] - 1) / 2, (mask.shape[1] - 1) / 2
    return moments["m01"] / moments["m00"], moments["m10"] / moments["m00"]

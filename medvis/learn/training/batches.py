"""Batches of an epoch: the same crops in the same order, however many threads make them; and Mixup."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from medvis.core.arrays import Float32s, Indices
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.sampling import Crop, Sampler
from medvis.nets.losses import BatchTargets

Batch = tuple[Tensor, BatchTargets]
Arrays = tuple[Float32s, Float32s, Float32s, Float32s]
# Batches that the threads are ahead.
AHEAD = 3


class Batches:
    """Makes batches of a sampler's crops.

    Args:
        sampler: crops by number.
        recipe: batch size, seed, Mixup, threads.
        device: where the network is.
    """

    def __init__(self, sampler: Sampler, recipe: Recipe, device: torch.device) -> None:
        self.sampler, self.recipe, self.device = sampler, recipe, device

    def __len__(self) -> int:
        """Full batches only: a last, small batch would upset the batch norm."""
        return len(self.sampler) // self.recipe.batch

    def epoch(self, epoch: int, size: int, most: int | None = None, mix: bool = True) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            epoch: its number.
            size: of the crops in px.
            most: no more batches than that.
            mix: Mixup, if the recipe wants it.
        """
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.sampler))
        count = len(self) if most is None else min(most, len(self))
        chosen = [order[number * self.recipe.batch : (number + 1) * self.recipe.batch] for number in range(count)]
        for number, crops in enumerate(self._crops(epoch, size, chosen)):
            arrays = _stacked(crops)
            if mix and self.recipe.augment.mixup:
                arrays = mixed(arrays, np.random.default_rng([self.recipe.seed, epoch, number]), self.recipe)
            yield self._batch(arrays)

    def _crops(self, epoch: int, size: int, chosen: list[Indices]) -> Iterator[list[Crop]]:
        if not self.recipe.workers:
            for indices in chosen:
                yield [self.sampler.crop(epoch, int(index), size) for index in indices]
            return
        waiting: deque[list[Future[Crop]]] = deque()
        with ThreadPoolExecutor(self.recipe.workers) as pool:
            for indices in chosen:
                waiting.append([pool.submit(self.sampler.crop, epoch, int(index), size) for index in indices])
                if len(waiting) > AHEAD:
                    yield [crop.result() for crop in waiting.popleft()]
            while waiting:
                yield [crop.result() for crop in waiting.popleft()]

    def _batch(self, arrays: Arrays) -> Batch:
        views, mask, classes, known = (torch.from_numpy(array).to(self.device, non_blocking=True) for array in arrays)
        return views.contiguous(memory_format=torch.channels_last), BatchTargets(mask, classes, known)


def _stacked(crops: list[Crop]) -> Arrays:
    return (
        np.stack([crop.view for crop in crops]),
        np.stack([crop.mask for crop in crops]),
        np.stack([crop.classes for crop in crops]),
        np.stack([crop.known for crop in crops]),
    )


def mixed(arrays: Arrays, rng: np.random.Generator, recipe: Recipe) -> Arrays:
    """Mixup (Zhang et al. 2018): some of the batch with another of it, in views, masks and targets alike.

    Args:
        arrays: views [b, c, s, s], masks [b, m, s, s], class targets [b, k] and their weights [b, k].
        rng: chooses which, with which, and how much: the first always weighs at least a half.
        recipe: `augment.mixup` is the share that is mixed.
    """
    views, mask, classes, known = arrays
    count = len(views)
    other = rng.permutation(count)
    own = np.where(rng.random(count) < recipe.augment.mixup, rng.uniform(0.5, 1, count), 1).astype(np.float32)

    def mix(values: Float32s) -> Float32s:
        weight = own.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(weight * values + (1 - weight) * values[other], np.float32)

    weights = mix(known)
    # What is known of both counts by its weight; what is known of one only is its own.
    targets = mix(classes * known) / np.maximum(weights, 1e-6)
    return mix(views), mix(mask), np.asarray(targets, np.float32), weights

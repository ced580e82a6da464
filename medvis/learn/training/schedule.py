"""Which crop size, learning rate and class weight each epoch has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.learn.training.recipe import Recipe

WARM_UP = 0.05
FLOOR = 0.01


@dataclass(frozen=True)
class Epoch:
    """One epoch: its crop size, its class weight, and its place on its cosine (`first`, `length` in epochs)."""

    size: int
    classes: float
    rate: float
    first: int
    length: int

    def rate_at(self, progress: float) -> float:
        """Learning rate at `progress` epochs since the start of the training: warm-up, then half a cosine."""
        fraction = (progress - self.first) / self.length
        warm = min(1.0, fraction / WARM_UP + 1e-3)
        return float(self.rate * warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + np.cos(np.pi * fraction))))


def epochs_of(recipe: Recipe) -> list[Epoch]:
    """All epochs, in order."""
    cycles: list[list[int]] = []
    for index, phase in enumerate(recipe.phases):
        if phase.rate is not None or not cycles:
            cycles.append([])
        cycles[-1].append(index)
    epochs: list[Epoch] = []
    for cycle in cycles:
        phases = [recipe.phases[index] for index in cycle]
        rate, first = phases[0].rate or recipe.rate, len(epochs)
        length = sum(phase.epochs for phase in phases)
        for phase in phases:
            weight = recipe.losses.classes if phase.classes is None else phase.classes
            epochs += [Epoch(phase.size, weight, rate, first, length)] * phase.epochs
    return epochs

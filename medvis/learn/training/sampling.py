"""What the trainer asks of a task: crops by number, and figures on the val split. It knows no more of it than that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medvis.core.arrays import Float32s, Indices
from medvis.learn.data.index import Row
from medvis.learn.training.recipe import TrainLabel

Targets = tuple[Float32s, Float32s]
# Pixels of a target that must be in a crop for it to be there.
LEAST = 4


@dataclass(frozen=True)
class Crop:
    """One training example.

    Attributes:
        view: float32 [c, s, s] in 0…1, what the network sees.
        mask: float32 [m, s, s] in 0…1; m is 0 where nothing is outlined.
        classes: float32 [k], targets in 0…1.
        known: float32 [k], their weights; 0 where a target is unknown.
    """

    view: Float32s
    mask: Float32s
    classes: Float32s
    known: Float32s


class Sampler(Protocol):
    """Crops by (epoch, index): the same numbers always give the same crop, so that a killed training can resume."""

    def __len__(self) -> int:
        """Crops an epoch."""
        ...

    def crop(self, epoch: int, index: int, size: int) -> Crop:
        """One augmented crop of `size` px."""
        ...


def planes(image: Float32s) -> Float32s:
    """[h, w] or [h, w, c] → [c, h, w]."""
    return image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))


def class_targets(row: Row, labels: Sequence[TrainLabel]) -> Targets:
    """(targets [k] in 0…1, weights [k], 0 where the target is unknown) of one row.

    A label of its own and without a column is taken to be there; the sampler knows better where it cut the target off.
    """
    targets, known = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    for index, label in enumerate(labels):
        target = _target(row, label, {other.name for other in labels if other.kind == "class"})
        if target is not None:
            targets[index], known[index] = float(np.clip(target, 0, 1)), label.weight
    return targets, known


def targets_in(mask: Float32s, own: Targets | None, labels: Sequence[TrainLabel]) -> Targets:
    """(targets [k], weights [k]) of a crop: a label without a column says whether a target is in it at all.

    Args:
        mask: float32 [s, s], of the crop.
        own: `class_targets` of the one target that may be in it; None: nothing else is known.
        labels: of the recipe.
    """
    present = float(mask.sum() >= LEAST)
    classes, known = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    if own is not None and present:
        classes, known = own[0].copy(), own[1].copy()
    for position, label in enumerate(labels):
        if label.column is None:
            classes[position], known[position] = present, label.weight
    return classes, known


def _target(row: Row, label: TrainLabel, classes: set[str]) -> float | None:
    if label.kind == "class":
        return float(row.label == label.name) if row.label in classes else None
    if label.column is None:
        return 1.0
    value = row.number(label.column)
    return None if value is None else (value - label.low) / (label.high - label.low)


def smoothed(targets: Float32s, labels: Sequence[TrainLabel], amount: float) -> Float32s:
    """Label smoothing: towards one half, and of classes that exclude each other towards equal shares."""
    exclusive = sum(label.kind == "class" for label in labels)
    middle = np.array([1 / exclusive if label.kind == "class" else 0.5 for label in labels], np.float32)
    return np.asarray(targets * (1 - amount) + amount * middle, np.float32)


def balanced(names: Sequence[str], balance: float, count: int, rng: np.random.Generator) -> Indices:
    """Which row each of an epoch's `count` crops is taken from, so that rare classes come more often.

    Within a class all rows come equally often, but for one.

    Args:
        names: class of each row.
        balance: 0 leaves the classes as they are, 1 gives each the same share.
        count: of the crops.
        rng: shuffles.

    Returns:
        [count] indices of rows; row after row of each class, so the caller shuffles them.
    """
    kinds, kind = np.unique(np.asarray(names), return_inverse=True)
    natural = np.bincount(kind) / len(kind)
    fractions = (1 - balance) * natural + balance / len(kinds)
    ends = np.rint(np.cumsum(fractions) * count).astype(int)
    parts = []
    for number, (start, stop) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        members = rng.permutation(np.flatnonzero(kind == number))
        parts.append(np.resize(members, stop - start))
    return np.concatenate(parts).astype(np.intp)

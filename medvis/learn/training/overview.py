"""What a training is about to do, in words: its data, its network, its epochs, where it computes, how long it takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from time import monotonic

import torch

from medvis.errors import InputError
from medvis.learn.data.datasets import read_rows
from medvis.learn.data.index import Row
from medvis.learn.training.durations import duration
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.schedule import Epoch
from medvis.learn.training.sources import split_rows
from medvis.nets.model import DualStreamUNetPP

# Is told (topic, text), such as ("data", "train: 24 pictures …").
Explain = Callable[[str, str], None]
# Batches from which the time is estimated; the first one is slower, as libraries warm up.
WARM_UP, TIMED = 1, 4


def silent(topic: str, text: str) -> None:
    """Tells nobody."""
    del topic, text


def explain_data(recipe: Recipe, data: Path, explain: Explain) -> None:
    """Says of each split how many pictures, labels, masks and groups there are, and what is not used.

    Raises:
        InputError: as `medvis.learn.training.sources.sources`.
    """
    for split in ("train", "val"):
        rows = split_rows(recipe, data, split, None)
        left_out = len(read_rows(data, split)) - len(rows)
        more = f"; {left_out} more are left out: unlabelled, or with crowds" if left_out else ""
        drawn = (
            f"; measured on {recipe.validate_on} of them" if split == "val" and len(rows) > recipe.validate_on else ""
        )
        explain("data", f"{split}: {counted(rows)}{drawn}{more}")
    with suppress(InputError):
        explain("data", f"test: {counted(read_rows(data, 'test'))}; not looked at in training")


def counted(rows: list[Row]) -> str:
    """``24 pictures (blob 12, clean 12), 12 with a mask, 24 groups``."""
    labels = Counter(row.label for row in rows if row.label)
    kinds = f" ({', '.join(f'{name} {count}' for name, count in sorted(labels.items()))})" if labels else ""
    parts = [
        f"{_plural(len(rows), 'picture')}{kinds}",
        f"{sum(row.outlined for row in rows)} with a mask",
        _plural(len({row.group for row in rows}), "group"),
    ]
    return ", ".join(parts)


def explain_run(recipe: Recipe, model: DualStreamUNetPP, plan: list[Epoch], batches: int, explain: Explain) -> None:
    """Says which network is trained, for how many epochs, on what sizes of pictures, and where."""
    network = recipe.network
    streams = "detail and global stream" if network.streams == "dual" else "detail stream alone"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    start = ", global stream from ImageNet weights" if recipe.pretrained and network.streams == "dual" else ""
    gives = ", ".join(label.name for label in recipe.labels) + (" and a mask" if recipe.masks else "")
    explain("network", f"{streams}, {parameters:,} parameters{start}; it gives {gives}")
    phases = [(size, len(list(part))) for size, part in groupby(plan, key=lambda epoch: epoch.size)]
    sizes = ", then ".join(f"{count} at {size}×{size} px" for size, count in phases)
    each = f"{_plural(batches, 'batch', 'batches')} of {recipe.batch} each"
    explain("epochs", f"{len(plan)}: {sizes}; {each}; measured on val every {_plural(recipe.validate_every, 'epoch')}")
    explain("device", where(recipe, next(model.parameters()).device))


def where(recipe: Recipe, device: torch.device) -> str:
    """The name of the GPU, or how many of the CPU's cores are used."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.get_device_name(device)} (train.device: cpu to do without)"
    return f"CPU, {_plural(recipe.threads, 'thread')} of {os.cpu_count()} cores (train.threads)"


class FirstEstimate:
    """Says after a few batches how long the whole training will take; afterwards each epoch's record does.

    Args:
        plan: the epochs that are still to come, this one first. The work of a batch grows with its pictures' area.
        batches: of an epoch.
        explain: is told the estimate, once.
    """

    def __init__(self, plan: list[Epoch], batches: int, explain: Explain) -> None:
        self._plan, self._batches, self._explain = plan, batches, explain
        self._count, self._began = 0, 0.0

    def batch_done(self) -> None:
        """One more batch has been learned from."""
        self._count += 1
        if self._count == WARM_UP:
            self._began = monotonic()
        last = min(WARM_UP + TIMED, self._batches)
        if self._count == last and last > WARM_UP:
            each = (monotonic() - self._began) / (last - WARM_UP)
            work = sum(epoch.size**2 for epoch in self._plan) / self._plan[0].size ** 2
            seconds = each * (self._batches * work - last)
            self._explain("time", f"about {duration(seconds)} left by the first {last} batches, measuring on val aside")


def _plural(count: int, name: str, several: str | None = None) -> str:
    return f"{count:,} {name if count == 1 else several or name + 's'}"

"""Training: seeded, resumable, with a moving average of the weights. Same seed, same data → same weights.

The trainer knows crops, targets and figures; which task they belong to, it does not know.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medvis.errors import ModelError, SettingsError
from medvis.learn.data.views import InputRange, ViewReader
from medvis.learn.training.average import WeightAverage
from medvis.learn.training.batches import Batches
from medvis.learn.training.checkpoint import BROKEN, CURVE, Record, read, save, unfit
from medvis.learn.training.overview import Explain, FirstEstimate, explain_run, silent
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.schedule import Epoch, epochs_of
from medvis.learn.training.sources import sources
from medvis.nets.loss_weights import LossWeights
from medvis.nets.losses import BatchTargets, Heads, total_loss
from medvis.nets.model import DualStreamUNetPP, NetSpec, Output
from medvis.nets.weights import save_net
from medvis.preprocess.depth import SLICES

__all__ = ["Trainer", "device_of", "heads_of", "net_spec"]

OnRecord = Callable[[Record], None]
# Batches from which the averaged weights get their batch-norm statistics.
NORM_BATCHES = 12


def net_spec(recipe: Recipe, input_range: InputRange, in_depth: bool = False) -> NetSpec:
    """The network that a recipe asks for; `in_depth`: it is shown the slices below and above as well."""
    cuts = [(input_range.fraction(low), input_range.fraction(high)) for low, high in recipe.cuts]
    slices = SLICES if in_depth else 1
    shape = {**recipe.network.model_dump(), "slices": slices, "channels": recipe.channels * slices}
    return NetSpec(classes=len(recipe.labels), masks=int(recipe.masks), cuts=cuts, **shape)


def heads_of(recipe: Recipe) -> Heads:
    """Which of the labels exclude each other."""
    exclusive = tuple(index for index, label in enumerate(recipe.labels) if label.kind == "class")
    return Heads(exclusive, next((index for index in exclusive if recipe.labels[index].normal), None))


def device_of(recipe: Recipe) -> torch.device:
    """Where to train. Raises SettingsError where a GPU is asked for and there is none."""
    if recipe.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("train.device is cuda, but torch finds no GPU", "auto or cpu")
    return torch.device("cuda" if recipe.device != "cpu" and torch.cuda.is_available() else "cpu")


class Trainer:
    """One training run in one folder.

    Args:
        recipe: the `train:` section.
        reader: shows the pictures as inference does.
        data: data set folder.
        folder: where checkpoints (`last.ckpt`), `metrics.jsonl`, `learning-curve.png` and the result
            (`model.safetensors`) go.
        on_record: called with one record an epoch: losses, figures on val, seconds, and the seconds still to go
            (`eta_s`).
    """

    def __init__(self, recipe: Recipe, reader: ViewReader, data: Path, folder: Path, on_record: OnRecord) -> None:
        self.recipe, self.folder, self.on_record = recipe, folder, on_record
        self.device = device_of(recipe)
        _make_reproducible(recipe, self.device)
        self.plan, self.heads = epochs_of(recipe), heads_of(recipe)
        self.sampler, self.figures = sources(recipe, reader, data, lambda text: on_record({"note": text}))
        self.batches = Batches(self.sampler, recipe, self.device)
        folder.mkdir(parents=True, exist_ok=True)
        self.model = DualStreamUNetPP(net_spec(recipe, reader.range, reader.depth_mm is not None))
        if recipe.pretrained and self.model.encoder.overview is not None:
            self.model.encoder.overview.trunk.load_imagenet()
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = WeightAverage(self.model, recipe.ema)
        self.optimiser = self._optimiser()
        self.epoch, self.step = 0, 0
        self.records: list[Record] = []
        self._first: FirstEstimate | None = None
        self.best: dict[str, Any] | None = None

    def _optimiser(self) -> torch.optim.AdamW:
        trunk = list(self.model.encoder.overview.parameters()) if self.model.encoder.overview is not None else []
        known = {id(parameter) for parameter in trunk}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        groups = [{"params": rest, "scale": 1.0}, {"params": trunk, "scale": self.recipe.trunk_rate}]
        return torch.optim.AdamW(groups, lr=self.recipe.rate, weight_decay=self.recipe.decay)

    def run(self, explain: Explain = silent) -> Path:
        """Trains to the end, from the last checkpoint if there is one; returns the weights' path.

        Args:
            explain: is told what will be done, and how long it will take by the first batches.
        """
        self._resume()
        explain_run(self.recipe, self.model, self.plan, len(self.batches), explain)
        explain("folder", self._progress())
        self._first = FirstEstimate(self.plan[self.epoch :], len(self.batches), explain)
        begun, first = time.monotonic(), self.epoch
        while self.epoch < len(self.plan):
            started, epoch = time.monotonic(), self.plan[self.epoch]
            record: Record = {"epoch": self.epoch + 1, "of": len(self.plan), "size": epoch.size}
            record |= self._train_epoch(epoch)
            self.epoch += 1
            validated = self.epoch == len(self.plan) or self.epoch % self.recipe.validate_every == 0
            if validated:
                record |= self.validate(epoch.size)
                if self.device.type == "cuda":  # an export compares its figures with these
                    record["precision"] = "bfloat16"
            record["seconds"] = round(time.monotonic() - started, 1)
            record["eta_s"] = round(self.seconds_left(time.monotonic() - begun, first))
            self.records.append(record)
            save(self.folder, self._state(), self.records)
            if validated:
                self._draw()
            self.on_record(record)
        return self._export()

    def _progress(self) -> str:
        """How far the training in the folder is."""
        done, total = self.epoch, len(self.plan)
        if done == total:
            return f"{self.folder} holds the finished training, all {total} epochs; nothing is left to do"
        return f"{self.folder}: " + (f"resuming at epoch {done + 1} of {total}" if done else "a new training")

    def _train_epoch(self, epoch: Epoch) -> dict[str, float]:
        self.model.train()
        sums: dict[str, float] = {}
        weights = replace(self.recipe.losses, classes=epoch.classes)
        count = len(self.batches)
        for number, (views, target) in enumerate(self.batches.epoch(self.epoch, epoch.size)):
            self._set_rate(epoch.rate_at(self.epoch + number / count))
            loss, parts = self._loss(views, target, weights)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            self.step += 1
            self.average.update_parameters(self.model)
            if self._first is not None:
                self._first.batch_done()
            for name, value in {"loss": float(loss.detach()), **parts}.items():
                sums[name] = sums.get(name, 0.0) + value / count
        if not np.isfinite(sums["loss"]):
            raise ModelError(f"the loss of epoch {self.epoch + 1} is no number", hint="lower train.rate")
        return {name: round(value, 4) for name, value in sums.items()}

    def _loss(self, views: Tensor, target: BatchTargets, weights: LossWeights) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and its parts for the log; a training with a teacher adds to it."""
        return total_loss(self._see(self.model, views), target, weights, self.heads)

    def _see(self, net: DualStreamUNetPP, views: Tensor) -> Output:
        """One pass, on a GPU in bfloat16; the losses get float32 in any case."""
        with self._precision():
            given: Output = net(views)
        if self.device.type == "cpu":
            return given
        classes, masks, evidence, embedding = (values.float() for values in given[:4])
        return Output(classes, masks, evidence, embedding, [values.float() for values in given.deep])

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda")

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]

    @torch.no_grad()
    def validate(self, size: int) -> dict[str, float]:
        """Batch-norm statistics of the averaged weights from crops of `size`; then their figures on val."""
        fresh = self.batches.epoch(self.epoch, size, NORM_BATCHES, mix=False)
        with self._precision():
            self.average.update_batch_norms(fresh)
        figures = self.figures(lambda views: self._see(self.average.module, views.to(self.device)))
        if self.best is None or figures["val_score"] > self.best["score"]:
            weights = {name: value.clone() for name, value in self.average.module.state_dict().items()}
            self.best = {"score": figures["val_score"], "epoch": self.epoch, "average": weights}
        return figures

    def seconds_left(self, spent: float, first: int) -> float:
        """Seconds still to go: an epoch's work grows with the area of its crops."""
        work = [epoch.size**2 for epoch in self.plan]
        return spent * sum(work[self.epoch :]) / sum(work[first : self.epoch])

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if self.device.type == "cuda" else None,
            "best": self.best if self.recipe.keep == "best" else None,
        }

    def _resume(self) -> None:
        state = read(self.folder)
        if state is None:
            return
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.epoch, self.step = int(state["epoch"]), int(state["step"])
            self.records, self.best = state["records"], state["best"]
            torch.set_rng_state(state["random"])
        except BROKEN as error:
            raise unfit(self.folder) from error
        if self.device.type == "cuda" and state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"])

    def _draw(self) -> None:
        from medvis.learn.figures.plots import learning_curve  # noqa: PLC0415 - matplotlib takes its time

        learning_curve(self.records, self.folder / CURVE)

    def _export(self) -> Path:
        if self.recipe.keep == "best" and self.best is not None:
            self.average.module.load_state_dict(self.best["average"])
        path = self.folder / "model.safetensors"
        save_net(self.average.module, path)
        return path


def _make_reproducible(recipe: Recipe, device: torch.device) -> None:
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    if device.type == "cuda":
        # Without it cuBLAS adds up in an order of its own; it is read when the GPU is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs a tenth of the time

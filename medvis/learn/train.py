"""Training: seeded, resumable, with a moving average of the weights. Same seed, same data → same weights."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medvis.errors import InputError, ModelError
from medvis.learn.data import joined, load_grey_scans, load_volume, read_index
from medvis.learn.lesions import LesionSampler
from medvis.learn.recipe import Recipe
from medvis.learn.schedule import Epoch, epochs_of
from medvis.nets.losses import LossWeights, Target, total_loss
from medvis.nets.model import DualStreamUNetPP, NetSpec
from medvis.nets.weights import save_net

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Range:
    """The modality units that the network's input 0…1 stands for."""

    low: float
    high: float

    def view(self, hu: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        """HU [b, h, w] → tensor [b, 1, h, w] in 0…1, channels last."""
        share = np.clip((hu - self.low) / (self.high - self.low), 0, 1).astype(np.float32)
        return torch.from_numpy(share).unsqueeze(1).contiguous(memory_format=torch.channels_last)


def net_spec(recipe: Recipe, reach: Range) -> NetSpec:
    """The network that a recipe asks for."""
    span = reach.high - reach.low
    cuts = [((low - reach.low) / span, (high - reach.low) / span) for low, high in recipe.cuts]
    shape = recipe.network.model_dump()
    return NetSpec(channels=1, classes=len(recipe.labels), masks=1, cuts=cuts, **shape)


class Trainer:
    """One training run in one folder.

    Args:
        recipe: the `train:` section.
        reach: units of the network's input.
        data: data set folder.
        folder: where checkpoints (`last.ckpt`), `metrics.jsonl` and the result (`model.safetensors`) go.
        say: called with one record an epoch.
    """

    def __init__(self, recipe: Recipe, reach: Range, data: Path, folder: Path, say: Report) -> None:
        self.recipe, self.reach, self.folder, self.say = recipe, reach, folder, say
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(recipe.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs a tenth of the time
        self.plan = epochs_of(recipe)
        self._load_data(data)
        folder.mkdir(parents=True, exist_ok=True)
        self.model = DualStreamUNetPP(net_spec(recipe, reach))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.pretrained and self.model.encoder.overview is not None:
            self.model.encoder.overview.trunk.load_imagenet()
        self.average = deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = self._optimiser()
        self.epoch, self.step = 0, 0

    def _load_data(self, data: Path) -> None:
        recipe = self.recipe
        train = load_grey_scans(read_index(data, "train"), recipe.readers)
        if len(train) < recipe.batch:
            raise InputError(f"{data} has {len(train)} training pictures", f"at least one batch of {recipe.batch}")
        extra = []
        if recipe.hard_negatives:
            extra.append(load_grey_scans(read_index(data, "train", recipe.hard_negatives), 1))
        if recipe.negative_volume and (data / recipe.negative_volume).is_dir():
            extra.append(load_volume(data / recipe.negative_volume))
        self.sampler = LesionSampler(train, recipe, joined(extra) if extra else None)
        rows = read_index(data, "val")
        keep = np.random.default_rng(recipe.seed).permutation(len(rows))[: recipe.validate_on]
        held = load_grey_scans([rows[i] for i in sorted(keep)], recipe.readers)
        windows = held.off_centre(96, recipe.seed)
        crops = [held.cut(index, window) for index, window in enumerate(windows)]
        self.held = np.stack([hu for hu, _ in crops]), np.stack([mask for _, mask in crops])

    def _optimiser(self) -> torch.optim.AdamW:
        trunk = list(self.model.encoder.overview.parameters()) if self.model.encoder.overview is not None else []
        known = {id(parameter) for parameter in trunk}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        rate = self.recipe.rate
        groups = [{"params": rest, "scale": 1.0}, {"params": trunk, "scale": self.recipe.trunk_rate}]
        return torch.optim.AdamW(groups, lr=rate, weight_decay=self.recipe.decay)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches only: a last, small batch would upset the batch norm."""
        return len(self.sampler) // self.recipe.batch

    def run(self) -> Path:
        """Trains to the end, from the last checkpoint if there is one; returns the weights' path."""
        self._resume()
        while self.epoch < len(self.plan):
            started = time.monotonic()
            parts = self._train_epoch(self.plan[self.epoch])
            self.epoch += 1
            last = self.epoch == len(self.plan)
            record: dict[str, Any] = {
                "epoch": self.epoch,
                "of": len(self.plan),
                "size": self.plan[self.epoch - 1].size,
                **parts,
            }
            if last or self.epoch % self.recipe.validate_every == 0:
                self._restate_norms()
                record["val_dice"] = self.validate()
            record["seconds"] = round(time.monotonic() - started, 1)
            self._save(record)
            self.say(record)
        return self._export()

    def _train_epoch(self, epoch: Epoch) -> dict[str, float]:
        self.model.train()
        order = np.random.default_rng([self.recipe.seed, self.epoch]).permutation(len(self.sampler))
        sums: dict[str, float] = {}
        weights = LossWeights(**{**self.recipe.losses.model_dump(), "classes": epoch.classes})
        for batch in range(self.steps_per_epoch):
            chosen = order[batch * self.recipe.batch : (batch + 1) * self.recipe.batch]
            views, target = self._batch(chosen, epoch.size)
            self._set_rate(epoch.rate_at(self.epoch + batch / self.steps_per_epoch))
            loss, parts = total_loss(self.model(views), target, weights)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            self.step += 1
            self._follow()
            for name, value in {"loss": float(loss.detach()), **parts}.items():
                sums[name] = sums.get(name, 0.0) + value / self.steps_per_epoch
        return {name: round(value, 4) for name, value in sums.items()}

    def _batch(self, chosen: np.ndarray[Any, Any], size: int) -> tuple[Tensor, Target]:
        crops = [self.sampler.crop(self.epoch, int(index), size) for index in chosen]
        views = self.reach.view(np.stack([crop.hu for crop in crops]))
        mask = torch.from_numpy(np.stack([crop.mask for crop in crops])).unsqueeze(1)
        classes = torch.from_numpy(np.stack([crop.classes for crop in crops]))
        known = torch.from_numpy(np.stack([crop.known for crop in crops]))
        return views, Target(mask, classes, known)

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]

    @torch.no_grad()
    def _follow(self) -> None:
        """The average follows the weights; early on faster, so that it does not drag the start along."""
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)

    @torch.no_grad()
    def _restate_norms(self, batches: int = 12) -> None:
        """Batch-norm statistics of the averaged weights, over fresh training crops: no lag behind the weights."""
        norms = [module for module in self.average.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # None: torch averages over all batches
            norm.train()
        order = np.random.default_rng(self.recipe.seed).permutation(len(self.sampler))
        for batch in range(min(batches, self.steps_per_epoch)):
            chosen = order[batch * self.recipe.batch : (batch + 1) * self.recipe.batch]
            self.average(self._batch(chosen, 96)[0])
        self.average.eval()

    @torch.no_grad()
    def validate(self) -> float:
        """Mean Dice at 0.5 on fixed off-centre val crops; a miss counts as 0."""
        hu, masks = self.held
        scores = []
        for start in range(0, len(hu), 32):
            logits = self.average(self.reach.view(hu[start : start + 32])).mask_logits[:, 0]
            found = logits.numpy() > 0
            truth = masks[start : start + 32]
            overlap = (found & truth).sum((1, 2))
            scores += list(2 * overlap / np.maximum(found.sum((1, 2)) + truth.sum((1, 2)), 1))
        return round(float(np.mean(scores)), 4)

    def _save(self, record: dict[str, Any]) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "random": torch.get_rng_state(),
        }
        temporary = self.folder / "last.ckpt.part"
        torch.save(state, temporary)
        temporary.replace(self.folder / "last.ckpt")
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def _resume(self) -> None:
        path = self.folder / "last.ckpt"
        if not path.is_file():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.epoch, self.step = int(state["epoch"]), int(state["step"])
        except (EOFError, KeyError, RuntimeError, TypeError, ValueError, UnpicklingError) as error:
            raise ModelError(f"{path} is no checkpoint of this recipe", hint="give another output folder") from error
        torch.set_rng_state(state["random"])

    def _export(self) -> Path:
        path = self.folder / "model.safetensors"
        save_net(self.average, path)
        return path

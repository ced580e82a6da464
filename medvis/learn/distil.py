"""A small network learns from a large one: what the teacher sees on a crop is a target beside the labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from medvis.errors import ModelError, SettingsError
from medvis.io.lock import locked
from medvis.learn.data.digest import file_digest
from medvis.learn.data.views import ViewReader
from medvis.learn.task_check import trainable
from medvis.learn.training.overview import explain_data
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.run_folder import claim, identity_of
from medvis.learn.training.train import Trainer, net_spec
from medvis.nets.loss_weights import LossWeights
from medvis.nets.losses import BatchTargets, Heads, total_loss
from medvis.nets.model import DualStreamUNetPP, NetSpec, Output
from medvis.nets.weights import load_net
from medvis.settings import TaskConfig

NARROWEST = 16
OnRecord = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Teaching:
    """How much of the loss comes from the teacher.

    Attributes:
        weight: of the teacher in the loss, 0…1; the rest is that of the labels.
        temperature: by which both networks' logits are divided, so that small probabilities still teach.
    """

    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1 or not 0 < self.temperature < inf:
            raise SettingsError(
                f"share {self.weight:g} of the teacher, temperature {self.temperature:g}",
                "0 < share ≤ 1, temperature > 0",
            )


class Student(Trainer):
    """A `Trainer` with a teacher.

    Args:
        teacher: of the same inputs, labels and masks.
        teaching: its weight in the loss.
        recipe, reader, data, folder, on_record: see `Trainer`.

    Raises:
        ModelError: the teacher has other inputs, labels or masks than the student.
    """

    def __init__(self, teacher: DualStreamUNetPP, teaching: Teaching, recipe: Recipe, **run: Any) -> None:  # noqa: ANN401 - of `Trainer`
        _check_alike(teacher.spec, net_spec(recipe, run["reader"].range, run["reader"].depth_mm is not None))
        super().__init__(recipe, **run)
        self.teaching = teaching
        self.teacher = teacher.eval().requires_grad_(False).to(self.device)

    def _loss(self, views: Tensor, target: BatchTargets, weights: LossWeights) -> tuple[Tensor, dict[str, float]]:
        given = self._see(self.model, views)
        loss, parts = total_loss(given, target, weights, self.heads)
        with torch.no_grad():
            wanted = self._see(self.teacher, views)
        from_teacher = teacher_loss(given, wanted, self.heads, self.teaching.temperature)
        weight = self.teaching.weight
        return (1 - weight) * loss + weight * from_teacher, {**parts, "teacher": float(from_teacher.detach())}


def teacher_loss(given: Output, target: Output, heads: Heads, temperature: float) -> Tensor:
    """How far the student is from its teacher in masks, classes and evidence (Hinton et al. 2015); 0 if they agree.

    Args:
        given: of the student.
        target: of the teacher, without gradient.
        heads: which of the labels exclude each other.
        temperature: of both; the loss is scaled by its square, as its gradient shrinks with that.
    """
    alone = [index for index in range(target.class_logits.shape[1]) if index not in heads.exclusive]
    parts = [_apart(given.evidence, target.evidence, temperature)]
    if target.mask_logits.shape[1]:
        parts += [_apart(logits, target.mask_logits, temperature) for logits in (given.mask_logits, *given.deep)]
    if alone:
        parts.append(_apart(given.class_logits[:, alone], target.class_logits[:, alone], temperature))
    if heads.exclusive:
        group = list(heads.exclusive)
        log_student = F.log_softmax(given.class_logits[:, group] / temperature, 1)
        log_teacher = F.log_softmax(target.class_logits[:, group] / temperature, 1)
        parts.append(F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True))
    return torch.stack(parts).sum() * temperature**2


def _apart(given: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Kullback–Leibler divergence of probabilities of their own, mean over all of them."""
    wanted = torch.sigmoid(target / temperature)
    cross = F.binary_cross_entropy_with_logits(given / temperature, wanted)
    return cross - F.binary_cross_entropy_with_logits(target / temperature, wanted)


def distil(
    teacher: Path, config: TaskConfig, data: Path, out: Path, on_record: OnRecord, teaching: Teaching | None = None
) -> tuple[Path, dict[str, int]]:
    """Trains a student, or goes on from the folder's last checkpoint.

    Args:
        teacher: the model.safetensors of a training.
        config: of the task; its `train.network` is the student's. Where that is the teacher's own, the student has
            half its widths.
        data: data set folder.
        out: the folder of the training.
        on_record: called with what will be done, ``about`` and ``text``, and with one record an epoch.
        teaching: the teacher's weight in the loss.

    Returns:
        The path of model.safetensors, and the parameters of both networks.

    Raises:
        ModelError, SettingsError, InputError.
    """
    recipe, large = trainable(config), load_net(teacher)
    recipe = _narrower(recipe, large.spec)
    reader = ViewReader(config)
    _check_alike(large.spec, net_spec(recipe, reader.range, reader.depth_mm is not None))
    teaching = teaching or Teaching()
    lesson = {"weights": file_digest(teacher).hex(), **asdict(teaching)}

    def explain(topic: str, text: str) -> None:
        on_record({"about": topic, "text": text})

    with locked(out, "training"):
        claim(out, {**identity_of(recipe, reader, data), "teacher": lesson})
        explain_data(recipe, data, explain)
        student = Student(large, teaching, recipe, reader=reader, data=data, folder=out, on_record=on_record)
        sizes = {"teacher": _parameters(large), "student": _parameters(student.model)}
        return student.run(explain), sizes


def _narrower(recipe: Recipe, teacher: NetSpec) -> Recipe:
    """The recipe as it is, or with half the widths where it asks for a network like the teacher's."""
    network = recipe.network
    if tuple(network.widths) != tuple(teacher.widths) or network.streams != teacher.streams:
        return recipe
    half = {
        "widths": tuple(max(NARROWEST, width // 2) for width in network.widths),
        "embedding": max(NARROWEST, network.embedding // 2),
    }
    return recipe.model_copy(update={"network": network.model_copy(update=half)})


def _check_alike(teacher: NetSpec, student: NetSpec) -> None:
    for name in ("channels", "classes", "masks"):
        theirs, ours = getattr(teacher, name), getattr(student, name)
        if theirs != ours:
            raise ModelError(f"the teacher has {theirs} {name}", f"{ours} as in the train: section of the task")


def _parameters(net: DualStreamUNetPP) -> int:
    return sum(parameter.numel() for parameter in net.parameters())

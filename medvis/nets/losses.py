"""Losses for small targets, and the sum that the network is trained with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medvis.nets.loss_weights import LossWeights
from medvis.nets.model import Output


@dataclass(frozen=True)
class BatchTargets:
    """What a batch should have given.

    Attributes:
        mask: float [b, m, h, w] in 0…1.
        classes: float [b, k] in 0…1 (soft targets).
        known: float [b, k], weight of each class target; 0 where it is unknown.
    """

    mask: Tensor
    classes: Tensor
    known: Tensor


@dataclass(frozen=True)
class Heads:
    """How the class logits belong together.

    Attributes:
        exclusive: positions of the classes that exclude each other; the others stand alone.
        normal: position of the one among them that says: there is nothing to find; or None.
    """

    exclusive: tuple[int, ...] = ()
    normal: int | None = None


def soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Mean of 1 − Dice over the images that have a target (Milletari et al. 2016); 0 if none has. [b, m, h, w]."""
    probability = torch.sigmoid(logits)
    overlap = (probability * mask).sum((2, 3))
    size = probability.sum((2, 3)) + mask.sum((2, 3))
    present = (mask.amax((2, 3)) > 0.5).to(logits.dtype)
    loss = 1 - (2 * overlap + 1) / (size + 1)
    return (loss * present).sum() / present.sum().clamp(min=1)


def focal_tversky(logits: Tensor, mask: Tensor, alpha: float = 0.7, gamma: float = 0.75) -> Tensor:
    """Tversky loss that weighs missed pixels by `alpha`, raised to `gamma` (Abraham & Khan 2019). [b, m, h, w]."""
    probability = torch.sigmoid(logits)
    hit = (probability * mask).sum((2, 3))
    missed, extra = ((1 - probability) * mask).sum((2, 3)), (probability * (1 - mask)).sum((2, 3))
    present = (mask.amax((2, 3)) > 0.5).to(logits.dtype)
    loss = (1 - (hit + 1) / (hit + alpha * missed + (1 - alpha) * extra + 1)).clamp(min=1e-6) ** gamma
    return (loss * present).sum() / present.sum().clamp(min=1)


def total_loss(
    output: Output, target: BatchTargets, weights: LossWeights, heads: Heads | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log. Without masks the classes are all there is."""
    heads = heads or Heads()
    parts = {"classes": class_loss(output.class_logits, target, heads)}
    if output.mask_logits.shape[1]:
        parts |= _mask_parts(output.mask_logits, target.mask, weights)
        parts["deep"] = _deep(output, target.mask, weights)
        parts["evidence"] = _evidence(output.evidence, target, heads)
    loss = torch.stack([getattr(weights, name) * value for name, value in parts.items()]).sum()
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def _mask_parts(logits: Tensor, mask: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    parts = {"dice": soft_dice(logits, mask), "bce": F.binary_cross_entropy_with_logits(logits, mask)}
    if weights.tversky:
        parts["tversky"] = focal_tversky(logits, mask)
    return parts


def _deep(output: Output, mask: Tensor, weights: LossWeights) -> Tensor:
    if not output.deep:
        return output.mask_logits.new_zeros(())
    losses = []
    for logits in output.deep:
        parts = _mask_parts(logits, mask, weights)
        losses.append(sum((getattr(weights, name) * value for name, value in parts.items()), logits.new_zeros(())))
    return torch.stack(losses).mean()


def class_loss(logits: Tensor, target: BatchTargets, heads: Heads) -> Tensor:
    """Cross-entropy over the classes that exclude each other, binary cross-entropy of the others.

    Args:
        logits: [b, k].
        target: soft targets; each loss is weighted with `known`.
        heads: which is which.
    """
    alone = [index for index in range(logits.shape[1]) if index not in heads.exclusive]
    loss = logits.new_zeros(())
    if alone:
        loss = loss + _known_bce(logits[:, alone], target.classes[:, alone], target.known[:, alone])
    if heads.exclusive:
        group = list(heads.exclusive)
        weighted = target.classes[:, group] * target.known[:, group]
        each = -(weighted * F.log_softmax(logits[:, group], 1)).sum(1)
        loss = loss + each.sum() / weighted.sum().clamp(min=1e-6)
    return loss


def _evidence(evidence: Tensor, target: BatchTargets, heads: Heads) -> Tensor:
    """What each cell of the evidence [b, k, h/8, w/8] should say.

    Alone, the first label is there where the target is. Of classes that exclude each other, the target's cells show
    the image's class and all others the normal one; without a normal class nothing is known of a single cell.
    """
    cells = F.max_pool2d(target.mask.amax(1, keepdim=True), 8)
    if not heads.exclusive:
        return F.binary_cross_entropy_with_logits(evidence[:, :1], cells, pos_weight=cells.new_tensor(4.0))
    if heads.normal is None:
        return evidence.new_zeros(())
    group = list(heads.exclusive)
    usual = F.one_hot(cells.new_tensor(group.index(heads.normal), dtype=torch.long), len(group)).to(cells.dtype)
    image = target.classes[:, group, None, None]
    wanted = cells * image + (1 - cells) * usual.view(1, -1, 1, 1)
    weight = (1 + 3 * cells) * target.known[:, group, None, None].amax(1, keepdim=True)
    each = -(wanted * F.log_softmax(evidence[:, group], 1)).sum(1, keepdim=True)
    return (each * weight).mean()


def _known_bce(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)

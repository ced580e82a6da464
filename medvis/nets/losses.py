"""Losses for small targets, and the sum that the network is trained with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medvis.nets.model import Output


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part; 0 switches it off."""

    dice: float = 1.0
    bce: float = 10.0
    deep: float = 0.3
    classes: float = 1.0
    evidence: float = 0.5


@dataclass(frozen=True)
class Target:
    """What a batch should have given.

    Attributes:
        mask: float [b, m, h, w] in 0…1.
        classes: float [b, k] in 0…1 (soft targets).
        known: float [b, k], weight of each class target; 0 where it is unknown.
    """

    mask: Tensor
    classes: Tensor
    known: Tensor


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


def total_loss(output: Output, target: Target, weights: LossWeights) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum, and its parts for the log."""
    dice = soft_dice(output.mask_logits, target.mask)
    bce = F.binary_cross_entropy_with_logits(output.mask_logits, target.mask)
    deep = (
        torch.stack([_mask_loss(logits, target.mask, weights) for logits in output.deep]).mean()
        if output.deep
        else dice * 0
    )
    classes = _known_bce(output.class_logits, target.classes, target.known)
    cells = F.max_pool2d(target.mask.amax(1, keepdim=True), 8)
    evidence = F.binary_cross_entropy_with_logits(output.evidence[:, :1], cells, pos_weight=cells.new_tensor(4.0))
    loss = weights.dice * dice + weights.bce * bce + weights.deep * deep
    loss = loss + weights.classes * classes + weights.evidence * evidence
    parts = {"dice": dice, "bce": bce, "deep": deep, "classes": classes, "evidence": evidence}
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def _mask_loss(logits: Tensor, mask: Tensor, weights: LossWeights) -> Tensor:
    bce = F.binary_cross_entropy_with_logits(logits, mask)
    return weights.dice * soft_dice(logits, mask) + weights.bce * bce


def _known_bce(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * known).sum() / known.sum().clamp(min=1)

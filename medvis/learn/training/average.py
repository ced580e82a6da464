"""The moving average of the weights (EMA), with batch-norm statistics of its own."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn

from medvis.nets.model import DualStreamUNetPP


class Average:
    """Follows a network's weights; `net` is the averaged one, always in evaluation mode.

    Args:
        model: to be followed.
        keep: share of the average that stays at each step; 0: the average is the model.
    """

    def __init__(self, model: DualStreamUNetPP, keep: float) -> None:
        self.net, self.keep = deepcopy(model).eval().requires_grad_(False), keep

    @torch.no_grad()
    def follow(self, model: DualStreamUNetPP, step: int) -> None:
        """One step; early on faster, so that it does not drag the start along."""
        keep = min(self.keep, (1 + step) / (10 + step))
        for mean, now in zip(self.net.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)

    @torch.no_grad()
    def restate(self, views: Iterable[Tensor]) -> None:
        """Batch-norm statistics of the averaged weights, over fresh training crops: no lag behind the weights."""
        norms = [module for module in self.net.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # None: torch averages over all batches
            norm.train()
        for view in views:
            self.net(view)
        self.net.eval()

"""The exponential moving average of the weights (EMA), with batch-norm statistics of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from medvis.nets.model import DualStreamUNetPP


class WeightAverage(AveragedModel):
    """Follows a network's weights; `module` is the averaged network, in evaluation mode.

    After n updates the next one keeps min(decay, (1 + n) / (10 + n)) of the average: less early on, so that it does not
    drag the start along (as TensorFlow's `ExponentialMovingAverage` does). n is part of the state.

    Args:
        model: to be followed.
        decay: fraction of the average that stays at each update, 0…1; 0: the average is the model.
    """

    module: DualStreamUNetPP

    def __init__(self, model: DualStreamUNetPP, decay: float) -> None:
        def update(average: Any, current: Any, count: Tensor | int) -> None:  # noqa: ANN401 - two lists of tensors
            kept = min(decay, (1 + int(count)) / (10 + int(count)))
            for mean, now in zip(average, current, strict=True):
                mean.lerp_(now, 1 - kept)

        super().__init__(model, multi_avg_fn=torch.no_grad()(update))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> WeightAverage:
        """Only the batch norms ever train: their statistics are those of inference, without DropBlock."""
        super().train(False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(mode)
        return self

    def update_batch_norms(self, batches: Iterable[Any]) -> None:
        """Statistics of the averaged weights over fresh training crops: no lag behind the weights.

        Args:
            batches: views [b, c, h, w], or tuples that begin with them.
        """
        update_bn(batches, self)
        self.eval()

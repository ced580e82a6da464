"""Spatial attention and gated fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """Where to look: mean and max over channels, 7×7 convolution, sigmoid (Woo et al. 2018, CBAM).

    It keeps targets of 5–15 px alive where pooling would average them away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → the same shape, weighted by a map in 0…1."""
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.weigh(summary))


class GatedFusion(nn.Module):
    """g·global + (1 − g)·detail with g = σ(W[global; detail]), one gate a cell and channel.

    Args:
        global_width: channels of the global stream at this scale.
        detail_width: channels of the detail stream; also of the result.
    """

    def __init__(self, global_width: int, detail_width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(global_width, detail_width, 1, bias=False), nn.BatchNorm2d(detail_width))
        self.gate = nn.Conv2d(2 * detail_width, detail_width, 1)

    def forward(self, overview: Tensor, detail: Tensor) -> Tensor:
        """Both [b, ·, h, w] on the same grid → [b, detail_width, h, w]."""
        overview = self.project(overview)
        gate = torch.sigmoid(self.gate(torch.cat([overview, detail], 1)))
        return gate * overview + (1 - gate) * detail

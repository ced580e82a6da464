"""The bricks: convolution + norm + activation, the residual pair, DropBlock, and the window bank."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm and ReLU; "same" padding for odd kernels."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualPair(nn.Module):
    """Two 3×3 convolutions with a shortcut; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNormAct(inputs, outputs, 3, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, h / stride, w / stride]."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class DropBlock(nn.Module):
    """Drops square regions of a feature map in training (Ghiasi et al. 2018); the identity in evaluation.

    Args:
        rate: expected share of dropped activations, 0…1.
        size: side of a dropped square in cells.
    """

    def __init__(self, rate: float, size: int = 3) -> None:
        super().__init__()
        self.rate, self.size = rate, size

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] → the same shape, scaled to keep the mean."""
        if not self.training or self.rate <= 0:
            return x
        seeds = (torch.rand(x.shape[0], 1, *x.shape[2:], device=x.device) < self.rate / self.size**2).to(x.dtype)
        keep = 1 - F.max_pool2d(seeds, self.size, 1, self.size // 2)
        return x * keep * (keep.numel() / keep.sum().clamp(min=1))


class WindowBank(nn.Module):
    """Grey slices seen through several windows at once; a fixed, unlearned first layer of the graph.

    A radiologist looks at a nodule in the lung window and at its calcium in the mediastinal one. The pipeline hands
    the network a single wide window (0…1); this layer cuts the narrower ones out of it, so that a case carries one
    channel instead of three.

    Args:
        cuts: (low, high) of each window as fractions of the wide one.
        slices: 1, or 3: below, at and above the slice that is looked at, whose windows come first.
    """

    def __init__(self, cuts: list[tuple[float, float]], slices: int = 1) -> None:
        super().__init__()
        self.slices = slices
        self.low: Tensor
        self.width: Tensor
        low = torch.tensor([cut[0] for cut in cuts]).view(1, -1, 1, 1)
        width = torch.tensor([cut[1] - cut[0] for cut in cuts]).view(1, -1, 1, 1)
        self.register_buffer("low", low)
        self.register_buffer("width", width)

    def forward(self, x: Tensor) -> Tensor:
        """[b, slices, h, w] in 0…1 → [b, slices · len(cuts), h, w] in −1…1."""
        if self.slices == 1:
            return self._cut(x)
        below, at, above = torch.split(x, 1, dim=1)
        return torch.cat([self._cut(at), self._cut(below), self._cut(above)], 1)

    def _cut(self, x: Tensor) -> Tensor:
        return ((x - self.low) / self.width).clamp(0, 1) * 2 - 1


class Standardise(nn.Module):
    """0…1 → −1…1 for inputs that need no window bank; a grey channel is repeated for the RGB streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.repeat = 3 // channels

    def forward(self, x: Tensor) -> Tensor:
        """[b, channels, h, w] in 0…1 → [b, 3, h, w] in −1…1."""
        return x.repeat(1, self.repeat, 1, 1) * 2 - 1

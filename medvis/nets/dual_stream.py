"""The dual-stream encoder: global semantics at low resolution, detail at full resolution, fused scale by scale."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvis.nets.attention import GatedFusion, SpatialAttention
from medvis.nets.blocks import ConvNormAct, DropBlock, ResidualPair
from medvis.nets.efficientnet import WIDTHS, EfficientNetLite0

STRIDES = (1, 2, 4, 8, 16)


class GlobalStream(nn.Module):
    """The whole view through EfficientNet-Lite0, at half resolution or – for views of few pixels – as it is.

    [b, inputs, h, w] → maps at strides 4, 8 and 16 of the *view*. At half resolution the trunk's deepest map (stride
    32) is folded into the last one.

    Args:
        reduce: 1 or 2.
        inputs: channels.
    """

    def __init__(self, reduce: int = 2, inputs: int = 3) -> None:
        super().__init__()
        self.reduce = reduce
        self.widths = (WIDTHS[0], WIDTHS[1], WIDTHS[2] + WIDTHS[3]) if reduce == 2 else WIDTHS[1:]
        self.trunk = EfficientNetLite0(inputs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The three maps, finest first."""
        if self.reduce == 1:
            maps: list[Tensor] = self.trunk(x)
            return maps[1:]
        at4, at8, at16, at32 = self.trunk(F.avg_pool2d(x, 2))
        deep = F.interpolate(at32, scale_factor=2.0, mode="nearest")
        return [at4, at8, torch.cat([at16, deep], 1)]


class DetailStream(nn.Module):
    """Shallow and at full resolution: residual pairs with spatial attention where small targets live.

    [b, inputs, h, w] → maps at strides 1, 2, 4, 8, 16.
    """

    def __init__(self, widths: tuple[int, ...], attention: bool = True, drop: float = 0.0, inputs: int = 3) -> None:
        super().__init__()
        self.stem = ConvNormAct(inputs, widths[0])
        self.levels = nn.ModuleList(ResidualPair(a, b, 2) for a, b in pairwise(widths))
        self.attend = nn.ModuleList(SpatialAttention() if attention else nn.Identity() for _ in widths[:4])
        self.drop = DropBlock(drop)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The five maps, finest first."""
        maps = [self.attend[0](self.stem(x))]
        for index, level in enumerate(self.levels, start=1):
            x = level(maps[-1])
            maps.append(self.attend[index](x) if index < len(self.attend) else self.drop(x))
        return maps


class DualStreamEncoder(nn.Module):
    """Both streams and their gated fusion at strides 4, 8 and 16.

    Args:
        widths: channels at strides 1, 2, 4, 8, 16.
        streams: ``dual``, or ``detail`` alone (for the ablation).
        attention: spatial attention in the detail stream.
        drop: DropBlock rate at the deepest level.
        overview: by how much the view is reduced before the global stream, 1 or 2.
        inputs: channels.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        streams: str = "dual",
        attention: bool = True,
        drop: float = 0.0,
        overview: int = 2,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        self.detail = DetailStream(widths, attention, drop, inputs)
        self.overview = GlobalStream(overview, inputs) if streams == "dual" else None
        fused = zip(self.overview.widths, widths[2:], strict=True) if self.overview else ()
        self.fuse = nn.ModuleList(GatedFusion(theirs, ours) for theirs, ours in fused)

    def forward(self, x: Tensor) -> list[Tensor]:
        """[b, inputs, h, w] in −1…1, h and w multiples of 32 → five maps at `STRIDES`."""
        maps: list[Tensor] = self.detail(x)
        if self.overview is None:
            return maps
        fused = [fuse(g, d) for fuse, g, d in zip(self.fuse, self.overview(x), maps[2:], strict=True)]
        return [*maps[:2], *fused]

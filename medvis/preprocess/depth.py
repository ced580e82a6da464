"""The slices below and above each slice of a stack, at a fixed distance in mm, for a model that sees in depth.

Scans come in steps of 0.5 to 5 mm; a model that is shown "the next slice" would see another thing in each. The distance
is therefore fixed, and what lies there is interpolated between the two nearest slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Float32s, Float64s
from medvis.ops.slice_geometry import runs_of

# Slices that a model with a sense of depth is shown: below, at, above.
SLICES = 3


@dataclass(frozen=True)
class Blend:
    """A plane between two frames: `first` · (1 − fraction) + `second` · fraction."""

    first: int
    second: int
    fraction: float

    def of(self, stack: Float32s) -> Float32s:
        """Of a stack [frames, ...]: the plane, float32 [...]."""
        plane = np.asarray(stack[self.first], np.float32)
        if self.fraction == 0:
            return plane
        share = np.float32(self.fraction)
        return np.asarray(plane * (1 - share) + np.asarray(stack[self.second], np.float32) * share, np.float32)


@dataclass(frozen=True)
class Neighbours:
    """Which planes lie below and above each frame.

    Attributes:
        below, above: one a frame; the frame itself where nothing is known of its surroundings.
        known: whether the distances of the frames are.
    """

    below: tuple[Blend, ...]
    above: tuple[Blend, ...]
    known: bool

    @classmethod
    def of(cls, heights: Float64s | None, frames: int, distance: float) -> Neighbours:
        """For a stack.

        Where it ends, or a gap begins, before that distance is reached, the last frame before the end stands for it.

        Args:
            heights: float64 [frames], of each along the normal in mm, in either direction; None: unknown, or one frame.
            frames: how many.
            distance: in mm, above 0.
        """
        alone = tuple(Blend(index, index, 0.0) for index in range(frames))
        if heights is None or frames < 2:
            return cls(alone, alone, known=False)
        below, above = list(alone), list(alone)
        runs = runs_of(heights)
        for run in np.unique(runs):
            members = np.flatnonzero(runs == run)
            members = members[np.argsort(heights[members], kind="stable")]
            own = heights[members]
            for index, height in zip(members, own, strict=True):
                below[index] = _at(height - distance, members.tolist(), own)
                above[index] = _at(height + distance, members.tolist(), own)
        return cls(tuple(below), tuple(above), known=True)

    def planes(self, stack: Float32s, frame: int) -> Float32s:
        """The planes below, at and above a frame of a stack [frames, ...]: float32 [3, ...]."""
        here = np.asarray(stack[frame], np.float32)
        return np.stack([self.below[frame].of(stack), here, self.above[frame].of(stack)])


def _at(height: float, members: list[int], heights: Float64s) -> Blend:
    """The plane at a height within a run of frames whose heights rise."""
    position = float(np.interp(height, heights, np.arange(len(members))))
    first = min(int(position), len(members) - 1)
    second = min(first + 1, len(members) - 1)
    fraction = position - first
    if fraction < 1e-3:  # less is the rounding of positions in decimal strings
        return Blend(members[first], members[first], 0.0)
    if fraction > 1 - 1e-3:
        return Blend(members[second], members[second], 0.0)
    return Blend(members[first], members[second], fraction)

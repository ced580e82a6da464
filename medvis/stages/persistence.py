"""Whether a finding of a series lasts: a nodule goes on from slice to slice, a vessel that is cut across does not."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

import numpy as np

from medvis.core.arrays import Float64s, Labels
from medvis.core.case import Score
from medvis.ops.slice_geometry import runs_of

# Of a sphere's diameter, what shows: its caps are lost in slices that they fill only in part.
SHOWN = 0.8

ROUNDING = 1e-6  # mm; positions are decimal strings


def expected_frames(diameter: float, heights: Float64s, key: int) -> int:
    """On how many slices a sphere shows whose largest section is on slice `key`.

    Args:
        diameter: of the sphere in mm.
        heights: float64 [frames], of the slices along their normal in mm; beyond their ends and beyond a gap between
            them nothing is expected.
        key: 0-based.
    """
    runs = runs_of(heights)
    own = heights[runs == runs[key]]
    return int(np.count_nonzero(np.abs(own - heights[key]) <= SHOWN * diameter / 2 + ROUNDING))


def persistence(
    scores: Sequence[Score], components: Labels, linked: Labels, spacing: tuple[float, float], heights: Float64s
) -> Float64s:
    """Mean probability of each finding over the slices that a sphere of its size would cross; unseen ones count 0.

    Args:
        scores: of the components.
        components: int32 [frames, rows, cols], numbers as in the scores.
        linked: int32 of the same shape, the findings 1…n that the components were linked to.
        spacing: (row, col) in mm.
        heights: float64 [frames], of the slices along their normal in mm.

    Returns:
        [n + 1], indexed by the number of the finding; [0] is 1.
    """
    out = np.ones(int(linked.max()) + 1)
    for number, parts in _parts(scores, components, linked).items():
        key = max(parts, key=lambda score: score.area)
        diameter = 2 * sqrt(key.area * spacing[0] * spacing[1] / pi)
        frames = {score.frame for score in parts}
        best = [max(score.probability for score in parts if score.frame == frame) for frame in frames]
        out[number] = sum(best) / max(len(frames), expected_frames(diameter, heights, key.frame))
    return out


def likeliest(scores: Sequence[Score], components: Labels, linked: Labels) -> Float64s:
    """Probability of each finding on its likeliest slice; arguments and result as of `persistence`."""
    out = np.ones(int(linked.max()) + 1)
    for number, parts in _parts(scores, components, linked).items():
        out[number] = max(score.probability for score in parts)
    return out


def _parts(scores: Sequence[Score], components: Labels, linked: Labels) -> dict[int, list[Score]]:
    """Number of the finding → the scores of its components."""
    parts: dict[int, list[Score]] = {}
    for score in scores:
        number = int(linked[score.frame][components[score.frame] == score.label][0])
        if number:
            parts.setdefault(number, []).append(score)
    return parts

"""The vessels of the CT phantom: trees that leave the hila, branch and taper, drawn as tubes through the planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Float32s, Float64s

ROOTS = 15  # trees a side
GENERATIONS = 9
THICK, THIN = 3.4, 0.38  # mm, radii of the thickest root and of the last twig
CHILD = (0.70, 0.88)  # a child's radius as a share of its parent's (Murray's law for two equal ones: 0.79)
SUBPLANES = 3


@dataclass(frozen=True)
class Twig:
    """A tapering tube between two points (z, y, x) in mm."""

    start: Float64s
    end: Float64s
    radius: float
    last: float


def grow_vessels(seed: int) -> tuple[Twig, ...]:
    """The twigs of all trees and of the two arteries that feed them, the same for the same seed."""
    rng = np.random.default_rng([seed, 1])
    twigs: list[Twig] = []
    for side in (-1.0, 1.0):
        hilum = np.array([-2.0, 8.0, side * 40])
        twigs.append(Twig(np.array([2.0, -6.0, side * 6]), hilum, 9.5, 7.0))
        twigs.append(Twig(hilum, np.array([-40.0, 26.0, side * 46]), 7.0, 4.0))
        for _ in range(ROOTS):
            height = rng.uniform(-50, 36)
            start = np.array([height, 10 - 0.3 * height + rng.normal(0, 6), side * rng.uniform(34, 44)])
            towards = np.array([rng.normal(0, 0.5), rng.normal(0, 0.8), side * rng.uniform(0.3, 1.1)])
            twigs += _tree(rng, start, towards / np.linalg.norm(towards), rng.uniform(0.6, 1.0) * THICK)
    return tuple(twigs)


def _tree(rng: np.random.Generator, start: Float64s, towards: Float64s, radius: float) -> Iterator[Twig]:
    open_ends = [(start, towards, radius, 0)]
    while open_ends:
        begin, direction, thick, generation = open_ends.pop()
        last = thick * 0.92
        end = begin + direction * (4.0 * thick + rng.uniform(4, 8))
        yield Twig(begin, end, thick, last)
        if generation >= GENERATIONS or last * CHILD[0] < THIN:
            continue
        sideways = rng.normal(size=3)
        sideways -= (sideways @ direction) * direction
        sideways /= np.linalg.norm(sideways)
        for sign, turn in ((1.0, rng.uniform(0.3, 0.7)), (-1.0, rng.uniform(0.2, 0.5))):
            turned = direction + sign * turn * sideways + rng.normal(0, 0.08, 3)
            open_ends.append((end, turned / np.linalg.norm(turned), last * rng.uniform(*CHILD), generation + 1))


def draw_vessels(
    twigs: tuple[Twig, ...], shape: tuple[int, int], spacing: tuple[float, float], planes: tuple[float, float]
) -> Float32s:
    """Share of vessel in each pixel of one plane, float32 [rows, cols].

    Args:
        twigs: of `grow_vessels`.
        shape: (rows, cols); the origin in mm is its middle.
        spacing: (row, column) in mm.
        planes: z of the plane's middle and its thickness, in mm.
    """
    out = np.zeros(shape, dtype=np.float32)
    z, thickness = planes
    for twig in twigs:
        low, high = sorted((twig.start[0], twig.end[0]))
        if low - twig.radius - thickness / 2 <= z <= high + twig.radius + thickness / 2:
            _draw(out, twig, spacing, planes)
    return out


def _draw(out: Float32s, twig: Twig, spacing: tuple[float, float], planes: tuple[float, float]) -> None:
    ends = np.stack([twig.start, twig.end])
    middle = (np.array(out.shape) - 1) / 2
    margin = twig.radius + max(spacing)
    low = np.floor((ends[:, 1:].min(axis=0) - margin) / spacing + middle).astype(int)
    high = np.ceil((ends[:, 1:].max(axis=0) + margin) / spacing + middle).astype(int) + 1
    (row0, col0), (row1, col1) = np.maximum(low, 0), np.minimum(high, out.shape)
    if row0 >= row1 or col0 >= col1:
        return
    y = ((np.arange(row0, row1) - middle[0]) * spacing[0] - twig.start[1]).astype(np.float32)[:, None]
    x = ((np.arange(col0, col1) - middle[1]) * spacing[1] - twig.start[2]).astype(np.float32)[None]
    axis = twig.end - twig.start
    square = float(axis @ axis)
    covered = np.zeros((row1 - row0, col1 - col0), dtype=np.float32)
    for step in (np.arange(SUBPLANES) + 0.5) / SUBPLANES - 0.5:
        z = planes[0] + step * planes[1] - twig.start[0]
        along = np.clip((z * axis[0] + y * axis[1] + x * axis[2]) / square, 0, 1)
        off = np.sqrt((z - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (x - along * axis[2]) ** 2)
        radius = twig.radius + along * (twig.last - twig.radius)
        covered += np.clip(0.5 - (off - radius) / np.mean(spacing), 0, 1).astype(np.float32) / SUBPLANES
    window = out[row0:row1, col0:col1]
    np.maximum(window, covered, out=window)

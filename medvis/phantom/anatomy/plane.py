"""A plane to draw on in mm: shapes are signed distances, and an edge is as wide as a pixel (partial volume)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Float32s

SWAY = 3.5  # mm by which the anatomy is bent, so that no two sides are alike


@dataclass(frozen=True)
class DrawingPlane:
    """One plane.

    Attributes:
        hu: float32 [rows, cols], drawn on in place.
        x, y: float32 [rows, cols], the anatomical coordinates of the pixels: mm from the middle to the patient's left
            and to the back, bent a little.
        cols, rows: the same before bending, one-dimensional.
        edge: width of an edge in mm.
    """

    hu: Float32s
    x: Float32s
    y: Float32s
    cols: Float32s
    rows: Float32s
    edge: float

    def near(self, center: tuple[float, float], reach: float) -> DrawingPlane:
        """The part of the plane within `reach` of (x, y), as views."""
        col, row = (
            slice(*np.searchsorted(axis, [at - reach - 2 * SWAY, at + reach + 2 * SWAY]))
            for axis, at in zip((self.cols, self.rows), center, strict=True)
        )
        window = row, col
        return DrawingPlane(self.hu[window], self.x[window], self.y[window], self.cols[col], self.rows[row], self.edge)

    def fraction(self, distance: Float32s) -> Float32s:
        """How much of each pixel lies inside, 0…1."""
        return np.asarray(np.clip(np.float32(0.5) - distance / np.float32(self.edge), 0, 1), dtype=np.float32)

    def paint(self, value: float, distance: Float32s) -> None:
        """Covers what lies inside with `value`."""
        self.cover(value, self.fraction(distance))

    def cover(self, value: float, fraction: Float32s) -> None:
        """Mixes `value` in by its fraction."""
        np.add(self.hu, (np.float32(value) - self.hu) * fraction, out=self.hu)

    def add(self, values: Float32s) -> None:
        """Adds to what is there."""
        np.add(self.hu, values, out=self.hu)


def blank(
    shape: tuple[int, int], spacing: tuple[float, float], z: float, value: float, scale: float = 1.0
) -> DrawingPlane:
    """A plane with (0, 0) mm in its middle; `scale` enlarges what is drawn on it."""
    rows, cols = (
        ((np.arange(size) - (size - 1) / 2) * step / scale).astype(np.float32)
        for size, step in zip(shape, spacing, strict=True)
    )
    bend = np.float32(SWAY / 2)
    x = cols[None] + bend * (np.sin(rows / 31 + 0.7 + z / 90) + 0.5 * np.sin(rows / 13 - z / 40))[:, None]
    y = rows[:, None] + bend * (np.sin(cols / 37 + 1.9 - z / 80) + 0.5 * np.sin(cols / 15 + z / 50))[None]
    hu = np.full(shape, value, dtype=np.float32)
    return DrawingPlane(hu, x.astype(np.float32), y.astype(np.float32), cols, rows, float(np.mean(spacing)) / scale)


def lobe(
    plane: DrawingPlane,
    center: tuple[float, float],
    axes: tuple[float, float],
    degrees: float = 0.0,
    power: float = 2.0,
) -> Float32s:
    """Signed distance in mm (to first order) to a superellipse at (x, y), turned clockwise; negative inside."""
    x, y = plane.x - np.float32(center[0]), plane.y - np.float32(center[1])
    if degrees:
        cos, sin = np.float32(np.cos(np.deg2rad(degrees))), np.float32(np.sin(np.deg2rad(degrees)))
        x, y = x * cos + y * sin, y * cos - x * sin
    x, y = np.abs(x) / np.float32(axes[0]), np.abs(y) / np.float32(axes[1])
    if power == 2:
        size = np.maximum(np.hypot(x, y), np.float32(1e-3))
        steep = np.hypot(x / np.float32(axes[0]), y / np.float32(axes[1])) / size
    else:
        size = np.maximum((x ** np.float32(power) + y ** np.float32(power)) ** np.float32(1 / power), np.float32(1e-3))
        flat = np.float32(power - 1)
        steep = np.hypot((x / size) ** flat / np.float32(axes[0]), (y / size) ** flat / np.float32(axes[1]))
    return np.asarray((size - 1) / np.maximum(steep, np.float32(1e-4)), dtype=np.float32)


def joined(first: Float32s, second: Float32s, smooth: float = 0.0) -> Float32s:
    """Signed distance to the union of two shapes; `smooth` mm rounds the corner between them."""
    lower = np.minimum(first, second)
    if smooth:
        overlap = np.maximum(np.float32(smooth) - np.abs(first - second), 0)
        lower = lower - overlap * overlap / np.float32(4 * smooth)
    return np.asarray(lower, dtype=np.float32)

"""A picture to draw on: an RGB array, with text, lines and other pictures put in at whole pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from medvis.core.arrays import Float64s, Uint8s
from medvis.io.colours import BACKGROUND, DARK, TEXT, Colour
from medvis.io.picture.text import READABLE, fitted, ink, width_of

_SHIFT = 4  # cv2 draws at 1/16 px


@dataclass(frozen=True)
class Rect:
    """A rectangle of the canvas in px: x and y of its upper left corner, width, height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """X just after the last column."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Y just after the last row."""
        return self.y + self.height

    def overlaps(self, other: Rect) -> bool:
        """Whether the two share a pixel."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def holds(self, other: Rect) -> bool:
        """Whether the other lies inside this one."""
        return self.x <= other.x and other.right <= self.right and self.y <= other.y and other.bottom <= self.bottom


@dataclass(frozen=True)
class Style:
    """How a text looks: its size in px, its colour, and which of its ends is at the given x."""

    size: int = READABLE
    colour: Colour = TEXT
    align: Literal["left", "right", "centre"] = "left"


class Canvas:
    """An RGB picture, uint8 [height, width, 3], that drawing changes in place. What reaches over an edge is cut."""

    def __init__(self, width: int, height: int, colour: Colour = BACKGROUND) -> None:
        self.pixels: Uint8s = np.empty((height, width, 3), np.uint8)
        self.fill(Rect(0, 0, width, height), colour)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def fill(self, rect: Rect, colour: Colour) -> None:
        """Fills a rectangle."""
        area = self.pixels[max(rect.y, 0) : max(rect.bottom, 0), max(rect.x, 0) : max(rect.right, 0)]
        area[:] = np.tile(np.array(colour, np.uint8), (area.shape[1], 1))  # a row at a time: ten times faster

    def frame(self, rect: Rect, colour: Colour, thickness: int = 1) -> None:
        """Draws a rectangle's border, inside it."""
        for side in (
            Rect(rect.x, rect.y, rect.width, thickness),
            Rect(rect.x, rect.bottom - thickness, rect.width, thickness),
            Rect(rect.x, rect.y, thickness, rect.height),
            Rect(rect.right - thickness, rect.y, thickness, rect.height),
        ):
            self.fill(side, colour)

    def paste(self, x: int, y: int, picture: Uint8s) -> None:
        """Puts another picture in with its upper left corner at (x, y)."""
        area = self.pixels[y : y + picture.shape[0], x : x + picture.shape[1]]
        area[:] = picture[: area.shape[0], : area.shape[1]]

    def text(self, x: int, base: int, text: str, style: Style, width: int | None = None) -> int:
        """One line of text on the base line y = `base`, shortened to `width` px. Returns its width in px."""
        text = text if width is None else fitted(text, style.size, width)
        advance = width_of(text, style.size)
        x -= {"left": 0, "right": advance, "centre": advance // 2}[style.align]
        coverage, right, down = ink(text, style.size)
        self._blend(x + right, base + down, coverage, style.colour)
        return advance

    def dim(self, rect: Rect, fraction: float = 0.35) -> None:
        """Darkens a rectangle to a fraction of its light, so that a text on it can be read."""
        area = self.pixels[max(rect.y, 0) : max(rect.bottom, 0), max(rect.x, 0) : max(rect.right, 0)]
        area[:] = np.round(area * np.float32(fraction))

    def outline(self, points: Float64s, colour: Colour, thickness: int, rim: int = 2) -> None:
        """A closed, smooth line through `points` [n, 2] (x, y), on a dark one that sets it off from any ground."""
        spare = cv2.approxPolyDP(points.astype(np.float32)[:, None], 0.3, True)  # dense points would thicken the line
        fixed = np.round(spare * (1 << _SHIFT)).astype(np.int32)
        for shade, wide in ((DARK, thickness + rim), (colour, thickness)):
            cv2.polylines(self.pixels, [fixed], True, shade, wide, cv2.LINE_AA, _SHIFT)

    def _blend(self, x: int, y: int, coverage: Uint8s, colour: Colour) -> None:
        left, top = max(-x, 0), max(-y, 0)
        area = self.pixels[y + top : y + coverage.shape[0], x + left : x + coverage.shape[1]]
        opacity = coverage[top : top + area.shape[0], left : left + area.shape[1], None].astype(np.float32) / 255
        if opacity.size:
            area[:] = np.round(area + (np.array(colour, np.float32) - area) * opacity)

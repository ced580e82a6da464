"""Where letters are burned into a picture: by their shape, without reading them.

Letters are strokes thinner than the anatomy around them, much brighter or darker than what is beside them, of about one
height, side by side. What is found so is a hint, not a proof: handwriting, letters larger than `TALLEST` px, single
signs, faint print and text on a texture of its own contrast are missed, and a scale, a row of callipers or of ribs may
be taken for a line of text.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Uint8s

STROKE = 11  # px; what is wider is no stroke of a letter
SMALLEST, TALLEST = 5, 48  # px, height of a letter
CONTRASTS = (0.25, 0.45, 0.65)
"""Of the picture's range, between a stroke and what is beside it: faint print, or bright print on speckled ground."""
LETTERS = 3  # so many make a line of text
MARGIN = 3  # px around a line, for what the threshold has cut off


class TextBox(NamedTuple):
    """A line of text: rows row0 ≤ r < row1, columns col0 ≤ c < col1."""

    row0: int
    col0: int
    row1: int
    col1: int


def text_boxes(picture: NDArray[np.generic]) -> list[TextBox]:
    """The lines of horizontal text in a picture, from top to bottom.

    Args:
        picture: [rows, cols] or [rows, cols, 3] of any numbers.
    """
    grey = _as_bytes(picture)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE, STROKE))
    text = np.zeros(grey.shape, np.uint8)
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        height = cv2.morphologyEx(grey, operation, kernel)
        for contrast in CONTRASTS:
            for row0, col0, row1, col1 in _lines(np.asarray(height > contrast * 255).view(np.uint8)):
                text[row0:row1, col0:col1] = 1
    _, _, table, _ = cv2.connectedComponentsWithStats(text, connectivity=8)
    boxes = [
        TextBox(int(row), int(col), int(row + height), int(col + width)) for col, row, width, height, _ in table[1:]
    ]
    return sorted(boxes)


def _as_bytes(picture: NDArray[np.generic]) -> Uint8s:
    values = np.asarray(picture, np.float32)
    grey = values.max(-1) if values.ndim == 3 else values
    low, high = np.percentile(grey, (0.1, 99.9))
    return np.asarray(np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1) * 255, np.uint8)


def _lines(strokes: Uint8s) -> list[TextBox]:
    """Groups of letter-like pieces that stand side by side, with a margin."""
    _, _, table, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    letters = [row for row in table[1:] if _like_a_letter(row)]
    bridged = np.zeros(strokes.shape, np.uint8)
    for col, row, width, height, _ in letters:
        gap = max(2, round(0.6 * height))
        bridged[row : row + height, max(col - gap, 0) : col + width + gap] = 1
    _, labels, spans, _ = cv2.connectedComponentsWithStats(bridged, connectivity=4)
    members: dict[int, list[NDArray[np.int32]]] = {}
    for letter in letters:
        members.setdefault(int(labels[letter[1], letter[0]]), []).append(letter)
    return [
        _around(span)
        for number, span in enumerate(spans)
        if number and _like_a_line(members.get(number, []), int(span[3]))
    ]


def _around(span: NDArray[np.int32]) -> TextBox:
    """A line and half a letter more at its ends: signs such as a dash or a full stop are no letters to begin with."""
    col, row, width, height = (int(value) for value in span[:4])
    high, wide = MARGIN + height // 6, MARGIN + height // 2
    return TextBox(max(row - high, 0), max(col - wide, 0), row + height + high, col + width + wide)


def _like_a_letter(piece: NDArray[np.int32]) -> bool:
    _, _, width, height, area = (int(value) for value in piece)
    return SMALLEST <= height <= TALLEST and width <= 4 * height and area >= 0.12 * width * height


def _like_a_line(letters: list[NDArray[np.int32]], height: int) -> bool:
    """At least three pieces, of one height or nearly, none above the other."""
    if len(letters) < LETTERS:
        return False
    heights = np.array([letter[3] for letter in letters], np.float64)
    return height <= 2.2 * float(np.median(heights)) and float(heights.std()) <= 0.45 * float(heights.mean())

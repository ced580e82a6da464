"""Letters with an accent, which the font does not have: the bare letter, and a mark made of the font's signs."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from medvis.core.arrays import Uint8s

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_CEDILLA = "\u0327"
# Combining characters, and the sign that is drawn for each.
_SIGNS = {"\u0300": "`", "\u0301": "´", "\u0302": "^", "\u0303": "~", "\u0307": ".", "\u0308": "..", "\u030a": "°",
          "\u030b": "´´", "\u030c": "^", _CEDILLA: ","}  # fmt: skip
_UPSIDE_DOWN = frozenset("\u030c")
_DOTTED = frozenset("ij")
_LARGE, _SMALLER = frozenset("^~°"), 0.6


def split(char: str) -> tuple[str, str]:
    """(letter, combining character) of a letter with one accent that can be drawn; ("", "") of any other character."""
    parts = unicodedata.normalize("NFD", char)
    can = len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _SIGNS
    return (parts[0], parts[1]) if can else ("", "")


def bare(text: str) -> str:
    """The text without the accents that are drawn beside it, as many characters long."""
    return "".join(split(char)[0] or char for char in text)


def accented(font: FreeTypeFont, text: str) -> tuple[Uint8s, int, int]:
    """Coverage 0…255 [rows, cols] of a line, and where its corner lies (right, down) from its base line's start."""
    plain = bare(text)
    coverage, right, down = _drawn(font, plain)
    if plain == text:
        return coverage, right, down
    above, below, beside = 2 * int(font.size) // 3, int(font.size) // 3, int(font.size) // 2
    plane = np.pad(coverage, ((above, below), (beside, beside)))
    right, down = right - beside, down - above
    for index, char in enumerate(text):
        letter, mark = split(char)
        if letter:
            start = font.getlength(plain[:index]) - right
            _stamp(plane, font, (letter, mark), (round(start), round(start + font.getlength(letter))), -down)
    rows, cols = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    kept = plane[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return np.ascontiguousarray(kept), right + int(cols[0]), down + int(rows[0])


def _stamp(plane: Uint8s, font: FreeTypeFont, letter: tuple[str, str], cols: tuple[int, int], base: int) -> None:
    """Draws a mark at its letter, which lies in these columns of the plane; `base` is the row of the base line."""
    sign = _mark(font, letter[1])
    top = base + _drawn(font, "x" if letter[0] in _DOTTED else letter[0])[2]
    if letter[0] in _DOTTED and letter[1] != _CEDILLA:
        plane[:top, cols[0] : cols[1]] = 0
    gap = max(1, round(font.size / 10))
    row = base + 1 if letter[1] == _CEDILLA else top - gap - sign.shape[0]
    col = max(0, (cols[0] + cols[1] - sign.shape[1]) // 2)
    row = max(0, row)
    area = plane[row : row + sign.shape[0], col : col + sign.shape[1]]
    np.maximum(area, sign[: area.shape[0], : area.shape[1]], out=area)


@lru_cache(maxsize=64)
def _mark(font: FreeTypeFont, mark: str) -> Uint8s:
    signs = _SIGNS[mark]
    drawn = _drawn(font.font_variant(size=round(_SMALLER * font.size)) if signs in _LARGE else font, signs[0])[0]
    shape = drawn[drawn.any(axis=1)][:, drawn.any(axis=0)]  # without the room around it
    if mark in _UPSIDE_DOWN:
        shape = shape[::-1]
    gap = np.zeros((shape.shape[0], max(1, round(font.size / 12))), np.uint8)
    return np.hstack([shape, gap, shape]) if len(signs) == 2 else shape


def _drawn(font: FreeTypeFont, text: str) -> tuple[Uint8s, int, int]:
    mask, (right, down) = font.getmask2(text, mode="L", anchor="ls")
    cols, rows = mask.size
    return np.frombuffer(bytes(mask), np.uint8).reshape(rows, cols), int(right), int(down)

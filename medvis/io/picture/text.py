"""Text as pixels, in the font that Pillow carries (Aileron Regular by Sora Sagano, CC0), the same on every machine.

Only characters of that font are drawn: accents are taken off, a few signs have a stand-in, the rest becomes ``?``.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from medvis.core.arrays import Uint8s

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

ELLIPSIS = "…"
_LONGEST = 400
_STAND_INS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "×": "x", "ß": "ss", "ł": "l", "ø": "o", "≥": ">=", "≤": "<="}
)
_SIGNS = frozenset(f"°·±{ELLIPSIS}‘’“”•")


@lru_cache(maxsize=16)
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont  # noqa: PLC0415 - 20 ms that only a picture costs

    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    return font


def drawable(text: str) -> str:
    """The text in characters that the font has, on one line, at most 400 of them."""
    bare = unicodedata.normalize("NFKD", " ".join(text[:_LONGEST].split()).translate(_STAND_INS))
    kept = (char for char in bare if not unicodedata.combining(char))
    return "".join(char if " " <= char <= "~" or char in _SIGNS else "?" for char in kept)


@lru_cache(maxsize=512)
def width_of(text: str, size: int) -> int:
    """Width in px of one line, rounded up."""
    return int(np.ceil(_font(size).getlength(drawable(text))))


def fitted(text: str, size: int, width: int, middle: bool = False) -> str:
    """The text, shortened with an ellipsis at its end (or `middle`: inside, for file names) to `width` px."""
    text = drawable(text)
    if width_of(text, size) <= width:
        return text
    for keep in range(len(text) - 1, 0, -1):
        head = keep // 2 if middle else keep
        short = text[:head].rstrip() + ELLIPSIS + (text[len(text) - (keep - head) :] if middle else "")
        if width_of(short, size) <= width:
            return short
    return ELLIPSIS


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """The text in at most `lines` lines of `width` px, broken between words; what is too much becomes an ellipsis."""
    rest = drawable(text).split(" ")
    lines_of_text: list[str] = []
    while rest and len(lines_of_text) < lines - 1:
        count = 1
        while count < len(rest) and width_of(" ".join(rest[: count + 1]), size) <= width:
            count += 1
        lines_of_text.append(fitted(" ".join(rest[:count]), size, width))
        rest = rest[count:]
    if rest:
        lines_of_text.append(fitted(" ".join(rest), size, width))
    return lines_of_text


@lru_cache(maxsize=256)
def ink(text: str, size: int) -> tuple[Uint8s, int, int]:
    """Coverage 0…255 [rows, cols] of one line, and where its corner lies (right, down) from its base line's start."""
    mask, (right, down) = _font(size).getmask2(drawable(text), mode="L", anchor="ls")
    cols, rows = mask.size
    return np.frombuffer(bytes(mask), np.uint8).reshape(rows, cols), int(right), int(down)

r"""Text as pixels, in the font that Pillow carries (Aileron Regular by Sora Sagano, CC0), the same on every machine.

That font has the characters of ASCII. Accents are drawn from its signs, a few letters and signs have a stand-in, and
every other character is written as its code point (``\u5934``), so that names in other scripts stay apart.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from medvis.core.arrays import Uint8s
from medvis.io.picture.accents import accented, bare, split

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

ELLIPSIS = "…"
READABLE = 21  # px; its capitals are 15 px high, and 9 px where a page of 1292 px is shown 780 px wide
LINE_HEIGHT = 27  # px from one base line of that size to the next
_LONGEST = 1000
_STAND_INS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "×": "x", "≥": ">=", "≤": "<=", "µ": "u", "μ": "u"}
    | {"ß": "ss", "ẞ": "SS", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ı": "i"}
    | {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
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
    """The text in characters that the font has, on one line, at most 1000 of them."""
    plain = unicodedata.normalize("NFC", " ".join(text[:_LONGEST].split()).translate(_STAND_INS))
    return "".join(map(_spelled, plain))[:_LONGEST]


def _spelled(char: str) -> str:
    """One character as it can be drawn: itself, without accents that cannot be drawn, or its code point."""
    if split(char)[0]:
        return char
    plain = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
    if all(" " <= part <= "~" or part in _SIGNS for part in plain):
        return plain
    return code_point(char)


def code_point(char: str) -> str:
    r"""A character as its number in Unicode, e.g. ``\u5934``."""
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


@lru_cache(maxsize=512)
def width_of(text: str, size: int) -> int:
    """Width in px of one line, rounded up."""
    return int(np.ceil(_font(size).getlength(bare(drawable(text)))))


def fitted(text: str, size: int, width: int, middle: bool = False) -> str:
    """The text, shortened with an ellipsis at its end (or `middle`: inside, for file names) to `width` px."""
    text = drawable(text)
    if width_of(text, size) <= width:
        return text
    least, most = 0, len(text) - 1  # characters that fit for sure, and that may
    while least < most:
        keep = (least + most + 1) // 2
        least, most = (keep, most) if width_of(_shortened(text, keep, middle), size) <= width else (least, keep - 1)
    return _shortened(text, least, middle) if least else ELLIPSIS


def _shortened(text: str, keep: int, middle: bool) -> str:
    head = keep // 2 if middle else keep
    return text[:head].rstrip() + ELLIPSIS + (text[len(text) - (keep - head) :] if middle else "")


def broken(text: str, size: int, width: int, lines: int) -> list[str]:
    """A name in at most `lines` lines of `width` px, broken anywhere; of a longer one the middle is left out."""
    text = drawable(text)
    found: list[str] = []
    while text and len(found) < lines - 1:
        count = max(1, bisect_right(range(1, len(text) + 1), width, key=lambda count: width_of(text[:count], size)))
        found.append(text[:count].strip())
        text = text[count:].strip()
    return [*found, fitted(text, size, width, middle=True)] if text else found


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
    return accented(_font(size), drawable(text))

"""Text in columns of a terminal: broken between words, and behind the marks in long UIDs, paths and names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from medvis.cli.failures import printable

WHOLE = 16
"""Characters of what is never broken, if there is room for it at all."""
_PIECES = re.compile(r"[^-./_:\\]*[-./_:\\]+|[^-./_:\\]+")


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def least_width(text: str) -> int:
    """The width that a text needs to be read without a break inside a word."""
    if cells(text) <= WHOLE:
        return cells(text)
    return max(min(cells(piece), 2 * WHOLE) for word in text.split() for piece in _pieces(word))


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most that width; one line at least."""
    lines = [""]
    for word in text.split():
        space = " " if lines[-1] else ""
        if cells(lines[-1] + space + word) <= width:
            lines[-1] += space + word
        elif cells(word) <= width:
            lines.append(word)
        else:
            _add_long(lines, word, width)
    return lines


def _add_long(lines: list[str], word: str, width: int) -> None:
    """A word that is longer than a line, from a new line on, broken behind its marks, else anywhere."""
    if lines[-1]:
        lines.append("")
    for piece in _pieces(word):
        for part in (piece,) if cells(piece) <= width else _cut(piece, width):
            if cells(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part


def _pieces(word: str) -> list[str]:
    return [word] if cells(word) <= WHOLE else _PIECES.findall(word)


def _cut(piece: str, width: int) -> list[str]:
    """A piece without marks, such as a hash, in parts that fit."""
    parts = [""]
    for char in piece:
        if cells(parts[-1] + char) > width and parts[-1]:
            parts.append("")
        parts[-1] += char
    return parts


def fitted(columns: Sequence[Sequence[str]], available: int) -> list[int] | None:
    """The widths of columns that together fit: the widest give way first; None if a word would have to be broken.

    Args:
        columns: the texts in each.
        available: characters for all of them.
    """
    widths = [max((cells(text) for text in column), default=0) for column in columns]
    least = [max((least_width(text) for text in column), default=0) for column in columns]
    while sum(widths) > available:
        loose = [index for index, width in enumerate(widths) if width > least[index]]
        if not loose:
            return None
        widest = max(loose, key=lambda index: widths[index])
        widths[widest] -= 1
    return widths


def one_line(text: str) -> str:
    """A text without line breaks and control characters."""
    return printable(" ".join(text.split()))

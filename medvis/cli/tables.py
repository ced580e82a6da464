"""Tables on stdout: drawn on a terminal, plain and unbroken lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from medvis.cli.console import console, emit, is_terminal
from medvis.cli.wrapping import cells, fitted, one_line, wrapped

if TYPE_CHECKING:
    from rich.console import Console

_LEAST = 20  # characters for the values of a list of pairs


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Two columns, name and value; in a pipe separated by a tab."""
    show_rows((), pairs)


def show_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; in a pipe one line a row, cells separated by tabs.

    On a terminal, columns without any text are left out, and long texts are wrapped between words. Where the table is
    too wide even so, each row is a block of lines, one a cell.
    """
    texts = [[one_line(text) for text in row] for row in rows]
    if not is_terminal("stdout"):
        lines = [*([list(header)] if header else []), *texts]
        emit("".join("\t".join(line) + "\n" for line in lines))
        return
    screen = console(stdout=True)
    count = max((len(row) for row in texts), default=0)
    full = [[*row, *[""] * (count - len(row))] for row in texts]
    used = [index for index in range(count) if index == 0 or any(row[index] for row in full)]
    names = [header[index] if index < len(header) else "" for index in used]
    table = [[row[index] for index in used] for row in full]
    widths = fitted(
        [[name, *column] for name, *column in zip(names, *table, strict=True)], screen.width - 2 * (len(used) - 1)
    )
    if widths is None or (not header and widths[-1] < _LEAST):
        _show_blocks(screen, names, table)
        return
    if header:
        screen.print(_line(names, widths), style="bold", soft_wrap=True)
        screen.print("─" * (sum(widths) + 2 * (len(widths) - 1)), soft_wrap=True)
    for row in table:
        for line in zip_longest(*map(wrapped, row, widths), fillvalue=""):
            screen.print(_line(line, widths), soft_wrap=True)


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text + " " * (width - cells(text)) for text, width in zip(texts, widths, strict=True)).rstrip()


def _show_blocks(screen: Console, names: Sequence[str], table: Sequence[Sequence[str]]) -> None:
    """Each row as its first cell, and below it the others with their names, empty ones left out."""
    inset = 2 + max((cells(name) + 2 for name in names[1:] if name), default=0)
    for first, *others in table:
        for line in wrapped(first, screen.width):
            screen.print(line, style="bold", soft_wrap=True)
        for name, text in zip(names[1:], others, strict=True):
            for number, line in enumerate(wrapped(text, max(screen.width - inset, 1)) if text else []):
                screen.print(f"  {'' if number else name}".ljust(inset) + line, soft_wrap=True)


def flat(value: object, key: str = "") -> list[tuple[str, str]]:
    """A JSON value as (dotted key, text); null is `unknown`, long lists are shortened."""
    if isinstance(value, dict):
        return [pair for name, item in value.items() for pair in flat(item, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [pair for number, item in enumerate(value, 1) for pair in flat(item, f"{key}.{number}")]
    return [(key, text(value))]


def text(value: object) -> str:
    """One JSON value without structure as a person would write it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        shown = [text(item) for item in value[:6]]
        return ", ".join([*shown, *([f"… ({len(value)} in all)"] if len(value) > 6 else [])]) or "none"
    return str(value)

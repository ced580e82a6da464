"""Tables on stdout: drawn on a terminal, plain and unbroken lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medvis.cli.console import console, emit, is_terminal
from medvis.cli.failures import printable


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Two columns, name and value; in a pipe separated by a tab."""
    show_rows((), pairs)


def show_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; in a pipe one line a row, cells separated by tabs."""
    cells = [[printable(" ".join(cell.split())) for cell in row] for row in rows]
    if not is_terminal("stdout"):
        lines = [*([list(header)] if header else []), *cells]
        emit("".join("\t".join(line) + "\n" for line in lines))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=bool(header), header_style="bold")
    for index in range(max((len(line) for line in cells), default=0)):
        name = header[index] if index < len(header) else ""
        table.add_column(name, no_wrap=index == 0, overflow="fold")
    for line in cells:
        table.add_row(*line)
    console(stdout=True).print(table)


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

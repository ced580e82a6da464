"""Tables as people save them: commas, semicolons or tabs, with or without a byte order mark."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from medvis.errors import InputError

DELIMITERS = (",", ";", "\t")


def read_table(path: Path, columns: Sequence[str], wanted: str | None = None) -> list[dict[str, str]]:
    """The rows of a table with a header, each with all the header's columns; fields without blanks around them.

    Args:
        path: text in UTF-8, or in UTF-16 with a byte order mark.
        columns: that must be there.
        wanted: what the table should have, in words, for error messages; None: those columns.

    Raises:
        InputError: unreadable, no such columns, a column twice, or a row with more or fewer fields than the header.
    """
    wanted = wanted or f"columns {', '.join(columns)}"
    lines = _text(path).splitlines()
    if not lines:
        raise InputError(f"{path} is empty", wanted)
    delimiter = max(DELIMITERS, key=lambda sign: (len(set(columns) & set(_fields(lines[:1], sign)[0])), sign == ","))
    try:
        rows = _fields(lines, delimiter)
    except csv.Error as error:
        raise InputError(f"{path} cannot be read ({error})", "comma-separated values in UTF-8") from error
    header, body = rows[0], rows[1:]
    absent = [name for name in columns if name not in header]
    if absent:
        raise InputError(f"{path} has no column '{absent[0]}' (it has {', '.join(header)})", wanted)
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InputError(f"{path} has the column '{doubled[0]}' twice", "each column once")
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            found = f"{path}: row {number} has {len(row)} fields"
            raise InputError(found, f"{len(header)} as the header has", "a field that holds a comma is put in quotes")
    return [dict(zip(header, row, strict=True)) for row in body]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "comma-separated values in UTF-8") from error


def _fields(lines: list[str], delimiter: str) -> list[list[str]]:
    rows = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    return [[field.strip() for field in row] for row in rows if any(field.strip() for field in row)]

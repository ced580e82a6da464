"""Tables as people save them: commas, semicolons or tabs, with or without a byte order mark."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from medvis.errors import InputError

DELIMITERS = (",", ";", "\t")
COMMENT = "# "
SAVED_AS = "comma-separated values in UTF-8"


def read_table(path: Path, columns: Sequence[str], wanted: str | None = None) -> list[dict[str, str]]:
    """The rows of a table with a header, each with all the header's columns; fields without blanks around them.

    The names of the wanted columns are found whatever their case. A line that begins with ``# `` is a comment.

    Args:
        path: text in UTF-8, or in UTF-16 with a byte order mark.
        columns: that must be there.
        wanted: what the table should have, in words, for error messages; None: those columns.

    Raises:
        InputError: unreadable, no such columns, a column twice, or a row with more or fewer fields than the header.
    """
    wanted = wanted or f"columns {', '.join(columns)}"
    text = _text(path)
    if not text.strip():
        raise InputError(f"{path} is empty", wanted)
    header, body = _split(path, text, columns)
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


def _split(path: Path, text: str, columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """(header, rows), by the delimiter that finds most of the wanted columns in the header."""
    read: dict[str, list[list[str]]] = {}
    errors: list[csv.Error] = []
    for delimiter in DELIMITERS:
        try:
            read[delimiter] = _fields(text, delimiter)
        except csv.Error as error:
            errors.append(error)
    if not read:
        raise InputError(f"{path} cannot be read ({errors[0]})", SAVED_AS)
    headers = {delimiter: _named(rows[0], columns) for delimiter, rows in read.items()}
    best = max(headers, key=lambda delimiter: len(set(columns) & set(headers[delimiter])))
    if errors and not set(columns) <= set(headers[best]):  # the one that fits is the one that cannot be read
        raise InputError(f"{path} cannot be read ({errors[0]})", SAVED_AS)
    return headers[best], read[best][1:]


def _named(header: list[str], columns: Sequence[str]) -> list[str]:
    """The header, with the wanted columns and the usual further ones in the case that they are asked for in."""
    known = {name.casefold(): name for name in (*columns, "label", "mask")}
    return [known.get(name.casefold(), name) for name in header]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", SAVED_AS) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read ({error})", SAVED_AS, "save it as UTF-8") from error
    if "\0" in text:
        raise InputError(f"{path} cannot be read: it holds zero bytes", SAVED_AS, "save it as UTF-8")
    return text


def _fields(text: str, delimiter: str) -> list[list[str]]:
    # A blank between a delimiter and a quote is the writer's, not the field's: the quotes would be read as its text.
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    filled = [[field.strip() for field in row] for row in rows if any(field.strip() for field in row)]
    return [row for row in filled if not row[0].startswith(COMMENT)]

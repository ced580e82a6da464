"""What a data set holds, in one hash: by content, wherever its folder lies and whatever it is called."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from medvis.errors import InputError
from medvis.learn.data.index import Row

# Columns that name further files of a row.
FILES = ("image", "mask", "before", "after")


def require_apart(first: Iterable[Row], second: Iterable[Row]) -> None:
    """Raises InputError where a picture of the first rows is, byte for byte, one of the second."""
    seen = {file_digest(row.image): row for row in first}
    for row in second:
        twin = seen.get(file_digest(row.image))
        if twin is not None:
            found = f"{row.image.name} of split {row.split} is the same picture as {twin.image.name} of {twin.split}"
            raise InputError(found, "each picture in one split")


def rows_digest(rows: Iterable[Row]) -> str:
    """Of rows of index.csv in their order: every field, and the content of every file that they name.

    Raises:
        InputError: a file cannot be read.
    """
    total = sha256()
    for row in rows:
        total.update(json.dumps(row.fields, sort_keys=True).encode())
        for path in _files(row):
            total.update(file_digest(path))
    return total.hexdigest()


def folder_digest(folder: Path) -> str:
    """Of all files below a folder: their paths in it, and their content. Raises InputError."""
    total = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(file_digest(path))
    return total.hexdigest()


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file. Raises InputError."""
    try:
        return sha256(path.read_bytes()).digest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _files(row: Row) -> Iterator[Path]:
    root = row.image.parents[len(Path(row.fields["image"].replace("\\", "/")).parts) - 1]
    for name in FILES:
        value = row.fields.get(name)
        if value:
            path = root / value
            yield path if path.exists() else root / value.replace("\\", "/")

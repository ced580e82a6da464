"""What a data set holds, in one hash: by content, wherever its folder lies and whatever it is called."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from medvis.learn.data.doubles import file_digest
from medvis.learn.data.folders import visible
from medvis.learn.data.index import Row

__all__ = ["file_digest", "folder_digest", "rows_digest"]

# Columns that name further files of a row.
FILES = ("image", "mask", "before", "after")


def rows_digest(rows: Iterable[Row]) -> str:
    """Of rows in their order: every field, and the content of every file that they name.

    Raises:
        InputError: a file cannot be read.
    """
    total = sha256()
    for row in rows:
        total.update(json.dumps(row.fields, sort_keys=True).encode())
        for path in (row.file(name) for name in FILES):
            total.update(b"" if path is None else file_digest(path))
    return total.hexdigest()


def folder_digest(folder: Path) -> str:
    """Of all visible files below a folder: their paths in it, and their content. Raises InputError."""
    total = sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and visible(path)):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(file_digest(path))
    return total.hexdigest()

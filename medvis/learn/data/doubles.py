"""Pictures that a data set holds twice, byte for byte, under whatever names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from medvis.errors import InputError
from medvis.learn.data.label_names import is_unknown, normalised


class Pictured(Protocol):
    """A row of a data set."""

    @property
    def split(self) -> str:
        """Its split."""
        ...

    @property
    def label(self) -> str:
        """Its label as it is written."""
        ...

    @property
    def image(self) -> Path:
        """Its picture."""
        ...


R = TypeVar("R", bound=Pictured)


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file. Raises InputError."""
    try:
        return sha256(path.read_bytes()).digest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def twins(rows: Iterable[R]) -> list[list[R]]:
    """The rows whose pictures are the same file content, two or more each; only files of one size are read.

    Files that are not there are passed over: whoever reads them says so.
    """
    sizes: dict[int, list[R]] = defaultdict(list)
    for row in rows:
        if row.image.is_file():
            sizes[row.image.stat().st_size].append(row)
    contents: dict[bytes, list[R]] = defaultdict(list)
    for alike in sizes.values():
        for row in alike if len(alike) > 1 else ():
            contents[file_digest(row.image)].append(row)
    return [group for group in contents.values() if len(group) > 1]


def require_apart(rows: Iterable[R]) -> list[list[R]]:
    """Refuses a picture that is in two splits; returns the rest of the doubled ones, as `twins` does.

    Raises:
        InputError: naming both files.
    """
    found = twins(rows)
    for group in found:
        for row in group[1:]:
            if row.split != group[0].split:
                said = f"{row.image.name} of split {row.split} is the same picture as {group[0].image.name}"
                raise InputError(f"{said} of {group[0].split}", "each picture in one split")
    return found


def contradictions(doubled: Sequence[Sequence[R]]) -> list[Sequence[R]]:
    """Those of some doubled pictures that have two labels."""
    return [
        group for group in doubled if len({normalised(row.label) for row in group if not is_unknown(row.label)}) > 1
    ]


def require_one_label(doubled: Sequence[Sequence[R]]) -> None:
    """Raises InputError where one of some doubled pictures has two labels."""
    wrong = contradictions(doubled)
    if wrong:
        names = " and ".join(f"{row.image.name} ('{row.label}')" for row in wrong[0][:2])
        more = f"; so are {len(wrong) - 1} more" if wrong[1:] else ""
        raise InputError(f"{names} are the same picture with two labels{more}", "one label for one picture")

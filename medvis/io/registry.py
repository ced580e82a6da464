"""The registered readers, and which of them a file is for. All are asked; none is known here by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from medvis import plugins
from medvis.core.protocols import Reader
from medvis.errors import InputError, SettingsError

GROUP = "medvis.readers"


class Match(NamedTuple):
    """A reader and what it calls a file's format."""

    reader: Reader
    format: str


class Registered(NamedTuple):
    """The readers, those of the highest rank first, and why others cannot be used."""

    readers: tuple[Reader, ...]
    errors: tuple[SettingsError, ...]


@cache
def registered() -> Registered:
    """Every registered reader. One that cannot be imported does not keep the others from their files."""
    readers, errors = [], []
    for name in plugins.names(GROUP):
        try:
            readers.append(plugins.create(GROUP, name, Reader))  # type: ignore[type-abstract]
        except SettingsError as error:
            errors.append(error)
    return Registered(tuple(sorted(readers, key=lambda reader: -reader.rank)), tuple(errors))


def match(path: Path, head: bytes) -> Match | None:
    """The reader for a file, or None.

    Args:
        path: where it lies.
        head: its first bytes, as `magic.head_of` reads them.

    Raises:
        InputError: two readers of the same rank claim it.
    """
    claims = [Match(reader, known) for reader in registered().readers if (known := reader.format_of(head, path))]
    if not claims:
        return None
    rivals = [claim.reader.name for claim in claims if claim.reader.rank == claims[0].reader.rank]
    if len(rivals) > 1:
        raise InputError(f"{path} is claimed by the readers {' and '.join(rivals)}", "one", "uninstall one of them")
    return claims[0]


def index_names() -> frozenset[str]:
    """The names, in capitals, of files that list others, such as ``DICOMDIR``."""
    return frozenset(name for reader in registered().readers for name in reader.indexes)


def endings() -> tuple[str, ...]:
    """The usual endings of the files that can be read, in lower case, the longest first: ``.nii.gz``, ``.nii``."""
    patterns = {pattern.lower().lstrip("*") for reader in registered().readers for pattern in reader.patterns}
    return tuple(sorted(patterns, key=lambda ending: (-len(ending), ending)))


def wanted() -> str:
    """What can be read, for an error message."""
    words = [reader.wanted for reader in registered().readers]
    return f"{', '.join(words[:-1])}, or {words[-1]}" if len(words) > 1 else "".join(words)


def titles(readers: Sequence[Reader]) -> str:
    """The formats of some readers in words: ``DICOM or NRRD``."""
    return " or ".join(reader.title for reader in readers)

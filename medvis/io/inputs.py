"""Whatever the user gives, as the volumes that it holds: a file, a folder, an index, a ZIP archive of a study.

Nothing here knows a format: every registered reader is asked about everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from medvis.core.protocols import Reader
from medvis.core.volumes import Volume, Volumes, naming, read_file
from medvis.errors import InputError
from medvis.io.folder import volumes_of
from medvis.io.magic import ZIP, head_of, looks_like
from medvis.io.registry import match, registered, wanted
from medvis.io.search import search


@contextmanager
def volumes(path: str | os.PathLike[str]) -> Iterator[Volumes]:
    """The volumes of an input, for as long as the block runs.

    A file that is one scan is one volume; an enhanced multi-frame file may hold several. A folder is searched to its
    depth, for DICOM or, where there is none, for other volumes and pictures, each a volume. A DICOMDIR gives the files
    that it lists; a ZIP archive lies unpacked in a private folder until the block ends, so that `Source.path` and
    `Source.files` of a scan lead to its files inside the block, and inside it only.

    Raises:
        InputError: absent, empty, unreadable, of no kind that is known, without any image, or an archive that is
            refused. Names of the private folder stand in no error that leaves the block: they are those of the archive.
        SettingsError: no reader knows it, and one of them cannot be imported.
    """
    given = Path(path)
    with ExitStack() as stack:
        try:
            opened = _opened(given, stack)
        except OSError as error:
            raise InputError(f"{given} cannot be read: {error.strerror or error}") from error
        with opened.naming():
            yield opened


def check(path: Path) -> None:
    """Refuses what `volumes` would refuse at first sight, before anything is read but a file's first bytes.

    Raises:
        InputError: absent, empty, unreadable, or of no kind that is known.
        SettingsError: no reader knows it, and one of them cannot be imported.
    """
    try:
        if not path.is_dir() and match(path, head := _head(path)) is None and not head.startswith(ZIP):
            raise _unknown(path, head)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _opened(path: Path, stack: ExitStack) -> Volumes:
    if path.is_dir():
        return _in_folder(path)
    head = _head(path)
    for reader in registered().readers:
        listing = reader.listed(path, head)
        if listing is not None:
            inside = volumes_of(path.parent, listing.files, listing.remarks)
            return Volumes(str(path), list(inside), inside.notes)
    claim = match(path, head)
    if claim is not None:
        return _in_file(path, claim.reader)
    if head.startswith(ZIP):
        return _in_archive(path, stack)
    raise _unknown(path, head)


def _unknown(path: Path, head: bytes) -> InputError:
    """Why a file that no reader claims cannot be read. Raises SettingsError: a reader is missing."""
    for error in registered().errors:  # the missing reader may be the one for this file
        raise error
    return InputError(f"{path} is {looks_like(head)}", wanted())


def _head(path: Path) -> bytes:
    """The first bytes of a file. Raises InputError if it is absent, empty or no file; OSError if it is unreadable."""
    if not path.exists():
        raise InputError(f"{path} does not exist", wanted())
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder", wanted())
    head = head_of(path)
    if not head:
        raise InputError(f"{path} is empty (0 bytes)", wanted())
    return head


def _in_archive(path: Path, stack: ExitStack) -> Volumes:
    from medvis.io.archive import unpacked  # noqa: PLC0415 - zipfile is for archives only

    folder = stack.enter_context(unpacked(path))
    with naming(str(folder), str(path)):
        inside = _in_folder(folder)
    return Volumes(str(path), list(inside), inside.notes, private=str(folder)).with_left_out(inside.left_out)


def _in_file(path: Path, reader: Reader) -> Volumes:
    """A file is one scan, unless its reader finds more or less in it."""
    inside = reader.inside(path)
    if inside:
        return Volumes(str(path), inside)
    return Volumes(str(path), [_single(path, reader)], grouped=False)


def _in_folder(folder: Path) -> Volumes:
    for reader in registered().readers:
        if reader.claims_folder(folder):
            return Volumes(str(folder), [_single(folder, reader)], grouped=False)
    found = search(folder)
    inside = volumes_of(folder, found.files, found.remarks(), found.left_out())
    return inside.with_left_out(found.left_out())


def _single(path: Path, reader: Reader) -> Volume:
    return Volume(path.name, "one file", (path.name,), None, partial(read_file, reader.read, path))

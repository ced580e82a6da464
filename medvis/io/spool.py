"""Bytes that come through a pipe, kept in a private file, since readers tell formats apart and decode by files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medvis.core.volumes import Volumes, naming
from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.private import private_folder

MOST = 4 << 30
"""Bytes that are taken from a pipe at most, as from a member of an archive."""
_CHUNK = 1 << 20


@contextmanager
def spooled(stream: BinaryIO | None, name: str, most: int = MOST) -> Iterator[Path]:
    """All of a stream in a file of that name, in a private folder that is removed when the block ends.

    Args:
        stream: is read to its end; None: there is none, which counts as empty.
        name: of the file, and for messages.
        most: bytes, at most.

    Raises:
        InputError: more than `most` bytes, or than there is room for; or the stream cannot be read.
    """
    with private_folder() as folder:
        path = folder / name
        try:
            _copy(stream, path, name, min(most, shutil.disk_usage(folder).free))
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror or error}") from error
        yield path


@contextmanager
def spooled_volumes(path: Path) -> Iterator[Volumes]:
    """As `medvis.io.inputs.volumes` of a spooled file, under its name instead of its private path."""
    with naming(str(path), path.name), volumes(path) as inside:
        private = inside.private or str(path)
        named = Volumes(path.name, list(inside), inside.notes, inside.grouped, private)
        yield named.with_left_out(inside.left_out)


def _copy(stream: BinaryIO | None, path: Path, name: str, most: int) -> None:
    left = most
    with path.open("xb") as file:
        while stream is not None and (chunk := stream.read(min(_CHUNK, left + 1))):
            left -= len(chunk)
            if left < 0:
                found = f"{name} has more than {most / (1 << 30):.3g} GiB"
                raise InputError(found, "one image", "save it as a file, and give that")
            file.write(chunk)

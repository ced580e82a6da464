"""A folder that one process at a time works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvis.errors import SettingsError

LOCK = ".lock"


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Keeps a folder, which is made where it is absent, for this process.

    Args:
        folder: of the work.
        work: what is done there, for the message, e.g. ``training``.

    Raises:
        SettingsError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+b") as file:
        if not _lock(file.fileno()):
            raise SettingsError(f"another {work} is at work in {folder}", hint="wait for it, or give another folder")
        yield


def _lock(descriptor: int) -> bool:
    """A lock that the system takes back when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - of Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl  # noqa: PLC0415 - of POSIX only

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

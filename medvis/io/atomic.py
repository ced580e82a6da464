"""One file written whole or not at all, and what could not be written refused before any work.

A rename inside one folder is atomic (POSIX rename, and MoveFileEx on Windows, through `os.replace`). That holds
against a crash of this program; against a loss of power only where `durable` is asked for, since every flush waits
for the disk.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from medvis.errors import OutputError

_HINTS = {
    errno.ENOSPC: "free some space, or choose another folder with -o",
    errno.EDQUOT: "free some space, or choose another folder with -o",
    errno.EROFS: "the file system is read-only; choose another folder with -o",
    errno.EACCES: "permission is missing; choose another folder with -o",
    errno.EPERM: "permission is missing; choose another folder with -o",
    errno.ENAMETOOLONG: "choose a shorter name with -o",
}


def write_error(path: Path, error: OSError) -> OutputError:
    """What a failed write means to the user, in one line."""
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {path}: {reason}", hint=_HINTS.get(error.errno or 0))


def check_target(folder: Path, names: Iterable[str], force: bool) -> None:
    """Refuses, before any work is done, a target that could not be written in the end. Leaves no trace.

    The nearest existing folder is tried with a nameless temporary file, because permission bits alone say nothing
    to root or on a read-only file system.

    Args:
        folder: where the results go; it need not exist yet.
        names: the files that will be written into it.
        force: whether existing files may be replaced.

    Raises:
        OutputError: the folder is, or lies below, a file; it cannot be written; or a file exists and not `force`.
    """
    try:
        nearest = nearest_folder(folder)
        with tempfile.TemporaryFile(dir=nearest):
            pass
        taken = [name for name in names if is_taken(folder / name, force)]
    except (OSError, ValueError) as error:
        raise _refusal(folder, error) from error
    if taken:
        more = f" and {len(taken) - 1} more exist" if len(taken) > 1 else " exists"
        raise OutputError(
            f"{folder / taken[0]}{more} already", hint="give --force to replace, or another folder with -o"
        )


@contextmanager
def whole_file(target: Path, *, durable: bool = False, draft_folder: Path | None = None) -> Iterator[BinaryIO]:
    """A stream whose bytes are at `target` once the block has ended; after an error, what was there is there still.

    Args:
        target: its folder is made if absent. An existing file is replaced and its permissions are kept; a link is
            followed.
        durable: whether the file, its name and new folders are flushed to the disk, so that they outlast a loss of
            power.
        draft_folder: where the bytes are until then, on the same file system; default: the target's own folder.

    Raises:
        OSError: as it comes.
    """
    target = Path(os.path.realpath(target))
    fresh = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = (draft_folder or target.parent) / f".medvis-{secrets.token_hex(8)}"
    try:
        with draft.open("xb") as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
        for folder in (target.parent, *(made.parent for made in fresh)) if durable else ():
            flush_folder(folder)
    finally:
        draft.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes one file whole or not at all; an existing one is replaced (ask `check_target` before).

    A link is followed; a device or a pipe (``/dev/null``) is written to, never replaced.

    Raises:
        OutputError: the folder is absent or not writable, or the disk is full.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}")
        with whole_file(target) as stream:
            stream.write(data)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def flush_below(folder: Path) -> None:
    """Makes everything below a folder last, and the folder itself in the one above it."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as stream:
                os.fsync(stream.fileno())
        else:
            flush_folder(path)
    flush_folder(folder)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Makes a rename in the folder last; where folders cannot be opened (Windows) the system does that itself."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def nearest_folder(folder: Path) -> Path:
    """The folder itself or, if it is yet to be made, the nearest one above it that exists."""
    for path in (folder, *folder.absolute().parents):
        if path.is_dir():
            return path
        if path.exists() or path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder")
    raise FileNotFoundError(errno.ENOENT, "no such drive")


def is_taken(path: Path, force: bool) -> bool:
    """Whether a file must not be written: it is there and not to be replaced, or it is a folder."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, f"{path} is a folder")
    return not force and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))


def _refusal(path: Path, error: OSError | ValueError) -> OutputError:
    if isinstance(error, OSError):
        return write_error(path, error)
    return OutputError(f"cannot write {str(path)!r}: {error}")

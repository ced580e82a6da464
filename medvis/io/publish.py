"""Results appear whole or not at all: everything is written into a private folder first, then moved into place.

A rename inside one folder is atomic (POSIX rename, and MoveFileEx on Windows, through `os.replace`). That holds
against a crash of this program, not against a loss of power: files are not flushed to the disk one by one.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from medvis.core.protocols import Outcome, Writer
from medvis.core.scan import Scan
from medvis.errors import OutputError

REPORT = "report.json"
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
        nearest = _nearest(folder)
        with tempfile.TemporaryFile(dir=nearest):
            pass
        taken = [name for name in names if _taken(folder / name, force)]
    except (OSError, ValueError) as error:
        raise _refusal(folder, error) from error
    if taken:
        more = f" and {len(taken) - 1} more" if len(taken) > 1 else ""
        raise OutputError(
            f"{folder / taken[0]}{more} exists already", hint="give --force to replace, or another folder with -o"
        )


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
        draft = target.with_name(f".medvis-{secrets.token_hex(8)}")
        try:
            with draft.open("xb") as file:
                file.write(data)
            if target.exists():
                shutil.copymode(target, draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def check_scan(scan: Scan, writers: Iterable[Writer]) -> None:
    """Refuses, before any work is done, a scan of which a writer could write nothing. Raises OutputError."""
    for writer in writers:
        ask: Callable[[Scan], None] | None = getattr(writer, "check", None)
        if ask is not None:
            ask(scan)


def publish(outcome: Outcome, folder: Path, writers: Sequence[Writer], force: bool) -> list[Path]:
    """Lets every writer write, then moves all files into `folder`, the report last.

    A report in the folder therefore means that all the rest is there. On any error, the folder is as it was.

    Args:
        outcome: what to write.
        folder: made if absent.
        writers: each declares its files' names (`Writer.files`).
        force: whether existing files may be replaced.

    Returns:
        the files in place, in the writers' order.

    Raises:
        OutputError: as `check_target`; two writers want one name; a writer fails; the disk is full.
    """
    names = _names(outcome, writers)
    check_target(folder, names, force)
    with _private(folder) as private:
        try:
            fresh = private / "new"
            fresh.mkdir()
            able = [writer for writer in writers if _applies(writer, outcome)]
            for writer in _in_order(able):
                _run(writer, outcome, fresh)
            _place(fresh, folder, names, force)
        except OSError as error:
            raise write_error(folder, error) from error
    return [folder / name for name in _names(outcome, able)]


def _applies(writer: Writer, outcome: Outcome) -> bool:
    """Whether a writer has anything to write; one that does not say always has."""
    asked: Callable[[Outcome], bool] | None = getattr(writer, "applies", None)
    return asked is None or asked(outcome)


def _in_order(writers: Sequence[Writer]) -> list[Writer]:
    """The writers that look at other writers' files after all that do not."""
    return sorted(writers, key=lambda writer: bool(getattr(writer, "after", ())))


def _names(outcome: Outcome, writers: Sequence[Writer]) -> list[str]:
    frames = outcome.case.scan.frames
    names = [name for writer in writers for name in writer.files(frames)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OutputError(f"two writers want to write {twice[0]}", hint="name each writer once in --write")
    return names


def _run(writer: Writer, outcome: Outcome, fresh: Path) -> None:
    promised = set(writer.files(outcome.case.scan.frames))
    written = {path.name for path in writer.write(outcome, fresh) if path.parent == fresh and path.is_file()}
    if written != promised:
        raise OutputError(
            f"writer '{writer.name}' wrote {', '.join(sorted(written)) or 'nothing'}", ", ".join(sorted(promised))
        )


def _place(fresh: Path, folder: Path, names: Sequence[str], force: bool) -> None:
    """Moves the new files in, the report last; what they replace is kept beside them until all are in place.

    An old file of a name that was not written this time goes too: it is of another report.
    """
    order = sorted(names, key=lambda name: name == REPORT)
    kept = fresh.with_name("old")
    kept.mkdir()
    placed: list[str] = []
    try:
        for name in reversed(order):
            if _taken(folder / name, force):
                raise OutputError(f"{folder / name} has appeared meanwhile", hint="give --force to replace it")
            with suppress(FileNotFoundError):
                (folder / name).replace(kept / name)
        for name in [name for name in order if (fresh / name).exists()]:
            (fresh / name).replace(folder / name)
            placed.append(name)
    except BaseException:
        for name in placed:
            (folder / name).unlink(missing_ok=True)
        for old in kept.iterdir():
            old.replace(folder / old.name)
        raise


@contextmanager
def _private(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`: the one place that is sure to be on the same file system and writable."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private = Path(tempfile.mkdtemp(prefix=".medvis-", dir=folder))
    except OSError as error:
        _remove_empty(made)
        raise write_error(folder, error) from error
    try:
        yield private
    except BaseException:
        shutil.rmtree(private, ignore_errors=True)
        _remove_empty(made)
        raise
    shutil.rmtree(private, ignore_errors=True)


def _remove_empty(folders: Iterable[Path]) -> None:
    for path in folders:
        with suppress(OSError):
            path.rmdir()


def _nearest(folder: Path) -> Path:
    """The folder itself or, if it is yet to be made, the nearest one above it that exists."""
    for path in (folder, *folder.absolute().parents):
        if path.is_dir():
            return path
        if path.exists() or path.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, f"{path} is not a folder")
    raise FileNotFoundError(errno.ENOENT, "no such drive")


def _taken(path: Path, force: bool) -> bool:
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

"""Private folders that leave nothing behind, and the move of what was made in them into place.

A folder is locked for as long as its process lives; the lock is the operating system's, and goes with the process
however that ends. What a killed process left is swept by the next one that makes a folder beside it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from medvis.errors import OutputError
from medvis.io.atomic import is_taken

try:
    import fcntl
except ImportError:  # Windows: nothing can be told about another process, so that nothing is swept
    fcntl = None  # type: ignore[assignment]

_NAME = re.compile(r"\.?medvis-[0-9a-f]{16}")
_LOCK, _PLACING, FILES = ".lock", ".placing", "files"
_MAGIC = b"a private folder of medvis\n"
_PATIENCE = 30.0


@contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for this process alone, removed when the block ends, however it does.

    Args:
        parent: where it is made, hidden; None: the system's folder for temporary files.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    root = place / f"{'' if parent is None else '.'}medvis-{secrets.token_hex(8)}"
    root.mkdir(mode=0o700)
    try:
        with (root / _LOCK).open("xb") as lock:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(_MAGIC)
            lock.flush()
            (root / FILES).mkdir(mode=0o700)
            yield root / FILES
    finally:
        shutil.rmtree(root, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Removes the private folders in `parent` whose process is gone; a move that one had begun is undone."""
    if fcntl is None:
        return
    with suppress(OSError):
        for root in [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]:
            with suppress(OSError):
                _sweep_folder(root, parent)


def sweep_temporary() -> None:
    """`sweep` of the folder for temporary files. It is not asked of `tempfile`, which would write into it to see."""
    sweep(Path(os.environ.get("TMPDIR") or "/tmp"))


def _sweep_folder(root: Path, parent: Path) -> None:
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        return
    handle = os.open(root / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an OSError: its process lives
        if lock.read() != _MAGIC:
            return
        if (root / _PLACING).exists():
            with _alone(parent):
                _undo(root, parent)
        shutil.rmtree(root, ignore_errors=True)


def move_in(private: Path, folder: Path, names: Sequence[str], force: bool) -> None:
    """Moves files or folders from ``private/new`` into the folder that `private` was made in: all of them, or none.

    Two processes never mix: one waits for the other. What is replaced is kept until all are in place.

    Args:
        private: as `private_folder(folder)` gave it.
        folder: where they go.
        names: in the order in which they are moved. One that was not made this time is removed from the folder: it
            is of another result.
        force: whether existing files may be replaced.

    Raises:
        OutputError: one has appeared meanwhile, or another process does not get done.
        OSError: as it comes.
    """
    root, fresh, kept = private.parent, private / "new", private / "old"
    kept.mkdir()
    order = [name for name in names if (fresh / name).exists()]
    with _alone(folder):
        (root / _PLACING).write_text(json.dumps(order))
        try:
            for name in reversed(names):
                if is_taken(folder / name, force):
                    raise OutputError(f"{folder / name} has appeared meanwhile", hint="give --force to replace it")
                with suppress(FileNotFoundError):
                    (folder / name).replace(kept / name)
            for name in order:
                _move_new(fresh / name, folder / name, force)
        except BaseException:
            _undo(root, folder)
            raise
        (root / _PLACING).unlink()


def _move_new(source: Path, target: Path, force: bool) -> None:
    """Renames, without replacing anything unless `force`; where there are no hard links, the lock must do."""
    if not force and not source.is_dir():
        try:
            os.link(source, target)
        except FileExistsError as error:
            raise OutputError(f"{target} has appeared meanwhile", hint="give --force to replace it") from error
        except OSError:
            pass
        else:
            source.unlink()
            return
    source.replace(target)


def _undo(root: Path, folder: Path) -> None:
    """Undoes a move that was not finished: what was placed goes, what it replaced comes back."""
    fresh, kept = root / FILES / "new", root / FILES / "old"
    try:
        names = json.loads((root / _PLACING).read_text())
    except ValueError:  # killed while it wrote this: nothing was moved
        return
    left = [name for name in names if (fresh / name).exists()]
    if names and not left:
        return  # it was finished
    for name in names:
        linked = name in left and (folder / name).exists() and (folder / name).samefile(fresh / name)
        if name in left and not linked:
            continue
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    for old in kept.iterdir():
        old.replace(folder / old.name)
    (root / _PLACING).unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A block in which no other process moves anything into the folder. Raises OutputError after half a minute."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OutputError(f"another process holds {folder}", hint="another folder with -o") from None
                time.sleep(0.01)
            except OSError:  # a file system without locks on folders
                break
            else:
                break
        yield
    finally:
        os.close(handle)

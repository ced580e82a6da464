"""What a listener finds in its folder when it starts: its own files are queued, others are moved aside, none is lost.

A file is ours where its place says so: the names of its folders and its own are hashes of the UIDs that stand in it.
Only drafts are removed, by the form of their name; their senders never heard of success.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medvis.batch.journal import FILE, Journal
from medvis.errors import SettingsError
from medvis.pacs.files import identity_of_file

LOST = "lost"
"""Below the store: what was found in it and is not ours, under the path that it had."""
_DRAFT = re.compile(r"\.medvis-[0-9a-f]{16}")
_NAME = re.compile(r"[0-9a-f]{16}")
_UNTOUCHED = ("lost+found",)  # a fresh file system has it


def short(uid: str) -> str:
    """The name of a study or series in folders and logs: a hash, from which the UID cannot be had."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def instance_name(series: str, instance: str) -> str:
    """The file of an instance, relative to the folder of its study."""
    return f"in/{short(series)}/{short(instance)}.dcm"


def check_ours(folder: Path) -> None:
    """Refuses a folder that holds anything, but no queue of ours.

    Raises:
        SettingsError: it does, or a link or file is where a folder of ours belongs.
        OSError: it cannot be read.
    """
    for name in ("incoming", "studies", LOST):
        place = folder / name
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            raise SettingsError(f"{place} is a link or a file", "a folder of its own", "another --store")
    if (folder / FILE).is_file() and not (folder / FILE).is_symlink():
        return
    if folder.exists() and any(path.name not in _UNTOUCHED for path in folder.iterdir()):
        raise SettingsError(
            f"{folder} holds files, but no queue of medvis ({FILE})",
            "an empty or absent folder, or a store",
            f"another --store; a store that lost its queue is queued anew where {FILE} is an empty file",
        )


@dataclass(frozen=True)
class Recovered:
    """How many files were queued that had no row, and how many things were moved to `LOST`."""

    queued: int = 0
    lost: int = 0


def recover(folder: Path, journal: Journal) -> Recovered:
    """Makes folder and queue agree, without removing any file but drafts.

    Raises:
        OSError: the folder cannot be read or written.
    """
    known = {short(study): files for study, files in journal.files().items()}
    queued, lost = 0, 0
    for draft in (folder / "incoming").iterdir():
        if _DRAFT.fullmatch(draft.name) and draft.is_file() and not draft.is_symlink():
            draft.unlink()
        else:
            lost += set_aside(folder, draft)
    for study in (folder / "studies").iterdir():
        files = known.get(study.name, set())
        strays = list(_strays(study, files))
        taken = {path for path in strays if _queue(study, path, journal)}
        queued += len(taken)
        if files or taken:
            lost += sum(set_aside(folder, path) for path in strays if path not in taken)
        else:
            lost += _set_aside_study(folder, study, bool(strays))
    return Recovered(queued, lost)


def drop_study(store: Path, study: Path, files: set[str]) -> None:
    """Removes the instances and results of a study; whatever else lies in its folder is moved aside."""
    for name in files:
        (study / name).unlink(missing_ok=True)
    for path in list(_strays(study, set())):
        set_aside(store, path)
    shutil.rmtree(study, ignore_errors=True)


def set_aside(store: Path, path: Path) -> int:
    """Moves something that is not ours to `LOST`, under the path that it had: 1, the number of things moved."""
    target = store / LOST / path.relative_to(store)
    if target.exists() or target.is_symlink():
        target = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return 1


def _set_aside_study(store: Path, study: Path, strays: bool) -> int:
    """A folder of which nothing could be queued: 0 where it was empty."""
    empty = study.is_dir() and not any(path.is_symlink() or not path.is_dir() for path in study.rglob("*"))
    if empty and not strays and not study.is_symlink():
        shutil.rmtree(study)
        return 0
    return set_aside(store, study)


def _strays(study: Path, files: set[str]) -> Iterator[Path]:
    """What lies in a study's folder and is neither of `files` nor a folder of results."""
    if study.is_symlink() or not study.is_dir():
        return
    for path in study.iterdir():
        if path.is_symlink() or not path.is_dir() or path.name not in ("in", "out"):
            yield path
    out, inside = study / "out", study / "in"
    if out.is_dir() and not out.is_symlink():
        yield from (path for path in out.iterdir() if path.is_symlink() or not _NAME.fullmatch(path.name))
    if inside.is_dir() and not inside.is_symlink():
        for path in inside.rglob("*"):
            if (path.is_symlink() or not path.is_dir()) and path.relative_to(study).as_posix() not in files:
                yield path


def _queue(study: Path, path: Path, journal: Journal) -> bool:
    """Queues a file whose place is that of the instance in it."""
    with suppress(ValueError, OSError):
        if path.is_symlink() or not path.is_file():
            return False
        uids = identity_of_file(path)
        name = instance_name(uids.series, uids.instance)
        if study.name != short(uids.study) or path.relative_to(study).as_posix() != name:
            return False
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        journal.add(uids.study, uids.instance, digest, name)
        return True
    return False

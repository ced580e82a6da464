"""A queue of studies on the disk: which study has which instances, what was diagnosed, what was sent.

SQLite from the standard library, in WAL mode with every commit flushed: one instance, one state and one delivery
change together or not at all, several threads write, and a killed process leaves what was committed. The data sets
themselves are files beside it; a file counts only once it has a row.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medvis.errors import OutputError, SettingsError

FILE = "queue.sqlite3"
_VERSION = 1
_TABLES = """
CREATE TABLE studies (
  uid TEXT PRIMARY KEY, state TEXT NOT NULL, touched REAL NOT NULL, digest TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL DEFAULT 0);
CREATE TABLE instances (
  study TEXT NOT NULL, uid TEXT NOT NULL, sha256 TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (study, uid));
CREATE TABLE results (
  study TEXT NOT NULL, uid TEXT NOT NULL, file TEXT NOT NULL, sent REAL, PRIMARY KEY (study, uid));
"""

State = Literal["open", "sending", "done", "failed"]
Arrival = Literal["new", "known", "own", "conflict"]


@dataclass(frozen=True)
class Result:
    """One DICOM object that a diagnosis made; `file` is relative to the study's folder."""

    uid: str
    file: str


@dataclass(frozen=True)
class Study:
    """A study in the queue.

    Attributes:
        uid: Study Instance UID.
        state: ``open`` – to be diagnosed; ``sending`` – results to be sent; ``done``; ``failed`` – set aside.
        touched: when the last new instance came, or the state changed to done (as `Journal.now`).
        digest: of the instances that the last diagnosis saw.
        attempts: of the work that its state asks for, that failed or were begun.
    """

    uid: str
    state: State
    touched: float
    digest: str | None
    attempts: int


class Journal:
    """The queue. Safe to use from several threads; one process at a time. Studies and instances are known by UID.

    Args:
        store: the folder that the file is in, or is made in.
        owner: what a process that uses the queue is called in a message.
        option: of the command line, with which the folder is chosen, for the hint of a message.

    Raises:
        SettingsError: another process uses the folder, or the file is no queue of this version.
        OutputError: the folder cannot be written.
    """

    def __init__(self, store: Path, owner: str = "process", option: str = "folder") -> None:
        self._lock = threading.RLock()
        self._began = time.time() - time.monotonic()
        try:
            # One process: the lock is the operating system's, and goes with the process however that ends.
            self._base = sqlite3.connect(store / FILE, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._create(store, option)
            self._check(store)
        except sqlite3.OperationalError as error:
            self._base.close()
            if "locked" in str(error):
                raise SettingsError(f"{store} is in use by another {owner}", f"a {option} of its own") from error
            raise OutputError(f"cannot write the queue in {store}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._base.close()
            hint = f"another {option}; or put an empty file in its place: the images are then queued anew"
            raise SettingsError(f"{store / FILE} is no queue: {error}", "an undamaged one", hint) from error

    def now(self) -> float:
        """Seconds since 1970 as they were when the queue was opened, and since then by a clock that is never set."""
        return self._began + time.monotonic()

    def close(self) -> None:
        """Ends the use of the file."""
        with self._lock:
            self._base.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """All that is done in the block is committed together, or not at all; threads wait for each other."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def seen(self, study: str, instance: str, sha256: str) -> Arrival:
        """Whether an instance is new, is here already, or is one of our own results that comes back.

        ``conflict``: its UID is here, with other content. A UID names one content for ever (PS3.5 9).
        """
        with self._lock:
            key = (study, instance)
            if self._base.execute("SELECT 1 FROM results WHERE study = ? AND uid = ?", key).fetchone():
                return "own"
            row = self._base.execute("SELECT sha256 FROM instances WHERE study = ? AND uid = ?", key).fetchone()
        if row is None:
            return "new"
        return "known" if row[0] == sha256 else "conflict"

    def add(self, study: str, instance: str, sha256: str, file: str) -> None:
        """Notes a new instance, whose file is in place; its study is open (again).

        Args:
            study: its UID.
            instance: its UID.
            sha256: of the file, in hexadecimal digits.
            file: relative to the study's folder.
        """
        with self.change() as base:
            base.execute("INSERT OR IGNORE INTO instances VALUES (?, ?, ?, ?)", (study, instance, sha256, file))
            base.execute(
                "INSERT INTO studies (uid, state, touched) VALUES (?, 'open', ?) ON CONFLICT (uid) DO UPDATE SET "
                "state = 'open', touched = excluded.touched, attempts = 0, due = 0",
                (study, self.now()),
            )

    def due(self, state: State, quiet_since: float) -> list[Study]:
        """Studies in that state whose time has come, not touched since `quiet_since`.

        Those that failed least come first, then the oldest: one that fails again and again holds up nobody.
        """
        with self._lock:
            rows = self._base.execute(
                "SELECT uid, state, touched, digest, attempts FROM studies "
                "WHERE state = ? AND due <= ? AND touched <= ? ORDER BY attempts, touched",
                (state, self.now(), quiet_since),
            ).fetchall()
        return [Study(*row) for row in rows]

    def digest(self, study: str) -> str:
        """What a diagnosis depends on: the UIDs and hashes of all instances."""
        with self._lock:
            rows = self._base.execute("SELECT uid, sha256 FROM instances WHERE study = ? ORDER BY uid", (study,))
            text = "\n".join(f"{uid} {sha256}" for uid, sha256 in rows)
        return hashlib.sha256(text.encode()).hexdigest()

    def diagnosed(self, study: str, digest: str, results: Iterable[Result]) -> bool:
        """Takes over the results of a diagnosis, unless instances have come meanwhile: then False.

        A result that was sent before is not sent again; one that was not, and is made no more, is forgotten.
        """
        new = list(results)
        with self.change() as base:
            if self.digest(study) != digest:
                base.execute("UPDATE studies SET attempts = 0, due = 0 WHERE uid = ?", (study,))
                return False
            base.execute("DELETE FROM results WHERE study = ? AND sent IS NULL", (study,))
            base.executemany(
                "INSERT INTO results (study, uid, file) VALUES (?, ?, ?) "
                "ON CONFLICT (study, uid) DO UPDATE SET file = excluded.file",
                [(study, result.uid, result.file) for result in new],
            )
            base.execute(
                "UPDATE studies SET state = 'sending', digest = ?, attempts = 0, due = 0 WHERE uid = ?", (digest, study)
            )
        return True

    def unsent(self, study: str) -> list[Result]:
        """The results that the destination has not taken yet."""
        with self._lock:
            rows = self._base.execute(
                "SELECT uid, file FROM results WHERE study = ? AND sent IS NULL ORDER BY file", (study,)
            ).fetchall()
        return [Result(*row) for row in rows]

    def taken(self, study: str) -> list[str]:
        """The files, as `Result` has them, of all results that the destination has, of earlier diagnoses as well."""
        with self._lock:
            rows = self._base.execute(
                "SELECT file FROM results WHERE study = ? AND sent IS NOT NULL ORDER BY sent, file", (study,)
            )
            return [file for (file,) in rows]

    def sent(self, study: str, uids: Iterable[str]) -> None:
        """Notes that the destination has taken these."""
        with self.change() as base:
            base.executemany(
                "UPDATE results SET sent = ? WHERE study = ? AND uid = ?", [(self.now(), study, uid) for uid in uids]
            )

    def count(self, study: str, by: int = 1) -> None:
        """Counts an attempt before it starts, so that a study which brings everything down is not tried for ever."""
        with self.change() as base:
            base.execute("UPDATE studies SET attempts = attempts + ? WHERE uid = ?", (by, study))

    def settle(self, study: Study, state: State, due: float = 0.0) -> bool:
        """The new state of a study, unless instances have come since it was looked at: then False.

        Args:
            study: as `due` gave it.
            state: its new state.
            due: earliest time of the next attempt, as `now`.
        """
        with self.change() as base:
            changed = base.execute(
                "UPDATE studies SET state = ?, due = ?, touched = CASE WHEN ? = 'done' THEN ? ELSE touched END "
                "WHERE uid = ? AND touched = ?",
                (state, due, state, self.now(), study.uid, study.touched),
            ).rowcount
        return bool(changed)

    def retry_failed(self) -> None:
        """Studies that were set aside are tried again from the start."""
        with self.change() as base:
            base.execute("UPDATE studies SET state = 'open', attempts = 0, due = 0 WHERE state = 'failed'")

    def forget(self, study: Study) -> bool:
        """Removes a study that is done, unless instances have come meanwhile: then False."""
        with self.change() as base:
            gone = base.execute(
                "DELETE FROM studies WHERE uid = ? AND state = 'done' AND touched = ?", (study.uid, study.touched)
            ).rowcount
            if gone:
                for table in ("instances", "results"):
                    base.execute(f"DELETE FROM {table} WHERE study = ?", (study.uid,))
        return bool(gone)

    def files(self) -> dict[str, set[str]]:
        """Study → the files of its instances."""
        files: dict[str, set[str]] = {}
        with self._lock:
            for study, file in self._base.execute("SELECT study, file FROM instances"):
                files.setdefault(study, set()).add(file)
        return files

    def counts(self) -> dict[str, int]:
        """State → number of studies."""
        with self._lock:
            return dict(self._base.execute("SELECT state, count(*) FROM studies GROUP BY state").fetchall())

    def _create(self, store: Path, option: str) -> None:
        with self.change() as base:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version == _VERSION:
                return
            if version or base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise SettingsError(
                    f"{store / FILE} is of version {version}", f"version {_VERSION}, or another {option}"
                )
            for statement in _TABLES.split(";"):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {_VERSION}")

    def _check(self, store: Path) -> None:
        """Refuses a damaged file, and forgets times that lie ahead: the clock has been set back since."""
        found = self._base.execute("PRAGMA integrity_check(1)").fetchone()[0]
        tables = {name for (name,) in self._base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if found != "ok" or not tables >= {"studies", "instances", "results"}:
            raise sqlite3.DatabaseError("it is damaged" if found != "ok" else f"{store / FILE} has other tables")
        with self.change() as base:
            base.execute("UPDATE studies SET touched = min(touched, ?), due = 0", (self.now(),))

"""The folder of `medvis listen`: the queue, and below it a folder a study with what came and what was made of it.

    STORE/queue.sqlite3
    STORE/incoming/                 drafts of what is arriving
    STORE/studies/HASH/in/…         the instances, one folder a series
    STORE/studies/HASH/out/DIGEST/… the results of a diagnosis, and problems.txt
    STORE/lost/…                    what was found there and is not the listener's

Names are hashes: what a sender calls its instances can lead nowhere, and tells nobody anything.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from medvis.batch.journal import FILE as QUEUE
from medvis.batch.journal import Arrival, Journal, Study
from medvis.dicom.objects.sr.predecessors import FILE
from medvis.dicom.uids import InstanceUids
from medvis.io.atomic import whole_file, write_error
from medvis.pacs.dimse.receive import OUT_OF_RESOURCES, RefusedError
from medvis.pacs.files import file_header
from medvis.pacs.listener.recovery import check_ours, drop_study, instance_name, recover, short

_DAY = 86400.0


class Store:
    """What has been received and made, on the disk.

    Args:
        folder: made if absent, for its owner only.
        min_free: bytes that stay free on the disk.

    Raises:
        OutputError: it cannot be written.
        SettingsError: another listener uses it; or it holds files, but no queue.
    """

    def __init__(self, folder: Path, min_free: int) -> None:
        self._folder, self._min_free = folder, min_free
        self._drafts, self._studies = folder / "incoming", folder / "studies"
        self._arriving, self._left = set[Path](), threading.Condition()
        try:
            check_ours(folder)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.journal = Journal(folder, "listener", "--store")
        except OSError as error:
            raise write_error(folder, error) from error
        try:
            for place in (self._drafts, self._studies):
                place.mkdir(exist_ok=True)
            for place in (folder, self._drafts, self._studies, *folder.glob(f"{QUEUE}*")):
                place.chmod(0o700 if place.is_dir() else 0o600)
            self.recovered = recover(folder, self.journal)
        except OSError as error:
            self.journal.close()
            raise write_error(folder, error) from error

    def folder(self, study: str) -> Path:
        """Where everything of a study is."""
        return self._studies / short(study)

    def keep(self, identity: InstanceUids, data: BytesIO) -> Arrival:
        """Puts an instance on the disk and into the queue; when this returns, both are lasting.

        The first of several with one UID stays: a UID names one instance for ever (PS3.5 9). One with other content is
        not stored, and ``conflict`` is returned.

        Raises:
            RefusedError: the disk is full, or the queue cannot be written.
        """
        view = data.getbuffer()
        header = file_header(identity)
        digest = hashlib.sha256(header)
        digest.update(view)
        name = instance_name(identity.series, identity.instance)
        path = self.folder(identity.study) / name
        with self._alone(path):
            try:
                arrival = self.journal.seen(identity.study, identity.instance, digest.hexdigest())
                if arrival == "new":
                    self._write(path, header, view)
                    self._add(path, identity, digest.hexdigest(), name)
            except (OSError, sqlite3.Error) as error:
                raise RefusedError(OUT_OF_RESOURCES, getattr(error, "strerror", None) or str(error)) from error
        return arrival

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        """A block in which no other association keeps the same instance."""
        with self._left:
            self._left.wait_for(lambda: path not in self._arriving)
            self._arriving.add(path)
        try:
            yield
        finally:
            with self._left:
                self._arriving.discard(path)
                self._left.notify_all()

    def _write(self, path: Path, header: bytes, view: memoryview) -> None:
        if shutil.disk_usage(self._drafts).free < len(header) + len(view) + self._min_free:
            raise RefusedError(OUT_OF_RESOURCES, "the disk is full")
        with whole_file(path, durable=True, draft_folder=self._drafts) as stream:
            stream.write(header)
            stream.write(view)

    def _add(self, path: Path, identity: InstanceUids, digest: str, name: str) -> None:
        try:
            self.journal.add(identity.study, identity.instance, digest, name)
        except sqlite3.Error:  # without a row it would be read, but not counted; its sender will send it again
            if self.journal.seen(identity.study, identity.instance, digest) == "new":
                path.unlink(missing_ok=True)
            raise

    def outcome_folder(self, study: str, digest: str) -> Path:
        """Where the results of a diagnosis of just these instances go; fresh and empty.

        Raises:
            OutputError: it cannot be made.
        """
        folder = self.folder(study) / "out" / digest[:16]
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        except OSError as error:
            raise write_error(folder, error) from error
        return folder

    def reports(self, study: str) -> list[Path]:
        """The DICOM reports of all diagnoses that the destination has."""
        taken = [self.folder(study).absolute() / file for file in self.journal.taken(study)]
        return [path for path in taken if path.name == FILE and path.is_file()]

    def drop_other_outcomes(self, study: str, digest: str) -> None:
        """Removes the results of earlier diagnoses, but not the reports that a later one is to name."""
        out = self.folder(study).absolute() / "out"
        kept = set(self.reports(study))
        for folder in out.iterdir() if out.is_dir() else ():
            if folder.name == digest[:16]:
                continue
            if not any(path.is_relative_to(folder) for path in kept):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            for path in folder.rglob("*"):
                if path.is_file() and path not in kept:
                    path.unlink(missing_ok=True)

    def purge(self, days: float) -> list[str]:
        """Removes what has been done for so many days: the studies that went."""
        files = self.journal.files()
        gone: list[Study] = [
            study for study in self.journal.due("done", self.journal.now() - days * _DAY) if self.journal.forget(study)
        ]
        for study in gone:
            drop_study(self._folder, self.folder(study.uid), files.get(study.uid, set()))
        return [study.uid for study in gone]

    def close(self) -> None:
        """Lets go of the queue."""
        self.journal.close()

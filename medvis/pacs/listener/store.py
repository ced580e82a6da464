"""The folder of `medvis listen`: the queue, and below it a folder a study with what came and what was made of it.

    STORE/queue.sqlite3
    STORE/incoming/                 drafts of what is arriving
    STORE/studies/HASH/in/…         the instances, one folder a series
    STORE/studies/HASH/out/DIGEST/… the results of a diagnosis, and problems.txt

Names are hashes: what a sender calls its instances can lead nowhere, and tells nobody anything.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from io import BytesIO
from pathlib import Path

from medvis.batch.journal import Arrival, Journal, Study
from medvis.dicom.objects.sr.predecessors import FILE
from medvis.dicom.uids import InstanceUids
from medvis.io.atomic import whole_file, write_error
from medvis.pacs.dimse.receive import OUT_OF_RESOURCES, RefusedError
from medvis.pacs.files import file_header

_DAY = 86400.0


def short(uid: str) -> str:
    """The name of a study or series in folders and logs: a hash, from which the UID cannot be had."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


class Store:
    """What has been received and made, on the disk.

    Args:
        folder: made if absent, for its owner only.
        min_free: bytes that stay free on the disk.

    Raises:
        OutputError: it cannot be written.
        SettingsError: another listener uses it.
    """

    def __init__(self, folder: Path, min_free: int) -> None:
        self._folder, self._min_free = folder, min_free
        self._drafts, self._studies = folder / "incoming", folder / "studies"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._drafts.mkdir(exist_ok=True)
            self._studies.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        self.journal = Journal(folder, "listener", "--store")
        self._sweep()

    def folder(self, study: str) -> Path:
        """Where everything of a study is."""
        return self._studies / short(study)

    def keep(self, identity: InstanceUids, data: BytesIO) -> Arrival:
        """Puts an instance on the disk and into the queue; when this returns, both are lasting.

        The first of several with one UID stays: a UID names one instance for ever (PS3.5 9).

        Raises:
            RefusedError: the disk is full.
        """
        if (arrival := self.journal.seen(identity.study, identity.instance)) != "new":
            return arrival
        view = data.getbuffer()
        header = file_header(identity)
        if shutil.disk_usage(self._drafts).free < len(view) + self._min_free:
            raise RefusedError(OUT_OF_RESOURCES, "the disk is full")
        digest = hashlib.sha256(header)
        digest.update(view)
        name = f"in/{short(identity.series)}/{short(identity.instance)}.dcm"
        path = self.folder(identity.study) / name
        try:
            with whole_file(path, durable=True, draft_folder=self._drafts) as stream:
                stream.write(header)
                stream.write(view)
            self.journal.add(identity.study, identity.instance, digest.hexdigest(), name)
        except (OSError, sqlite3.OperationalError) as error:
            if (
                self.journal.seen(identity.study, identity.instance) == "new"
            ):  # without a row it would be read, but not counted
                path.unlink(missing_ok=True)
            raise RefusedError(OUT_OF_RESOURCES, getattr(error, "strerror", None) or str(error)) from error
        return "new"

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
        gone: list[Study] = [
            study for study in self.journal.due("done", time.time() - days * _DAY) if self.journal.forget(study)
        ]
        for study in gone:
            shutil.rmtree(self.folder(study.uid), ignore_errors=True)
        return [study.uid for study in gone]

    def _sweep(self) -> None:
        """Removes what a killed process left without a row: its sender never heard of success."""
        known = {short(study): files for study, files in self.journal.files().items()}
        try:
            for draft in self._drafts.iterdir():
                draft.unlink()
            for folder in self._studies.iterdir():
                if folder.name not in known:
                    shutil.rmtree(folder)
                    continue
                for path in (folder / "in").rglob("*.dcm"):
                    if path.relative_to(folder).as_posix() not in known[folder.name]:
                        path.unlink()
        except OSError as error:
            raise write_error(self._folder, error) from error

    def close(self) -> None:
        """Lets go of the queue."""
        self.journal.close()

"""`medvis listen`: receives studies, diagnoses each once it is complete, and sends the results on.

A study goes through the queue on the disk (`Journal`): open → sending → done. Each step is taken only when what it
makes is lasting, and may be taken again: results have the UIDs that follow from their input, so that sending them a
second time doubles nothing. Killing the process at any moment therefore loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from pynetdicom.association import Association

from medvis.batch.journal import Result, Study
from medvis.batch.supervisor import StoppedError, Worker, WorkError
from medvis.dicom.uids import InstanceUids
from medvis.errors import MedvisError
from medvis.io.atomic import flush_below, flush_folder
from medvis.pacs.dimse.guard import Limits
from medvis.pacs.dimse.receive import CANNOT_UNDERSTAND, Handlers, Receiver, RefusedError, sender
from medvis.pacs.files import identity_of_file
from medvis.pacs.listener.recovery import Recovered, short
from medvis.pacs.listener.store import Store
from medvis.pacs.peers import parse_peer
from medvis.pacs.push import push
from medvis.pacs.settings import ListenSettings
from medvis.pacs.tls import server_context

EventSink = Callable[[str, Mapping[str, object]], None]
_TICK = 0.1
_MB = 1 << 20
_CLEAN_EVERY = 60.0
_PATIENCE = 5.0
_QUICK = 6  # the second worker's part of the time for a study: one that takes for ever holds up the others no longer


class Listener:
    """Everything that `medvis listen` does, from its making to the end of `run`.

    Args:
        settings: see there.
        overrides: of the task's settings, dotted key → value.
        emit: takes one event: its name and facts, which hold no identity; studies appear as hashes.

    Raises:
        MedvisError: settings that contradict each other, a port or folder that cannot be had.
    """

    def __init__(self, settings: ListenSettings, overrides: Mapping[str, Any], emit: EventSink) -> None:
        settings.check_reach()
        self._settings, self._emit = settings, emit
        self._peer = parse_peer(settings.to) if settings.to is not None else None
        limits = Limits(
            settings.max_associations, settings.max_per_address, settings.max_pdu, settings.max_object_mb * _MB,
            settings.max_association_mb * _MB, settings.timeout, settings.request_timeout, server_context(settings.tls),
        )  # fmt: skip
        self.store = Store(settings.store, settings.min_free_mb * _MB)
        self._workers = [
            Worker(settings.task, overrides, settings.write, settings.study_timeout / part) for part in (1, _QUICK)
        ]
        self._taken: set[str] = set()  # studies that a worker has now
        self._open: dict[Association, Counter[str]] = {}
        self._lock = threading.RLock()
        handlers = Handlers(
            self._keep, self._closed, lambda reason, who: self._event("refused", reason=reason, sender=who)
        )
        try:
            self._receiver = Receiver((settings.host, settings.port), settings.aet, settings.allow, handlers, limits)
        except MedvisError:
            self.store.close()
            raise

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._receiver.port

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set; what is not finished then stays in the queue."""
        self._event("listening", host=self._settings.host, port=self.port, aet=self._settings.aet, queue=self._counts())
        if self.store.recovered != Recovered():
            self._event("recovered", queued=self.store.recovered.queued, lost=self.store.recovered.lost)
        threads = [
            threading.Thread(target=self._repeat, args=(job, stop), daemon=True)
            for job in (*(partial(self._diagnose_next, worker) for worker in self._workers), self._send_next)
        ]
        for thread in threads:
            thread.start()
        try:
            self._clean()
            while not stop.wait(_CLEAN_EVERY):
                self._clean()
        finally:
            stop.set()
            self._receiver.stop()
            for thread in threads:
                thread.join(_PATIENCE)
            for worker in self._workers:
                worker.close()
            self._event("stopped", queue=self._counts())
            self.store.close()

    def _clean(self) -> None:
        """Removes what has been done for long, and forgets associations that ended without a word."""
        for study in self.store.purge(self._settings.keep_days):
            self._event("removed", study=study)
        with self._lock:
            lost = [assoc for assoc in self._open if not assoc.is_alive()]
        for assoc in lost:
            self._closed(assoc, False)

    def _keep(self, identity: InstanceUids, data: BytesIO, assoc: Association) -> None:
        with self._lock:
            self._open.setdefault(assoc, Counter())[identity.study] += 0
        arrival = self.store.keep(identity, data)
        if arrival == "conflict":
            self._event("conflict", study=identity.study, sender=sender(assoc))
            raise RefusedError(CANNOT_UNDERSTAND, "an instance of this UID is here, with other content")
        if arrival == "new":
            with self._lock:
                self._open.setdefault(assoc, Counter())[identity.study] += 1

    def _closed(self, assoc: Association, orderly: bool) -> None:
        """The association is over, released, or lost: pynetdicom tells the second way about both."""
        with self._lock:
            counts = self._open.pop(assoc, Counter())
        for study, new in counts.items():
            self._event("received", study=study, new=new, sender=sender(assoc), released=orderly)

    def _busy(self, study: str) -> bool:
        """Whether an association that has sent something of the study is still open."""
        with self._lock:
            return any(study in counts and assoc.is_alive() for assoc, counts in self._open.items())

    def _repeat(self, job: Callable[[threading.Event], bool], stop: threading.Event) -> None:
        """Does a job again and again; an error of it, which is a bug or a full disk, costs a pause."""
        while not stop.is_set():
            try:
                if not job(stop):
                    stop.wait(_TICK)
            except StoppedError:
                return
            except Exception as error:
                self._event("error", reason=type(error).__name__)
                stop.wait(self._settings.backoff)

    def _diagnose_next(self, worker: Worker, stop: threading.Event) -> bool:
        """Diagnoses one study that is complete; False: there is none for this worker.

        The second worker takes only what has not failed yet, with a short limit: what is too long for it is left to
        the first one.
        """
        quick = worker is not self._workers[0]
        if quick and self._settings.diagnose_attempts == 1:
            return False
        with self._lock:  # what is not taken has the state that it was left in
            complete = self.store.journal.due("open", self.store.journal.now() - self._settings.quiet_period)
            free = [study for study in complete if study.uid not in self._taken and not (quick and study.attempts)]
            study = next((study for study in free if not self._busy(study.uid)), None)
            if study is None:
                return False
            self._taken.add(study.uid)
        try:
            return self._attempt(study, worker, stop)
        finally:
            with self._lock:
                self._taken.discard(study.uid)

    def _attempt(self, study: Study, worker: Worker, stop: threading.Event) -> bool:
        """One attempt to diagnose a study."""
        if study.attempts >= self._settings.diagnose_attempts:
            self._fail(study, "it could not be diagnosed")
            return True
        began = time.monotonic()
        self.store.journal.count(study.uid)
        self._event("diagnosing", study=study.uid, attempt=study.attempts + 1)
        try:
            answer = self._diagnose(study, worker, stop)
        except StoppedError:
            self.store.journal.count(study.uid, -1)
            raise
        except (WorkError, MedvisError, OSError, ValueError) as error:
            wait = self._settings.wait(study.attempts + 1)
            self.store.journal.settle(study, "open", self.store.journal.now() + wait)
            reason = str(error) if isinstance(error, WorkError) else type(error).__name__
            self._event("not diagnosed", reason=reason, study=study.uid, again_in_s=round(wait, 1))
            return True
        self._event("diagnosed", answer, study=study.uid, seconds=round(time.monotonic() - began, 1))
        return True

    def _diagnose(self, study: Study, worker: Worker, stop: threading.Event) -> dict[str, object]:
        digest = self.store.journal.digest(study.uid)
        folder = self.store.folder(study.uid)
        out = self.store.outcome_folder(study.uid, digest)
        answer = worker(folder / "in", out, stop, self.store.reports(study.uid))
        flush_below(out)  # the queue must not survive a loss of power that its results do not survive
        flush_folder(folder)
        results = []
        for path in map(Path, answer["files"]):
            made = identity_of_file(path)
            results.append(Result(made.instance, path.relative_to(folder.absolute()).as_posix()))
        if not self.store.journal.diagnosed(study.uid, digest, results):
            return {"outdated": "instances have come meanwhile"}
        self.store.drop_other_outcomes(study.uid, digest)
        return {"verdicts": answer["verdicts"], "objects": len(results), "left_out": answer["left_out"]}

    def _send_next(self, stop: threading.Event) -> bool:
        """Sends what one study has to send; False: there is none."""
        waiting = self.store.journal.due("sending", self.store.journal.now())
        if not waiting:
            return False
        study = waiting[0]
        results = self.store.journal.unsent(study.uid)
        failures = self._send(study, results, stop) if self._peer is not None else []
        if stop.is_set():
            raise StoppedError
        if not failures:
            if self.store.journal.settle(study, "done"):
                self._event("done", study=study.uid, sent=len(results) if self._peer is not None else 0)
        elif study.attempts + 1 >= self._settings.send_attempts:
            self._fail(study, failures[0])
        else:
            wait = self._settings.wait(study.attempts + 1)
            self.store.journal.count(study.uid)
            self.store.journal.settle(study, "sending", self.store.journal.now() + wait)
            facts = {"reason": failures[0], "objects": len(failures), "again_in_s": round(wait, 1)}
            self._event("not sent", facts, study=study.uid)
        return True

    def _send(self, study: Study, results: list[Result], stop: threading.Event) -> list[str]:
        """Why something could not be sent, a line each. What was sent is noted at once."""
        folder = self.store.folder(study.uid)
        uids = {folder / result.file: result.uid for result in results}
        failures = []
        try:
            for sent in push(list(uids), self._peer, self._settings.tls, self._settings.aet) if self._peer else ():
                if sent.failure is None:
                    self.store.journal.sent(study.uid, [uids[sent.path]])
                else:
                    failures.append(sent.failure)
                if stop.is_set():
                    break
        except MedvisError as error:
            failures.append(error.found)
        return failures

    def _fail(self, study: Study, reason: str) -> None:
        if self.store.journal.settle(study, "failed"):
            self._event("set aside", reason=reason, study=study.uid)

    def _event(self, name: str, facts: Mapping[str, object] | None = None, **more: object) -> None:
        event = {**(facts or {}), **more}
        if "study" in event:
            event["study"] = short(str(event["study"]))
        self._emit(name, event)

    def _counts(self) -> dict[str, int]:
        """How many studies are in which state."""
        counts = self.store.journal.counts()
        return {state: counts.get(state, 0) for state in ("open", "sending", "done", "failed")}

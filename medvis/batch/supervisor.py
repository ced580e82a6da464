"""The listener's side of the diagnosing process: starts it, waits for it, and starts it again when it is gone."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_TICK = 0.2


class WorkError(Exception):
    """A diagnosis came to nothing; the text is for a log and quotes nothing of the data."""


class StoppedError(Exception):
    """Asked to stop while a diagnosis ran."""


class Worker:
    """Diagnoses one study at a time in a process of its own.

    Args:
        task: name, path or ``auto``.
        overrides: dotted setting → value.
        writers: names.
        timeout: seconds for one study.
    """

    def __init__(self, task: str, overrides: Mapping[str, Any], writers: list[str], timeout: float) -> None:
        self._first = {"task": task, "overrides": dict(overrides), "writers": writers}
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, study: Path, out: Path, stop: threading.Event, earlier: Sequence[Path] = ()) -> dict[str, Any]:
        """As `medvis.batch.worker.Diagnosis`.

        Raises:
            WorkError: it crashed, took too long, or failed.
            StoppedError: `stop` was set meanwhile.
        """
        process = self._running()
        try:
            job = {"study": study, "out": out, "earlier": list(earlier)}
            _write(process.stdin, job)
            answer = json.loads(self._wait(stop) or "{}")
        except OSError as error:
            self.close()
            raise WorkError("the diagnosing process ended") from error
        if not answer:
            code = process.poll()
            self.close()
            raise WorkError(f"the diagnosing process ended (code {code})")
        if "error" in answer:
            raise WorkError(str(answer["error"]))
        return dict(answer)

    def close(self) -> None:
        """Ends the process, whatever it does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._answers = queue.SimpleQueue()
        # A session of its own: Ctrl-C in the terminal is for the listener, which decides what becomes of the work.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medvis.batch.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if os.environ.get("MEDVIS_TRACEBACK") else subprocess.DEVNULL,
            text=True, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=_collect, args=(self._process.stdout, self._answers), daemon=True).start()
        _write(self._process.stdin, self._first)
        return self._process

    def _wait(self, stop: threading.Event) -> str:
        """The answer; empty: the process is gone."""
        for _ in range(max(1, round(self._timeout / _TICK))):
            with suppress(queue.Empty):
                return self._answers.get(timeout=_TICK)
            if stop.is_set():
                self.close()
                raise StoppedError
        self.close()
        raise WorkError(f"not done after {self._timeout:g} s")


def _write(stream: IO[str] | None, value: object) -> None:
    if stream is None:
        raise BrokenPipeError
    stream.write(json.dumps(value, default=_absolute) + "\n")
    stream.flush()


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _collect(stream: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Hands lines on; at the end an empty one."""
    with suppress(ValueError, OSError):  # closed by us
        for line in stream:
            answers.put(line)
    answers.put("")

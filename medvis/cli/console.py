"""Data goes to stdout, everything else to stderr. Rich is imported when there is something to draw."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from medvis.batch.progress import Progress, silent
from medvis.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

PATIENCE = 2.0  # seconds before a progress bar appears


def emit(data: str | bytes) -> None:
    """Writes data to stdout, text as UTF-8 whatever the locale.

    Raises:
        OutputError: stdout is closed, or its disk is full.
        BrokenPipeError: nobody reads any more.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def emit_json(value: object, indent: int | None = None) -> None:
    """One JSON value and a line break on stdout; compact (one line) unless `indent`."""
    emit(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def is_terminal(name: str) -> bool:
    """Whether ``stdin``, ``stdout`` or ``stderr`` is a terminal."""
    stream = getattr(sys, name)
    return stream is not None and stream.isatty()


def console(stdout: bool = False, **options: Any) -> Console:  # noqa: ANN401 - rich's options
    """A rich console without markup, so that a file's name is never read as a style. NO_COLOR and TERM are rich's."""
    from rich.console import Console

    return Console(stderr=not stdout, markup=False, highlight=False, emoji=False, **options)


@contextmanager
def waiting(text: str, total: int | None = None, quiet: bool = False) -> Iterator[Progress]:
    """Shows a progress bar on stderr while the block runs: after two seconds, on a terminal only, unless `quiet`."""
    if quiet or not is_terminal("stderr") or os.environ.get("TERM") in ("dumb", "unknown"):
        yield silent
        return
    bar = _Bar(text, total)
    try:
        yield bar.tick
    finally:
        bar.close()


class _Bar:
    """A progress bar that waits with appearing. It draws on its own copy of stderr, since readers capture fd 2."""

    def __init__(self, text: str, total: int | None) -> None:
        self._text, self._total, self._name = text, total, ""
        self._done, self._began = -1.0, time.monotonic()
        self._lock = threading.Lock()
        self._closed = False
        self._progress: Bar | None = None
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def tick(self, name: str = "", done: float | None = None, total: int | None = None) -> None:
        with self._lock:
            self._done = self._done + 1 if done is None else done
            self._name, self._total = name, total or self._total
            if self._progress is not None:
                self._update(self._progress)

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._progress is not None:
                self._progress.stop()
                self._progress.console.file.close()

    def _show(self) -> None:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        with self._lock:
            if self._closed:
                return
            screen = console(file=os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding))
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(24))
            self._progress = Bar(*columns, TimeElapsedColumn(), console=screen, transient=True, refresh_per_second=5)
            self._progress.add_task(self._text, total=self._total)
            self._progress.tasks[0].start_time = self._began
            self._update(self._progress)
            self._progress.start()

    def _update(self, progress: Bar) -> None:
        text = f"{self._text}: {self._name}" if self._name else self._text
        progress.update(progress.task_ids[0], total=self._total, completed=max(self._done, 0), description=text)

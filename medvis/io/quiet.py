"""C libraries print straight to file descriptor 2. This keeps what they say, instead of showing it."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collects the lines that native code writes to stderr while the block runs; they are in the list afterwards.

    The descriptor belongs to the whole process, so blocks in several threads wait for each other.
    """
    lines: list[str] = []
    with _ONE_AT_A_TIME:
        try:
            saved = os.dup(2)
        except OSError:  # stderr is closed: nothing can be shown anyway
            yield lines
            return
        with tempfile.TemporaryFile() as sink:
            _flush()
            os.dup2(sink.fileno(), 2)
            try:
                yield lines
            finally:
                _flush()
                os.dup2(saved, 2)
                os.close(saved)
                sink.seek(0)
                lines.extend(sink.read().decode("utf-8", "replace").splitlines())


def _flush() -> None:
    """Python's own buffered text must go where it was meant to go."""
    if sys.stderr is not None and not sys.stderr.closed:
        sys.stderr.flush()

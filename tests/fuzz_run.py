"""Gives damaged files to watched worker processes and gathers what came of each."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path

_PATIENCE = 60.0
"""Wall-clock seconds before a worker is killed: the machine may be busy. What is judged is its CPU time."""


class Worker:
    """A process that reads files; started again when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def read(self, path: Path) -> dict:
        """What came of the file: see `fuzz_worker.outcome`; and ``crash`` or ``hang``."""
        process = self._running()
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
        line = process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        if not ready:
            process.kill()
        code = process.wait()
        self._process = None
        kind = "crash" if ready else "hang"
        return {"kind": kind, "line": f"exit status {code}", "cpu": 0.0, "wall": 0.0, "mb": 0.0}

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            script = Path(__file__).with_name("fuzz_worker.py")
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                [sys.executable, str(script)], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        return self._process

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(timeout=_PATIENCE)
            self._process.stdout.close()
            self._process = None

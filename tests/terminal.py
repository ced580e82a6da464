"""A terminal for a command to write to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def on_terminal(what: list[str] | str, cwd: Path | None = None, stdout: bool = False, **environment: str) -> str:
    """What a command (or a piece of Python) shows on a terminal that is its stderr, or its stdout."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    arguments = ["-c", what] if isinstance(what, str) else ["-m", "medvis", *what]
    base = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=cwd,
        stdout=theirs if stdout else subprocess.DEVNULL, stderr=subprocess.DEVNULL if stdout else theirs,
        env={**base, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # Linux: the other side is closed
    os.close(ours)
    process.wait()
    return shown.decode()

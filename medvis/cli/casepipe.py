"""Case files between the stage commands: read from a file or stdin, written to a file or stdout."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.batch.chain import chain_to
from medvis.cli.console import emit, is_terminal
from medvis.cli.options import STDIO
from medvis.core.volumes import naming
from medvis.errors import InputError, OutputError, UsageError
from medvis.io import atomic
from medvis.io.magic import head_of
from medvis.io.private import private_folder
from medvis.io.readers.casefile import CaseReader, load_case, save_case

if TYPE_CHECKING:
    from medvis.core.case import Case
    from medvis.core.scan import Scan

STDIN = "standard input"


def check_target(output: Path | None, force: bool) -> Path:
    """Where the case goes, refused before any work if it could not be written.

    Raises:
        UsageError: stdout is a terminal. OutputError: the file exists and not `force`, or cannot be written.
    """
    target = output or STDIO
    if target == STDIO:
        if is_terminal("stdout"):
            raise UsageError("a case file is binary and standard output is a terminal", "-o FILE, or a pipe")
        return target
    if not target.parent.exists():
        raise OutputError(f"cannot write {target}: there is no folder {target.parent}")
    atomic.check_target(target.parent, [target.name], force)
    return target


def write_case(case: Case, target: Path) -> None:
    """The case to a file, whole or not at all, or to stdout."""
    data = save_case(case)
    if target == STDIO:
        emit(data)
    else:
        atomic.write_atomic(target, data)


def read_case(path: Path, stage: str) -> Case:
    """The case in a file or on stdin. Raises InputError, for a raw scan with the commands that come before `stage`."""
    if path == STDIO:
        return load_case(_stdin(), STDIN)
    try:
        if path.is_dir() or (path.is_file() and not _may_be_case(head_of(path), path)):
            hint = f"for a scan: {chain_to(stage, path)}"
            raise InputError(f"{path} is not a case file", "what the stage before has written", hint)
        return load_case(bytearray(path.read_bytes()), str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _may_be_case(head: bytes, path: Path) -> bool:
    """An empty file is what a broken pipe leaves; that it is truncated is said when it is loaded."""
    return not head or CaseReader().format_of(head, path) is not None


def read_scan(path: Path) -> Scan:
    """A scan from a file, a folder or stdin."""
    from medvis.pipeline import load

    if path != STDIO:
        return load(path)
    data = _stdin()
    with private_folder() as folder:
        spooled = folder / "stdin"
        spooled.write_bytes(data)
        with naming(str(spooled), STDIN):
            scan = load(spooled)
    return replace(scan, source=replace(scan.source, path=str(STDIO)))


def _stdin() -> bytearray:
    """All of stdin. Raises InputError if there is none, UsageError at a terminal."""
    if is_terminal("stdin"):
        raise UsageError("nothing is piped into standard input", "a PATH, or a pipe from the stage before")
    data = bytearray(sys.stdin.buffer.read()) if sys.stdin is not None else bytearray()
    if not data:
        raise InputError(f"{STDIN} is empty", hint="see what the command before it has said")
    return data

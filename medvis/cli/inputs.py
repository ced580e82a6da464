"""What commands take as PATH: a file, a folder, an archive, a URL, or - for one image on standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from medvis.cli.console import is_terminal
from medvis.cli.options import STDIO
from medvis.errors import UsageError

if TYPE_CHECKING:
    from medvis.core.volumes import Volumes

STDIN = "stdin"
"""What an image that comes through standard input is called in reports, messages and folder names."""


def check_paths(paths: Sequence[Path]) -> None:
    """Raises UsageError if standard input is named twice, or named while nothing is piped into it."""
    count = list(paths).count(STDIO)
    if count > 1:
        raise UsageError("- is given twice", "standard input once")
    if count and is_terminal("stdin"):
        raise UsageError("nothing is piped into standard input", "a PATH, or an image through a pipe")


class Inputs:
    """Opens what the user gave; standard input is read once, and kept until the block ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stdin: Path | None = None

    def __enter__(self) -> Inputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def check(self, path: Path) -> None:
        """Raises InputError for a path that `opened` would refuse at first sight."""
        from medvis.pacs.remote import check

        if path != STDIO:
            check(path)

    def opened(self, path: Path) -> AbstractContextManager[Volumes]:
        """The volumes of a path, as `medvis.pacs.remote.opened`, or of standard input."""
        from medvis.io.spool import spooled_volumes
        from medvis.pacs.remote import opened

        return spooled_volumes(self.stdin()) if path == STDIO else opened(path)

    def stdin(self) -> Path:
        """Standard input as a file. Raises InputError as `medvis.io.spool.spooled`."""
        from medvis.io.spool import spooled

        if self._stdin is None:
            stream = None if sys.stdin is None else sys.stdin.buffer
            self._stdin = self._stack.enter_context(spooled(stream, STDIN))
        return self._stdin

"""The seams: what a reader, a writer, a stage and a predictor must offer. One file and one entry point each."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from medvis.core.case import Case
from medvis.core.outcome import Outcome
from medvis.core.scan import Scan


@runtime_checkable
class Reader(Protocol):
    """Reads one kind of input. Entry point group ``medvis.readers``."""

    name: str

    def claims(self, path: Path) -> bool:
        """Whether `path` is of this kind, judged by its first bytes (a folder: by its content), never by name."""
        ...

    def read(self, path: Path) -> Scan:
        """The scan. Raises InputError with one clear line."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Writes one kind of result into an existing, private folder. Entry point group ``medvis.writers``.

    A writer may also offer ``applies(outcome) -> bool``: where it says no, it is left out; ``check(scan)``, which
    raises OutputError for a scan of which it could write nothing, before any work is done; and ``after``, the names of
    the writers whose files it looks at.
    """

    name: str

    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """Names of the files that will be written for a scan of that many frames (to check for overwriting)."""
        ...

    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes the files and returns them. Raises OutputError."""
        ...


@runtime_checkable
class Stage(Protocol):
    """One step of the pipeline: Case → Case. Entry point group ``medvis.stages``.

    `needs` and `gives` are names of fields of `Case`; a need ``a|b`` is met by either.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    needs: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]]

    def __call__(self, case: Case) -> Case:
        """The next case. Never writes into its input. Raises StageError."""
        ...

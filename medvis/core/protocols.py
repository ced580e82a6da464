"""The seams: what a reader, a writer, a stage and a predictor must offer. One file and one entry point each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from medvis.core.case import Case
from medvis.core.outcome import Outcome
from medvis.core.scan import Scan
from medvis.core.volumes import Remark, Volume, Volumes, file_volumes


class Magic(NamedTuple):
    """Bytes near the start of a file that tell its format."""

    start: bytes
    format: str
    offset: int = 0


class Listing(NamedTuple):
    """What an index such as a DICOMDIR lists: the files that are there, and remarks on those that are not."""

    files: Sequence[Path]
    remarks: Sequence[Remark]


class Reader(ABC):
    """Reads one kind of file. Entry point group ``medvis.readers``.

    Every reader is asked about every input: a file, the files in a folder or a ZIP archive, those that an index lists.
    Its module must therefore be light: what decodes (pydicom, nibabel, cv2) is imported inside its methods.

    Attributes:
        name: of the entry point.
        title: of its formats in messages, e.g. ``DICOM``.
        wanted: what it reads, for the message on an input that nobody can read, e.g. ``a NIfTI volume``.
        magic: the first bytes of its formats.
        patterns: the usual names of its files. No file is judged by them, but results are named after a file without
            its ending.
        indexes: names of index files such as ``DICOMDIR``, in capitals; a search of a folder passes them over.
        in_folders: whether its files count as volumes in a folder or archive: ``always``; ``alone``, where there is
            nothing that always counts; or ``never``.
        names_modality: whether its files may say what modality they are of, by which a task can be chosen.
        rank: of the readers that claim a file, the one of the highest rank reads it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    wanted: ClassVar[str]
    magic: ClassVar[tuple[Magic, ...]]
    patterns: ClassVar[tuple[str, ...]]
    indexes: ClassVar[tuple[str, ...]] = ()
    in_folders: ClassVar[Literal["always", "alone", "never"]] = "always"
    names_modality: ClassVar[bool] = True
    rank: ClassVar[int] = 0

    def format_of(self, head: bytes, path: Path) -> str | None:
        """The format of a file, e.g. ``png``, if it is one of this reader's; else None.

        Args:
            head: its first bytes (`medvis.io.magic.HEAD` of them, or the whole file if that is shorter).
            path: where it lies.
        """
        del path
        return next((magic.format for magic in self.magic if head.startswith(magic.start, magic.offset)), None)

    def claims_folder(self, folder: Path) -> bool:
        """Whether a folder as a whole is one scan of this kind, whatever its files are."""
        del folder
        return False

    def listed(self, path: Path, head: bytes) -> Listing | None:
        """The files that an index lists; None for a file that is none of this reader's indexes. Raises InputError."""
        del path, head
        return None

    def inside(self, path: Path) -> Sequence[Volume]:
        """The volumes of a file that is more or less than one scan; none for a file that is one."""
        del path
        return ()

    def volumes(self, folder: Path, files: Sequence[Path], remarks: Sequence[Remark]) -> Volumes:
        """The volumes that some of this reader's files are: each file what `inside` says, or one.

        Args:
            folder: what was given; an archive's is the one that it lies unpacked in.
            files: of it or below it.
            remarks: on what else is in it; in the notes of the volumes, and of the scan where there is only one.

        Raises:
            InputError: no volume at all.
        """
        return file_volumes(folder, files, remarks, self)

    @abstractmethod
    def read(self, path: Path) -> Scan:
        """The scan in a file that it claims. Raises InputError with one clear line; OSError if it is unreadable."""


class Writer(ABC):
    """Writes one kind of result into an existing, private folder. Entry point group ``medvis.writers``.

    Attributes:
        name: of the entry point; what ``--write`` calls it.
        after: names of the writers whose files it looks at; it comes after them.
    """

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()

    def check(self, scan: Scan) -> None:
        """Refuses, before any work is done, a scan of which it could write nothing. Raises OutputError."""
        del scan

    def applies(self, outcome: Outcome) -> bool:
        """Whether there is anything to write; where it says no, it is left out."""
        del outcome
        return True

    @abstractmethod
    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """Names of the files that will be written for a scan of that many frames (to check for overwriting)."""

    @abstractmethod
    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes the files and returns them. Raises OutputError."""


@runtime_checkable
class Stage(Protocol):
    """One step of the pipeline: Case → Case. Entry point group ``medvis.stages``.

    `needs` and `gives` are names of fields of `Case`; a need ``a|b`` is met by either.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    needs: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]]
    settings: Any

    def input_contract(self, settings: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of self.Settings
        """What the stage does to the model's input; see `medvis.stages.base.BaseStage`, which has it for most."""
        ...

    def __call__(self, case: Case) -> Case:
        """The next case. Never writes into its input. Raises StageError."""
        ...

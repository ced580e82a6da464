"""What the writers of DICOM objects have in common: refuse early, build, save, read back, compare."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from pydicom.dataset import Dataset

from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.scan import Scan
from medvis.dicom.objects.envelope import save
from medvis.dicom.objects.source_study import SourceStudy, check_source, open_study
from medvis.dicom.read.facts import without_identity
from medvis.dicom.read.load import pydicom_notes
from medvis.errors import MedvisError, OutputError

# What highdicom and pydicom raise where a source's header is not as the standard asks.
_CONTRADICTIONS = (AttributeError, LookupError, TypeError, ValueError)


class ObjectWriter(Writer):
    """Writes one DICOM object and lets it stand only if it says what the case says.

    Attributes:
        file: name of the file it writes.
    """

    file: ClassVar[str]

    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """Always the one file."""
        del outcome_frames
        return (self.file,)

    def check(self, scan: Scan) -> None:
        """Refuses, before the work, a scan that has no DICOM parent. Raises OutputError."""
        check_source(scan.source)

    @abstractmethod
    def build(self, outcome: Outcome, source: SourceStudy, folder: Path) -> Dataset:
        """The object. `folder` holds what other writers have written before."""

    @abstractmethod
    def verify(self, ds: Dataset, outcome: Outcome, source: SourceStudy, folder: Path) -> None:
        """Compares the object, as read back from its file, with the case. Raises OutputError."""

    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes the file and reads it back.

        Raises:
            OutputError: no DICOM source, or not the same as when it was read; a source that contradicts the standard so
                that no object can refer to it; or what was written is not what was meant.
        """
        source = open_study(outcome.case.scan)
        path = folder / self.file
        try:
            with pydicom_notes():
                save(self.build(outcome, source, folder), path)
                self.verify(read_back(path), outcome, source, folder)
        except MedvisError:
            raise
        except _CONTRADICTIONS as error:
            problem = f"no {self.file} can be made for {outcome.case.scan.source.path}"
            reason = without_identity(str(error), source.header)[:200]
            raise OutputError(f"{problem}: {reason}", "a source whose header is as the standard asks") from error
        return [path]


def read_back(path: Path) -> Dataset:
    """The file as anybody else reads it: strictly, so that one that is no Part 10 file fails here."""
    from pydicom import dcmread  # noqa: PLC0415 - the name is used here only

    return dcmread(path)

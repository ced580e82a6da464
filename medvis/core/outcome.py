"""The outcome of a diagnosis: what the writers take, arrays included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medvis.core.case import Case
from medvis.core.display import DicomResults, Display
from medvis.core.report import Code, Report


@dataclass(frozen=True)
class Outcome:
    """What a writer gets: the case with its arrays, the report, and what the task's settings say about writing.

    Attributes:
        case: the scan and all that the stages have added to it.
        report: what is said about it.
        display: the task's display settings.
        site: where in the body the task's findings lie, as a code; None if the task does not say.
        dicom: the task's settings for DICOM results.
        earlier: files of DICOM reports that were sent to an archive when less of the study was there.
        picture: draws the page of ``heatmap.png`` and returns it as a PNG file; None: there is nothing to draw with.
    """

    case: Case
    report: Report
    display: Display = field(default_factory=Display)
    site: Code | None = None
    dicom: DicomResults = field(default_factory=DicomResults)
    earlier: tuple[Path, ...] = ()
    picture: Callable[[Outcome], bytes] | None = field(default=None, repr=False, compare=False)

    def png(self) -> bytes:
        """The page of ``heatmap.png``, as a PNG file; empty where there is no `picture`."""
        return self.picture(self) if self.picture is not None else b""

    def _repr_html_(self) -> str:
        """For notebooks: the report with its picture."""
        from medvis.core.html import report_html  # noqa: PLC0415 - only where it is shown

        return report_html(self.report, self.png())

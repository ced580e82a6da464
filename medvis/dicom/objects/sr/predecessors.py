"""Reports that were made of a study before more of its images came: the new one names those that it replaces.

Predecessor Documents Sequence, PS3.3 C.17.2. A report keeps its UID as long as its input, model, settings and what it
replaces are the same, so that making it once more changes nothing in an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from medvis.dicom.objects.source_study import Instance, SourceStudy

FILE = "sr.dcm"


@dataclass(frozen=True)
class Earlier:
    """A report that an archive may have.

    Attributes:
        report: it.
        series: its Series Instance UID.
        replaced: UIDs of the reports that it replaced itself.
    """

    report: Instance
    series: str
    replaced: tuple[str, ...]


def earlier_reports(paths: Sequence[Path], source: SourceStudy) -> list[Earlier]:
    """Those of some reports that saw an image of this source as well."""
    shown = {instance.uid for instance in source.instances()}
    read = [dcmread(path) for path in paths]
    return [_earlier(ds) for ds in read if not shown.isdisjoint(_evidence(ds, source.series))]


def replaced_by(earlier: Sequence[Earlier], name: Callable[[Sequence[str]], str]) -> list[Earlier]:
    """What a new report replaces: the newest of the earlier ones; or, if it is one of those, what it replaced then.

    Args:
        earlier: as `earlier_reports` gives them.
        name: the UID of the new report as one that replaces the reports with these UIDs.
    """
    for document in earlier:
        if name(document.replaced) == document.report.uid:
            return [other for other in earlier if other.report.uid in document.replaced]
    old = {uid for document in earlier for uid in document.replaced}
    return sorted(
        (document for document in earlier if document.report.uid not in old), key=lambda document: document.report.uid
    )


def predecessors(study: str, replaced: Sequence[Earlier]) -> list[Dataset]:
    """Items of Predecessor Documents Sequence (Hierarchical SOP Instance Reference Macro, PS3.3 Table C.17-3)."""
    item = Dataset()
    item.StudyInstanceUID, item.ReferencedSeriesSequence = study, []
    for document in replaced:
        series, reference = Dataset(), Dataset()
        reference.ReferencedSOPClassUID = document.report.sop_class
        reference.ReferencedSOPInstanceUID = document.report.uid
        series.SeriesInstanceUID, series.ReferencedSOPSequence = document.series, [reference]
        item.ReferencedSeriesSequence.append(series)
    return [item]


def _earlier(ds: Dataset) -> Earlier:
    replaced = _references(ds.get("PredecessorDocumentsSequence", []))
    return Earlier(
        Instance(str(ds.SOPClassUID), str(ds.SOPInstanceUID)), str(ds.SeriesInstanceUID), tuple(sorted(replaced))
    )


def _evidence(ds: Dataset, series: str) -> list[str]:
    return _references(ds.CurrentRequestedProcedureEvidenceSequence, series)


def _references(studies: Sequence[Dataset], series: str | None = None) -> list[str]:
    """The instances that are named, of one series or of all."""
    return [
        str(item.ReferencedSOPInstanceUID)
        for study in studies
        for referenced in study.ReferencedSeriesSequence
        if series in (None, referenced.SeriesInstanceUID)
        for item in referenced.ReferencedSOPSequence
    ]

"""The gate of the report: what a reader of the SR finds is what report.json says, number by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose

from pydicom.dataset import Dataset

from medvis.core.outcome import Outcome
from medvis.core.report import Finding, Report
from medvis.dicom.objects.round_trip import check_envelope, refuse
from medvis.dicom.objects.seg.segments import segments_of
from medvis.dicom.objects.source_study import SourceStudy

_GROUP, _TRACKING, _DERIVATION = "125007", "112040", "121401"
# A table of its own, so that a code that the writer mixes up is seen: (concept, UCUM unit) → field of the report.
_SIZES = {
    ("103339001", "mm"): "longest_diameter_mm",
    ("103340004", "mm"): "perpendicular_diameter_mm",
    ("42798000", "mm2"): "area_mm2",
    ("118565006", "mm3"): "volume_mm3",
}
_STATISTICS = {"373098007": "mean", "386136009": "sd", "255605001": "min", "56851009": "max"}
_CERTAINTY = ("111012", "%")


@dataclass
class _Group:
    """One measurement group as it is read."""

    tracking: str = ""
    numbers: dict[tuple[str, str], float] = field(default_factory=dict)
    statistics: dict[str, float] = field(default_factory=dict)
    segments: list[tuple[str, int]] = field(default_factory=list)


def check_report(ds: Dataset, outcome: Outcome, source: SourceStudy, seg: Dataset | None) -> None:
    """Every number of the report is in the SR with its unit, no other one is, and each finding refers to its segment.

    Raises:
        OutputError: a number that differs, is missing or too many; a group without its finding; a wrong segment.
    """
    check_envelope(ds, source)
    report = outcome.report
    groups = [_read(item) for item in _containers(ds)]
    if len(groups) != len(report.findings) + 1 or len({group.tracking for group in groups}) != len(groups):
        raise refuse(f"{len(report.findings)} findings, but {len(groups)} measurement groups (one is the image's)")
    _check_image(groups[0], report)
    segments = None if seg is None else segments_of(seg)
    for number, (finding, group) in enumerate(zip(report.findings, groups[1:], strict=True), 1):
        _check_finding(finding, group)
        wanted = [] if segments is None else [(segments.uid, number)]
        if group.segments != wanted or (segments and segments.tracking.get(number) != group.tracking):
            raise refuse(f"finding {finding.id} of the report does not refer to its segment")


def _check_image(group: _Group, report: Report) -> None:
    shares = [report.verdict.probability, *(reading.probability for reading in report.classes)]
    _same([probability for probability in shares if probability is not None], list(group.numbers.values()), "the image")


def _check_finding(finding: Finding, group: _Group) -> None:
    for key, name in _SIZES.items():
        _equal(getattr(finding, name), group.numbers.pop(key, None), f"{name} of finding {finding.id}")
    for code, name in _STATISTICS.items():
        _equal(getattr(finding.intensity, name), group.statistics.get(code), f"{name} of finding {finding.id}")
    _equal(100 * finding.probability, group.numbers.pop(_CERTAINTY, None), f"probability of finding {finding.id}")
    units = ("%", "{score}", "{pixels}")
    left = {unit: [value for (_, other), value in group.numbers.items() if other == unit] for unit in units}
    shares = [finding.spread, finding.malignancy, *(reading.probability for reading in finding.differential)]
    _same([probability for probability in shares if probability is not None], left["%"], f"finding {finding.id}")
    scores = [attribute.score for attribute in finding.attributes if attribute.score is not None]
    _same(scores, left["{score}"], f"the attributes of finding {finding.id}", per=1)
    pixels = [finding.area_px, finding.longest_diameter_px, finding.perpendicular_diameter_px]
    _same(pixels, left["{pixels}"], f"the size in pixels of finding {finding.id}", per=1)


def _same(meant: list[float], read: list[float], what: str, per: float = 100) -> None:
    """Equal numbers, in whichever order."""
    pairs = zip(sorted(per * probability for probability in meant), sorted(read), strict=False)
    if len(meant) != len(read) or not all(isclose(value, other, abs_tol=1e-6) for value, other in pairs):
        raise refuse(f"the numbers of {what} are not those of the report")


def _equal(meant: float | None, read: float | None, what: str) -> None:
    if (meant is None) != (read is None) or (
        meant is not None and read is not None and not isclose(meant, read, rel_tol=1e-12, abs_tol=1e-9)
    ):
        raise refuse(f"{what} is {read} instead of {meant}")


def _containers(item: Dataset) -> Iterator[Dataset]:
    """The measurement groups, in the order of the document."""
    for child in item.get("ContentSequence", []):
        if child.ValueType == "CONTAINER" and _name(child) == _GROUP:
            yield child
        else:
            yield from _containers(child)


def _read(container: Dataset) -> _Group:
    group = _Group()
    for item in container.get("ContentSequence", []):
        if item.ValueType == "UIDREF" and _name(item) == _TRACKING:
            group.tracking = str(item.UID)
        elif item.ValueType == "NUM":
            _take_number(item, group)
        elif item.ValueType == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]:
            reference = item.ReferencedSOPSequence[0]
            group.segments.append((str(reference.ReferencedSOPInstanceUID), int(reference.ReferencedSegmentNumber)))
    return group


def _take_number(item: Dataset, group: _Group) -> None:
    measured = item.MeasuredValueSequence[0]
    value, unit = float(measured.NumericValue), str(measured.MeasurementUnitsCodeSequence[0].CodeValue)
    for child in item.get("ContentSequence", []):
        if _name(child) == _DERIVATION:
            group.statistics[str(child.ConceptCodeSequence[0].CodeValue)] = value
            return
    if (_name(item), unit) in group.numbers:
        raise refuse(f"two numbers are called {item.ConceptNameCodeSequence[0].CodeMeaning}")
    group.numbers[_name(item), unit] = value


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""

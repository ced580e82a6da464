"""What a finding and the image as a whole become in a TID 1500 report (PS3.16): numbers with units, codes, and words.

What is not known is left out, and a comment says why; it never becomes a 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept

from medvis.core.report import NOTICE, Finding, Reading, Report
from medvis.dicom.objects.concepts import intensity_of, own, unit_of

PERCENT: Concept = codes.UCUM.Percent
PIXELS = Concept("{pixels}", "UCUM", "pixels")
VERDICT = own("verdict", "Verdict of the model")
REASON = own("reason", "Reason for the verdict")
COMMENT: Concept = codes.DCM.Comment
RATED = own("malignancy_rated", "Probability that readers rate it malignant, not pathology")
OF_CLASS = own("malignancy_class", "Share of the image's class malignant, not pathology")
NO_FINDING = "No finding: nothing was outlined, so that there is no Segmentation."
NO_MAP = "The source gives no place in the patient, without which there is no Parametric Map."
NO_SEGMENTATION = "No Segmentation was written beside this report."
SIZES: tuple[tuple[str, Concept, Concept], ...] = (
    ("longest_diameter_mm", codes.SCT.LongAxis, codes.UCUM.Millimeter),
    ("perpendicular_diameter_mm", codes.SCT.ShortAxis, codes.UCUM.Millimeter),
    ("area_mm2", codes.SCT.Area, codes.UCUM.SquareMillimeter),
    ("volume_mm3", codes.SCT.Volume, codes.UCUM.CubicMillimeter),
    ("area_px", own("area_px", "Area on the key frame in pixels"), PIXELS),
    ("longest_diameter_px", own("longest_diameter_px", "Long axis in pixels"), PIXELS),
    ("perpendicular_diameter_px", own("perpendicular_diameter_px", "Short axis in pixels"), PIXELS),
)
_STATISTICS: tuple[tuple[str, Concept], ...] = (
    ("mean", codes.SCT.Mean),
    ("sd", codes.SCT.StandardDeviation),
    ("min", codes.SCT.Minimum),
    ("max", codes.SCT.Maximum),
)
_DECISIONS: dict[str, Concept] = {
    "positive": codes.SCT.Positive,
    "negative": codes.SCT.Negative,
    "refer": own("refer", "Refer: the model cannot tell, a person should look"),
}


@dataclass(frozen=True)
class Number:
    """One NUM item: `derivation` says which statistic of the values it is, where it is one."""

    name: Concept
    value: float
    unit: Concept
    derivation: Concept | None = None


def numbers_of(finding: Finding, report: Report) -> Iterator[Number]:
    """Sizes, intensities and probabilities of a finding, those that are known."""
    for field, name, unit in SIZES:
        size = getattr(finding, field)
        if size is not None:
            yield Number(name, size, unit)
    values = finding.intensity
    for field, derivation in _STATISTICS:
        yield Number(intensity_of(values.unit), getattr(values, field), unit_of(values.unit), derivation)
    yield Number(codes.DCM.CertaintyOfFinding, as_percent(finding.probability), PERCENT)
    if finding.spread is not None:
        spread = own("spread", "Standard deviation of the certainty over views")
        yield Number(spread, as_percent(finding.spread), PERCENT)
    if finding.malignancy is not None:
        yield Number(OF_CLASS if report.classes else RATED, as_percent(finding.malignancy), PERCENT)
    yield from _readings("Differential", finding.differential)
    for attribute in finding.attributes:
        if attribute.score is not None:
            scale = f"{attribute.name}, {attribute.scale}" if attribute.scale else attribute.name
            yield Number(own(f"score {scale}", f"Score: {scale}"), attribute.score, Concept("{score}", "UCUM", "score"))


def codes_of(finding: Finding) -> Iterator[tuple[Concept, Concept]]:
    """(concept, value) of each attribute of a finding."""
    for attribute in finding.attributes:
        yield own(attribute.name), own(attribute.value)


def words_of(finding: Finding) -> Iterator[tuple[Concept, str]]:
    """(concept, text): what is not known of a finding, and why."""
    for field, reason in finding.unknown.items():
        yield COMMENT, f"{field}: not known, because: {reason}"


def image_numbers(report: Report) -> Iterator[Number]:
    """The probability of the verdict and of the classes of the whole image."""
    if report.verdict.probability is not None:
        likely = own("verdict_percent", "Probability that the image is positive")
        yield Number(likely, as_percent(report.verdict.probability), PERCENT)
    yield from _readings("Class", report.classes)


def image_codes(report: Report) -> Iterator[tuple[Concept, Concept]]:
    """The verdict."""
    yield VERDICT, _DECISIONS[report.verdict.decision]


def image_words(report: Report, placed: bool, segmented: bool) -> Iterator[tuple[Concept, str]]:
    """The verdict's reasons, the notes, and what this report is not for."""
    for reason in report.verdict.reasons:
        yield REASON, reason
    if not report.findings:
        yield COMMENT, NO_FINDING
    elif not segmented:
        yield COMMENT, NO_SEGMENTATION
    if not placed:
        yield COMMENT, NO_MAP
    for note in (*report.notes, *report.scan.notes, *(f"{key}: {why}" for key, why in report.scan.unknown.items())):
        yield COMMENT, note
    yield COMMENT, NOTICE


def replacing(count: int) -> Iterator[tuple[Concept, str]]:
    """That this report takes the place of so many earlier ones, which its predecessors' list names."""
    if count:
        yield (
            COMMENT,
            f"This report replaces {count} earlier one(s), made of fewer images or by another model or settings.",
        )


def as_percent(probability: float) -> float:
    """A probability, which the report gives to four digits, in percent."""
    return round(100 * probability, 4)


def _readings(kind: str, readings: list[Reading]) -> Iterator[Number]:
    for reading in readings:
        yield Number(own(f"{kind}: {reading.name}"), as_percent(reading.probability), PERCENT)

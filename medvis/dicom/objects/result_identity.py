"""Who a result is: UIDs, numbers and tracking identifiers that depend on input, model and settings, on nothing else.

The same input, model and settings therefore give the same objects, byte by byte, so that sending them twice to an
archive changes nothing there; anything else gives other UIDs. Input is what the source says, however it is encoded.
"""

from __future__ import annotations

from dataclasses import dataclass

from medvis.core.outcome import Outcome
from medvis.dicom.content_digest import pixel_digest
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.read.values import whole
from medvis.dicom.uids import hashed_uid

_ORDER = ("seg", "sr", "sc", "pm")
_MOST = 2_000_000  # a series number times 1000 must fit Integer String (PS3.5 6.2)


@dataclass(frozen=True)
class ResultIdentity:
    """The identity of all results of one outcome.

    Attributes:
        parts: the words that every UID is a hash of.
        number: of the source series, or None.
        model_name, model_version, model_sha256, medvis: what made the results.
    """

    parts: tuple[str, ...]
    number: int | None
    model_name: str
    model_version: str
    model_sha256: str
    medvis: str

    def uid(self, *what: str) -> str:
        """A UID below 2.25 (PS3.5 B.2), 128 bits of a SHA-256."""
        return hashed_uid(*self.parts, *what)

    def instance(self, kind: str) -> str:
        """SOP Instance UID of a result, e.g. ``seg binary``."""
        return self.uid("instance", kind)

    def series(self, kind: str) -> str:
        """Series Instance UID of a result: each has a series of its own."""
        return self.uid("series", kind)

    def series_number(self, kind: str) -> int:
        """Thousand times the number of the source series, plus 500 to 999.

        Other source series have other thousands, other kinds another remainder of 4, other models and settings most
        probably another number among the 125 that remain.
        """
        step = int(self.uid("number").rpartition(".")[2]) % 125
        return (abs(self.number or 0) % _MOST) * 1000 + 500 + 4 * step + _ORDER.index(kind.partition(" ")[0])

    def tracking(self, finding: int) -> tuple[str, str]:
        """(Tracking UID, Tracking ID) of a finding; 0 is the image as a whole."""
        uid = self.uid("finding", str(finding))
        return uid, f"{self.model_name}-{uid[-8:]}-{finding}"


def identity_of(outcome: Outcome, source: SourceStudy) -> ResultIdentity:
    """The identity of an outcome's results."""
    report = outcome.report
    made = report.provenance
    name, _, version = made.model_name.rpartition(" ")
    frames = outcome.case.scan.source.frame_numbers
    parts = (
        *("medvis", made.medvis, source.content, pixel_digest(outcome.case.scan)),
        *(made.task, made.model_sha256, made.config_sha256),
        *(str(frame) for frame in frames),  # two stacks of one file are two sources
    )
    return ResultIdentity(
        parts=parts,
        number=whole(source.header, "SeriesNumber"),
        model_name=name or version,
        model_version=version if name else "unknown",
        model_sha256=made.model_sha256,
        medvis=made.medvis,
    )

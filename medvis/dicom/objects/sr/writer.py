"""sr.dcm: the report as a Comprehensive SR after TID 1500 (PS3.16), with the numbers of report.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept
from pydicom.uid import CTImageStorage

from medvis.core.outcome import Outcome
from medvis.core.report import Finding
from medvis.dicom.objects.concepts import CATEGORY, LESION, concept, procedure_of
from medvis.dicom.objects.envelope import MAKER, Envelope
from medvis.dicom.objects.frame_references import plain_references
from medvis.dicom.objects.result_identity import ResultIdentity, identity_of
from medvis.dicom.objects.seg.segments import Segments, segments_of
from medvis.dicom.objects.seg.writer import FILE as SEG_FILE
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.objects.sr import content
from medvis.dicom.objects.sr.gate import check_report
from medvis.dicom.objects.sr.predecessors import FILE, earlier_reports, predecessors, replaced_by
from medvis.dicom.objects.writer import ObjectWriter, read_back

if TYPE_CHECKING:
    from highdicom.sr import MeasurementReport


class SrWriter(ObjectWriter):
    """One measurement group for the image as a whole, and one a finding."""

    name: ClassVar[str] = "sr"
    file: ClassVar[str] = FILE
    after: ClassVar[tuple[str, ...]] = ("seg",)

    def build(self, outcome: Outcome, source: SourceStudy, folder: Path) -> Dataset:
        """The report; it refers to the segments if their file has been written beside it."""
        from highdicom.sr import ComprehensiveSR  # noqa: PLC0415 - 0.2 s; only where DICOM is written

        seg = _segmentation(folder)
        segments = None if seg is None else segments_of(seg)
        identity = identity_of(outcome, source)
        known = earlier_reports(outcome.earlier, source)
        replaced = replaced_by(known, lambda uids: identity.instance(_kind(segments, uids)))
        kind = _kind(segments, [item.report.uid for item in replaced])
        envelope = Envelope(source, identity, kind, "report, replaces earlier" if replaced else "report")
        tree = _Content(outcome, source, identity, segments).report(len(replaced))
        stubs = [_stub(source, item.uid) for item in source.instances()]
        ds = ComprehensiveSR(
            evidence=stubs if seg is None else [*stubs, seg],
            content=tree[0],
            is_complete=True,
            **envelope.arguments(),
        )
        ds.CurrentRequestedProcedureEvidenceSequence = _evidence(source, seg)
        if replaced:
            ds.PredecessorDocumentsSequence = predecessors(source.study, replaced)
        envelope.seal(ds)
        return ds

    def verify(self, ds: Dataset, outcome: Outcome, source: SourceStudy, folder: Path) -> None:
        """Number by number, and the references to the segments."""
        check_report(ds, outcome, source, _segmentation(folder))


class _Content:
    """The content tree."""

    def __init__(
        self, outcome: Outcome, source: SourceStudy, identity: ResultIdentity, segments: Segments | None
    ) -> None:
        self._report, self._mask, self._site = outcome.report, outcome.case.mask, outcome.site
        self._source, self._identity, self._segments = source, identity, segments

    def report(self, replaced: int) -> MeasurementReport:
        """The tree of a report that replaces so many earlier ones."""
        from highdicom import sr  # noqa: PLC0415 - see above

        made = self._identity
        device = sr.DeviceObserverIdentifyingAttributes(
            uid=made.uid("device"),
            name=f"medvis {made.medvis}",
            manufacturer_name=MAKER,
            model_name=f"{made.model_name} {made.model_version}",
            serial_number=made.model_sha256,
        )
        observer = sr.ObserverContext(codes.DCM.Device, device)
        return sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=observer),
            procedure_reported=procedure_of(self._report.scan.modality),
            imaging_measurements=[
                self._image(replaced),
                *(self._finding(finding) for finding in self._report.findings),
            ],
        )

    def _image(self, replaced: int) -> Any:  # noqa: ANN401 - one of three templates
        """TID 1501 for the image as a whole."""
        from highdicom import sr  # noqa: PLC0415 - see above

        report = self._report
        numbers = self._source.numbers()
        sources = [
            sr.SourceImageForMeasurementGroup(item.sop_class, item.uid, numbers) for item in self._source.instances()
        ]
        facts = _facts(content.image_numbers(report), content.image_codes(report))
        group = sr.MeasurementsAndQualitativeEvaluations(**self._common(0), **facts, source_images=sources)
        words = content.image_words(report, self._source.placed, self._segments is not None)
        return _with_words(group, [*content.replacing(replaced), *words])

    def _finding(self, finding: Finding) -> Any:  # noqa: ANN401 - one of three templates
        """TID 1411 for a segment in a series, TID 1410 for one in an image, TID 1501 where no segment was written."""
        from highdicom import sr  # noqa: PLC0415 - see above

        report = self._report
        given: dict[str, Any] = {
            **self._common(finding.id),
            **_facts(content.numbers_of(finding, report), content.codes_of(finding)),
            "finding_type": concept(finding.code, LESION),
            "finding_category": CATEGORY,
            "finding_sites": None if self._site is None else [sr.FindingSite(concept(self._site, LESION))],
        }
        number = report.findings.index(finding) + 1
        group: Any
        if self._segments is None:
            sources = self._sources(finding, sr.SourceImageForMeasurementGroup)
            group = sr.MeasurementsAndQualitativeEvaluations(**given, source_images=sources)
        elif report.scan.frames == 1:
            region = sr.ReferencedSegmentationFrame(
                *self._segments.key,
                frame_number=1,
                segment_number=number,
                source_image=self._sources(finding, sr.SourceImageForSegmentation)[0],
            )
            region[0].ReferencedSOPSequence[0].pop("ReferencedFrameNumber")  # segment or frame, PS3.3 10.3
            group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(**given, referenced_segment=region)
        else:
            sources = self._sources(finding, sr.SourceImageForSegmentation)
            segment = sr.ReferencedSegment(*self._segments.key, segment_number=number, source_images=sources)
            group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(**given, referenced_segment=segment)
        return _with_words(group, content.words_of(finding))

    def _common(self, number: int) -> dict[str, Any]:
        from highdicom import sr  # noqa: PLC0415 - see above

        made = self._identity
        uid, name = made.tracking(number)
        algorithm = sr.AlgorithmIdentification(
            name=made.model_name,
            version=made.model_version,
            parameters=[f"sha256={made.model_sha256}"],
            family=codes.DCM.ArtificialIntelligence,
            manufacturer=MAKER,
        )
        return {"tracking_identifier": sr.TrackingIdentifier(uid, name), "algorithm_id": algorithm}

    def _sources(self, finding: Finding, kind: Any) -> list[Any]:  # noqa: ANN401 - a highdicom class, its items
        """The images that a finding is seen on; of a multi-frame image the frames."""
        mask, run = self._mask, range(finding.first_frame, finding.last_frame + 1)
        frames = [finding.key_frame] if mask is None else [n for n in run if (mask[n] == finding.id).any()]
        shown: dict[tuple[str, str], list[int]] = {}
        for frame in frames:
            origin = self._source.frames[frame]
            listed = shown.setdefault((origin.instance.sop_class, origin.instance.uid), [])
            listed += [] if origin.number is None else [origin.number]
        return [kind(*instance, sorted(numbers) or None) for instance, numbers in shown.items()]


def _kind(segments: Segments | None, replaced: Sequence[str]) -> str:
    """What else than input, model and settings the report depends on."""
    return " ".join(["sr", *([] if segments is None else [segments.uid]), *(["after", *replaced] if replaced else [])])


def _facts(numbers: Iterable[content.Number], evaluations: Iterable[tuple[Concept, Concept]]) -> dict[str, Any]:
    from highdicom import sr  # noqa: PLC0415 - see above

    measured = [
        sr.Measurement(name=item.name, value=item.value, unit=item.unit, derivation=item.derivation) for item in numbers
    ]
    evaluations_of = [sr.QualitativeEvaluation(name, value) for name, value in evaluations]
    return {"measurements": measured or None, "qualitative_evaluations": evaluations_of or None}


def _with_words(group: Any, words: Iterable[tuple[Concept, str]]) -> Any:  # noqa: ANN401 - one of three templates
    from highdicom.sr import TextContentItem  # noqa: PLC0415 - see above

    for name, text in words:
        group[0].ContentSequence.append(TextContentItem(name, text, "CONTAINS"))
    return group


def _segmentation(folder: Path) -> Dataset | None:
    path = folder / SEG_FILE
    return read_back(path) if path.exists() else None


def _stub(source: SourceStudy, uid: str) -> Dataset:
    """As much of an instance as highdicom asks for; of a class that it knows."""
    ds = Dataset()
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(ds, keyword, "")
    ds.StudyDate = ds.StudyTime = None
    ds.StudyInstanceUID, ds.SeriesInstanceUID = source.study, source.series
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
    return ds


def _evidence(source: SourceStudy, seg: Dataset | None) -> list[Dataset]:
    """Current Requested Procedure Evidence Sequence, PS3.3 C.17.2: the source series, and that of the segments."""
    study = Dataset()
    study.StudyInstanceUID = source.study
    study.ReferencedSeriesSequence = [_series(source.series, plain_references(source))]
    if seg is not None:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = seg.SOPClassUID, seg.SOPInstanceUID
        study.ReferencedSeriesSequence.append(_series(seg.SeriesInstanceUID, [item]))
    return [study]


def _series(uid: str, references: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID, item.ReferencedSOPSequence = uid, references
    return item

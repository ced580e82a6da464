"""seg.dcm: the outlines as a Segmentation (PS3.3 A.51) or, by setting, a Label Map Segmentation (A.91)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medvis.core.case import require
from medvis.core.outcome import Outcome
from medvis.dicom.objects.concepts import CATEGORY, LESION, concept
from medvis.dicom.objects.envelope import NOT_FOR_DIAGNOSIS, Envelope
from medvis.dicom.objects.frame_references import relink, stand_ins
from medvis.dicom.objects.result_identity import ResultIdentity, identity_of
from medvis.dicom.objects.seg.gate import check_segments
from medvis.dicom.objects.seg.pixels import FULL, put_pixels, tokens
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.objects.writer import ObjectWriter

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

FILE = "seg.dcm"
NOMINAL = "Slice thickness is not known; the one given here is nominal."


class SegWriter(ObjectWriter):
    """One segment a finding; only frames that hold one."""

    name: ClassVar[str] = "seg"
    file: ClassVar[str] = FILE

    def applies(self, outcome: Outcome) -> bool:
        """Not where there is no finding: a Segmentation without a segment is none (PS3.3 C.8.20.2)."""
        return bool(outcome.report.findings) and outcome.case.mask is not None

    def build(self, outcome: Outcome, source: SourceStudy, folder: Path) -> Dataset:
        """The Segmentation, of the type that the task's settings ask for (`dicom.segmentation`)."""
        from highdicom.seg import Segmentation  # noqa: PLC0415 - 0.2 s; only where DICOM is written

        del folder
        mask = require(outcome.case.mask, "seg", "mask", "segment")
        frames = np.flatnonzero(mask.any((1, 2))).tolist()
        kind = seg_type(outcome)
        envelope = Envelope(source, identity_of(outcome, source), f"seg {kind}", "segmentation")
        numbers = {finding.id: number for number, finding in enumerate(outcome.report.findings, 1)}
        marks = tokens(mask, frames, numbers)
        ds = Segmentation(
            source_images=stand_ins(source, frames, (1, marks.shape[2])),
            pixel_array=marks,
            segmentation_type=kind.upper(),
            segment_descriptions=_segments(outcome, envelope.identity),
            fractional_type="OCCUPANCY" if outcome.case.prediction is None else "PROBABILITY",
            max_fractional_value=FULL,
            content_label="FINDINGS",
            content_description=NOT_FOR_DIAGNOSIS,
            **envelope.arguments(),
        )
        relink(ds, envelope, frames)
        put_pixels(ds, source, mask, numbers, outcome.case.prediction)
        _thicken(ds)
        envelope.seal(ds)
        return ds

    def verify(self, ds: Dataset, outcome: Outcome, source: SourceStudy, folder: Path) -> None:
        """Voxel by voxel, and the centroids in mm."""
        del folder
        check_segments(ds, outcome, source)


def seg_type(outcome: Outcome) -> str:
    """``binary``, ``fractional`` or ``labelmap``."""
    return outcome.dicom.segmentation


def _segments(outcome: Outcome, identity: ResultIdentity) -> list[SegmentDescription]:
    """Segment Sequence, PS3.3 C.8.20.4."""
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415 - see above
    from highdicom.seg import SegmentDescription  # noqa: PLC0415 - see above

    algorithm = AlgorithmIdentificationSequence(
        name=identity.model_name[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=identity.model_version[:64],
        source="medvis",
        parameters={"sha256": identity.model_sha256, "task": outcome.report.task},
    )
    site = None if outcome.site is None else [concept(outcome.site, LESION)]
    descriptions: list[SegmentDescription] = []
    for number, finding in enumerate(outcome.report.findings, 1):
        tracking_uid, tracking_id = identity.tracking(finding.id)
        descriptions.append(
            SegmentDescription(
                segment_number=number,
                segment_label=f"{finding.name} {finding.id}"[:64],
                segmented_property_category=CATEGORY,
                segmented_property_type=concept(finding.code, LESION),
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
                tracking_uid=tracking_uid,
                tracking_id=tracking_id,
                anatomic_regions=site,
            )
        )
    return descriptions


def _thicken(ds: Dataset) -> None:
    """Slice Thickness, which readers of a Segmentation expect, where the source gives none: the distance of the rows.

    Each segment says so, since nothing in the slice's direction can be measured with it.
    """
    for measures in ds.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence", []):
        if "SliceThickness" not in measures:
            measures.SliceThickness = measures.PixelSpacing[0]
            for segment in ds.SegmentSequence:
                segment.SegmentDescription = NOMINAL

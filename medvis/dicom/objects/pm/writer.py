"""evidence.dcm: what the model's decision rests on, as a Parametric Map (PS3.3 A.75) in floating point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from medvis.core.arrays import Float32s
from medvis.core.case import require
from medvis.core.outcome import Outcome
from medvis.core.report import Code
from medvis.dicom.objects.concepts import own
from medvis.dicom.objects.envelope import NOT_FOR_DIAGNOSIS, Envelope, carry_side, side_of
from medvis.dicom.objects.frame_references import relink, stand_ins
from medvis.dicom.objects.pm.gate import check_map
from medvis.dicom.objects.result_identity import identity_of
from medvis.dicom.objects.source_study import SourceStudy, is_placed
from medvis.dicom.objects.writer import ObjectWriter

if TYPE_CHECKING:
    from highdicom.pm import RealWorldValueMapping

QUANTITY = own("class_activation", "Class activation: explains a model, measures nothing")
_STEPS = (4, 2)


class MapWriter(ObjectWriter):
    """The evidence, 0 to 1, on each frame that has any."""

    name: ClassVar[str] = "pm"
    file: ClassVar[str] = "evidence.dcm"

    def applies(self, outcome: Outcome) -> bool:
        """Not where the model saw nothing anywhere, nor without a place in the patient, which PS3.3 A.75 requires."""
        evidence = outcome.case.evidence
        return is_placed(outcome.case.scan.geometry) and (evidence is None or bool(evidence.any()))

    def build(self, outcome: Outcome, source: SourceStudy, folder: Path) -> Dataset:
        """The map, with the geometry of its source."""
        from highdicom import VOILUTTransformation  # noqa: PLC0415 - 0.2 s; only where DICOM is written
        from highdicom.pm import ParametricMap  # noqa: PLC0415 - see above

        del folder
        evidence = require(outcome.case.evidence, "pm", "evidence", "explain")
        frames = np.flatnonzero(evidence.any((1, 2))).tolist()
        step = step_of(evidence)
        envelope = Envelope(source, identity_of(outcome, source), "pm", "explanation map")
        ds = ParametricMap(
            source_images=stand_ins(source, frames, outcome.case.scan.shape, step),
            pixel_array=np.stack([reduced(evidence[frame], step) for frame in frames]),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[_mapping(outcome.case.evidence_of)],
            voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
            content_label="EXPLANATION",
            content_description=f"Explanation map. {NOT_FOR_DIAGNOSIS}"[:64],
            image_flavor="VOLUME",
            **envelope.arguments(),
        )
        relink(ds, envelope, frames, step)
        if outcome.site is None:
            carry_side(source.header, ds)  # which must not be there beside a Frame Laterality, PS3.3 C.7.3.1
        else:
            anatomy = _anatomy(outcome.site, side_of(source.header))
            ds.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
        envelope.seal(ds)
        return ds

    def verify(self, ds: Dataset, outcome: Outcome, source: SourceStudy, folder: Path) -> None:
        """Value by value, and the place of the first and the last pixel of each frame."""
        del folder
        check_map(ds, outcome, source)


def _mapping(speaks_for: str | None) -> RealWorldValueMapping:
    from highdicom.pm import RealWorldValueMapping  # noqa: PLC0415 - see above

    of = f" for: {speaks_for}" if speaks_for else ""
    return RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=f"Class activation{of}"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=QUANTITY,
    )


def _anatomy(site: Code, side: str) -> Dataset:
    """Frame Anatomy Macro, PS3.3 C.7.6.16.2.8; the readers of dcmqi fail without it."""
    item, region = Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = site.value, site.scheme, site.meaning
    item.AnatomicRegionSequence, item.FrameLaterality = [region], side
    return item


def step_of(evidence: Float32s) -> int:
    """How many pixels one of the map covers in each direction.

    The network gives one cell for 8x8 pixels of its view, so that means over 4x4 lose nothing of it, and a map of 300
    slices takes 20 MB instead of 300.
    """
    sides = evidence.shape[1:]
    return next((step for step in _STEPS if all(side % step == 0 for side in sides)), 1)


def reduced(plane: Float32s, step: int) -> Float32s:
    """Means over step x step pixels, float32 [rows / step, cols / step]."""
    rows, cols = plane.shape
    means: Float32s = plane.reshape(rows // step, step, cols // step, step).mean((1, 3), dtype=np.float64)
    return means.astype(np.float32)

"""capture.dcm: the page of the heatmap as a Secondary Capture (PS3.3 A.8), for viewers that show only pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Uint8s
from medvis.core.outcome import Outcome
from medvis.dicom.objects.envelope import NOT_FOR_DIAGNOSIS, Envelope, carry_loss, carry_side
from medvis.dicom.objects.frame_references import plain_references
from medvis.dicom.objects.result_identity import identity_of
from medvis.dicom.objects.sc.gate import check_capture
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.objects.writer import ObjectWriter
from medvis.io.colours import DARK, Colour
from medvis.io.picture.canvas import Canvas, Style
from medvis.io.writers.heatmap import draw

BANNER = "NOT FOR DIAGNOSTIC USE"
_BAND, _SIZE = 44, 26
_WARNING: Colour = (240, 170, 40)


class CaptureWriter(ObjectWriter):
    """The page, with a band above it that says what it is not for."""

    name: ClassVar[str] = "sc"
    file: ClassVar[str] = "capture.dcm"

    def build(self, outcome: Outcome, source: SourceStudy, folder: Path) -> Dataset:
        """RGB, 8 bits, without compression."""
        from highdicom.sc import SCImage  # noqa: PLC0415 - 0.2 s; only where DICOM is written

        del folder
        envelope = Envelope(source, identity_of(outcome, source), "sc", "picture")
        given = envelope.arguments()
        ds = SCImage(
            pixel_array=page(outcome, envelope.identity.number),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            study_instance_uid=source.study,
            **given,
        )
        ds["PatientOrientation"].value = None  # the page is no plane of the patient
        ds.ImageType = ["DERIVED", "SECONDARY"]
        ds.ConversionType = "WSD"
        ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = given["content_date"], given["content_time"]
        ds.BurnedInAnnotation = "YES"
        ds.DerivationDescription = f"Page drawn by medvis: slices, evidence of a model, findings. {NOT_FOR_DIAGNOSIS}"
        ds.ImageComments = f"{BANNER}. {outcome.report.notice}"
        ds.SourceImageSequence = plain_references(source)
        carry_loss(source.header, ds)
        carry_side(source.header, ds)
        envelope.seal(ds)
        return ds

    def verify(self, ds: Dataset, outcome: Outcome, source: SourceStudy, folder: Path) -> None:
        """The picture can be read, and is marked as it must be."""
        del outcome, folder
        check_capture(ds, source)


def page(outcome: Outcome, series: int | None) -> Uint8s:
    """Uint8 [rows, cols, 3]: the heatmap's page below a warning.

    It names the series instead of the file: the name of a file is none of an archive's business, and the same input
    under another name must give the same picture.
    """
    report = outcome.report
    name = "series" if series is None else f"series {series}"
    scan = report.scan.model_copy(update={"path": name})
    drawn = draw(replace(outcome, report=report.model_copy(update={"scan": scan}))).pixels
    band = Canvas(drawn.shape[1], _BAND, _WARNING)
    band.text(drawn.shape[1] // 2, (_BAND + _SIZE) // 2 - 3, BANNER, Style(_SIZE, DARK, "centre"), drawn.shape[1] - 8)
    return np.concatenate([band.pixels, drawn])

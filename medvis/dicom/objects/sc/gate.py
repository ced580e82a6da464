"""The gate of the picture: it can be read, and is marked as what it is."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from medvis.dicom.objects.round_trip import check_envelope, refuse
from medvis.dicom.objects.source_study import SourceStudy


def check_capture(ds: Dataset, source: SourceStudy) -> None:
    """A Secondary Capture in colour, derived, with annotation burned in (PS3.3 C.8.6). Raises OutputError."""
    check_envelope(ds, source)
    kind = (ds.SOPClassUID, list(ds.ImageType[:2]), ds.BurnedInAnnotation)
    if kind != (SecondaryCaptureImageStorage, ["DERIVED", "SECONDARY"], "YES"):
        raise refuse("the picture is not marked as derived and annotated")
    if ds.pixel_array.shape != (ds.Rows, ds.Columns, 3):
        raise refuse("the picture is not in colour")

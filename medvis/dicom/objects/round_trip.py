"""What the gates of all results share: a result is read back and compared with the case before anybody can see it.

A gate trusts nothing of its writer: each compares the file as it is on disk with the case, the report and the headers
of the source files.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from medvis.dicom.objects.source_study import SourceStudy
from medvis.errors import OutputError

TOLERANCE_MM = 0.01
"""Between centroids. Both are means over the same pixel centres, so that no half pixel is to be allowed for: what
remains is the rounding of decimal strings to 16 characters, which is far below a micrometre."""
_HINT = "nothing was published; please report this as a bug of medvis"


def refuse(what: str) -> OutputError:
    """The error of a result that is not what was meant."""
    return OutputError(f"the round trip failed: {what}", hint=_HINT)


def check_envelope(ds: Dataset, source: SourceStudy) -> None:
    """Patient and study are those of the source; series and instance are not. Raises OutputError."""
    for keyword in ("PatientID", "StudyInstanceUID"):
        if str(ds.get(keyword) or "") != str(source.header.get(keyword) or ""):
            raise refuse(f"{keyword} of the result is not that of the source")
    if ds.SeriesInstanceUID == source.series or ds.SOPInstanceUID in {instance.uid for instance in source.instances()}:
        raise refuse("the result has a UID of its source")

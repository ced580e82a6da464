"""What is known of one file of a folder before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from medvis.io.dicom.facts import safe_description
from medvis.io.dicom.place import Place, places_of
from medvis.io.dicom.values import text, texts, uid, whole


@dataclass(frozen=True)
class Header:
    """One image file: who it is, where it lies, how large it is.

    Attributes:
        path, sha256: of the file.
        uid, study, series: its UIDs, or None.
        modality, description: for messages; the description is free of identity.
        frames: Number of Frames.
        shape: (rows, cols, channels).
        localizer: whether Image Type says so.
        place: of its first frame.
        frame_of_reference: UID, or None.
    """

    path: Path
    sha256: str
    uid: str | None
    study: str | None
    series: str | None
    modality: str | None
    description: str
    frames: int
    shape: tuple[int, int, int]
    localizer: bool
    place: Place
    frame_of_reference: str | None


def header_of(path: Path, ds: Dataset, sha256: str) -> Header:
    """The header of a data set that was read without its pixels."""
    palette = (text(ds, "PhotometricInterpretation") or "").upper() == "PALETTE COLOR"
    channels = 3 if palette else whole(ds, "SamplesPerPixel") or 1
    return Header(
        path=path,
        sha256=sha256,
        uid=uid(ds, "SOPInstanceUID"),
        study=uid(ds, "StudyInstanceUID"),
        series=uid(ds, "SeriesInstanceUID"),
        modality=text(ds, "Modality"),
        description=safe_description(ds),
        frames=whole(ds, "NumberOfFrames") or 1,
        shape=(whole(ds, "Rows") or 0, whole(ds, "Columns") or 0, channels),
        localizer="LOCALIZER" in texts(ds, "ImageType"),
        place=places_of(ds, 1)[0],
        frame_of_reference=uid(ds, "FrameOfReferenceUID"),
    )

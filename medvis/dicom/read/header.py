"""What is known of one file of a folder before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from medvis.dicom.read.facts import body_part_of, safe_description
from medvis.dicom.read.image_plane import ImagePlane, image_planes_of
from medvis.dicom.read.load import is_image, object_name
from medvis.dicom.read.mosaic import mosaic_of
from medvis.dicom.read.parsed_file import ParsedFile
from medvis.dicom.read.values import FrameGroups, number, text, texts, uid, whole

# What tells images at one position apart: the attribute, and what it is called. In the order of what users ask for.
_PHASES = {
    "acquisition": "AcquisitionNumber",
    "time": "TemporalPositionIdentifier",
    "echo": "EchoNumbers",
    "echo time": "EchoTime",
    "inversion time": "InversionTime",
    "trigger time": "TriggerTime",
    "b-value": "DiffusionBValue",
    "kernel": "ConvolutionKernel",
}
# SOP classes below 1.2.840.10008.5.1.4.1.1 whose objects have pixels and are made from images (PS3.4 B.5).
_DERIVED = ("30", "66.4", "66.7", "66.8", "481.2")
_STORAGE = "1.2.840.10008.5.1.4.1.1."


@dataclass(frozen=True)
class Header:
    """One image file: who it is, where it lies, how large it is.

    Attributes:
        file: parsed.
        uid, study, series: its UIDs, or None.
        number: Series Number, or None.
        modality, body_part: or None. description: free of identity.
        when: study date and time, to sort studies by; never shown.
        frames: Number of Frames.
        shape: (rows, cols, channels).
        localizer: whether Image Type says so.
        mosaic: of many slices in one image, what it is (`mosaic.mosaic_of`), else None.
        part: whether the file is one part of a concatenation (PS3.3 C.7.6.16.1.3).
        plane: of its first frame.
        frame_of_reference: UID, or None.
        phases: what may tell it from another image at the same place, as texts by name.
        instance: Instance Number, or None.
        inside: of an enhanced multi-frame file the headers of its frames (`inside.with_frames`).
        frame: of such a frame its number in the file, from 1.
    """

    file: ParsedFile
    uid: str | None
    study: str | None
    series: str | None
    modality: str | None
    description: str
    frames: int
    shape: tuple[int, int, int]
    localizer: bool
    plane: ImagePlane
    frame_of_reference: str | None
    number: int | None
    body_part: str | None
    when: str
    part: bool
    phases: dict[str, str]
    instance: int | None = None
    mosaic: str | None = None
    inside: tuple[Header, ...] = ()
    frame: int | None = None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file.path

    @property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return self.file.sha256


def header_of(file: ParsedFile, ds: Dataset) -> Header:
    """The header of a file, whose data set without pixels is `ds`."""
    palette = (text(ds, "PhotometricInterpretation") or "").upper() == "PALETTE COLOR"
    channels = 3 if palette else whole(ds, "SamplesPerPixel") or 1
    kind = texts(ds, "ImageType")
    return Header(
        file=file,
        uid=uid(ds, "SOPInstanceUID"),
        study=uid(ds, "StudyInstanceUID"),
        series=uid(ds, "SeriesInstanceUID"),
        modality=text(ds, "Modality"),
        description=safe_description(ds),
        frames=whole(ds, "NumberOfFrames") or 1,
        shape=(whole(ds, "Rows") or 0, whole(ds, "Columns") or 0, channels),
        localizer="LOCALIZER" in kind,
        plane=image_planes_of(ds, 1)[0],
        frame_of_reference=uid(ds, "FrameOfReferenceUID"),
        number=whole(ds, "SeriesNumber"),
        body_part=body_part_of(ds),
        when=f"{text(ds, 'StudyDate') or ''} {text(ds, 'StudyTime') or ''}",
        part=uid(ds, "ConcatenationUID") is not None and (number(ds, "InConcatenationTotalNumber") or 2) > 1,
        phases=_phases(ds, kind),
        instance=whole(ds, "InstanceNumber"),
        mosaic=mosaic_of(ds),
    )


def is_source(ds: Dataset) -> bool:
    """Whether the data set is an image to look at, not an object that was made from one (SEG, dose, parametric map)."""
    kind = uid(ds, "SOPClassUID") or uid(ds.file_meta, "MediaStorageSOPClassUID") or ""
    return is_image(ds) and kind.removeprefix(_STORAGE) not in _DERIVED


def should_be_image(ds: Dataset) -> bool:
    """Whether it says that it is an image, but has no size: a file that was cut off, or a header alone."""
    kinds = (uid(ds, "SOPClassUID"), uid(ds.file_meta, "MediaStorageSOPClassUID"))
    return not is_image(ds) and any("Image" in UID(kind).name for kind in kinds if kind is not None)


def kind_of_object(ds: Dataset) -> str:
    """What it is instead, in words without identity."""
    return object_name(ds).removesuffix(" Storage")


def _phases(ds: Dataset, kind: list[str]) -> dict[str, str]:
    frame = FrameGroups(ds).get(0, "MRDiffusionSequence")
    values = {name: text(ds, keyword) for name, keyword in _PHASES.items()}
    if values["b-value"] is None and frame is not None:
        values["b-value"] = text(frame, "DiffusionBValue")
    return {name: value for name, value in values.items() if value is not None} | {"type": " ".join(kind)}

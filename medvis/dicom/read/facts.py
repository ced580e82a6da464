"""What a data set says about itself besides pixels and place. No patient identity, no dates, no free text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from medvis.core.scan import DisplayWindow
from medvis.dicom.read.layout import Layout, syntax_name
from medvis.dicom.read.load import object_name
from medvis.dicom.read.palette import palette_of
from medvis.dicom.read.values import FrameGroups, first_item, items, number, numbers, text, texts

_TEXTS = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "convolution_kernel": "ConvolutionKernel",
    "patient_position": "PatientPosition",
    "view_position": "ViewPosition",
}
_NUMBERS = {
    "slice_thickness_mm": "SliceThickness",
    "kvp": "KVP",
    "gantry_tilt_deg": "GantryDetectorTilt",
    "magnetic_field_t": "MagneticFieldStrength",
}
_IDENTITY = (
    *("PatientName", "PatientID", "OtherPatientNames", "OtherPatientIDs", "PatientBirthName", "PatientBirthDate"),
    *("PatientAddress", "PatientTelephoneNumbers", "PatientMotherBirthName", "AccessionNumber", "StudyID"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy", "PhysiciansOfRecord"),
    *("RequestingPhysician", "OperatorsName", "InstitutionName", "InstitutionAddress", "ResponsiblePerson"),
)


def details_of(ds: Dataset, layout: Layout, frame: int = 0) -> dict[str, Any]:
    """JSON facts for `medvis info`, of the file and of one frame (from 0); what it does not say is left out."""
    facts: dict[str, Any] = {
        "transfer_syntax": syntax_name(layout.syntax),
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.bits,
        "signed": layout.signed,
        "sop_class": object_name(ds),
    }
    facts |= {name: words for name, keyword in _TEXTS.items() if (words := text(ds, keyword)) is not None}
    facts |= {name: size for name, keyword in _NUMBERS.items() if (size := _measure(ds, keyword, frame)) is not None}
    if kind := texts(ds, "ImageType"):
        facts["image_type"] = kind
    if text(ds, "LossyImageCompression") == "01":
        facts["lossy_compressed"] = True
        if ratio := numbers(ds, "LossyImageCompressionRatio"):
            facts["lossy_ratio"] = ratio
    return facts


def display_windows(ds: Dataset, frame: int = 0) -> tuple[tuple[DisplayWindow, ...], list[str]]:
    """The VOI windows of a frame (0-based, in file order), and a note for those that are invalid (PS3.3 C.11.2.1.2)."""
    source = FrameGroups(ds).get(frame, "FrameVOILUTSequence") or ds
    centers, widths = numbers(source, "WindowCenter") or [], numbers(source, "WindowWidth") or []
    names = texts(source, "WindowCenterWidthExplanation")
    function = (text(source, "VOILUTFunction") or "LINEAR").upper()
    least = 1.0 if function == "LINEAR" else 1e-9
    windows, notes = [], []
    for index, (center, width) in enumerate(zip(centers, widths, strict=False)):
        if width < least:
            notes.append(f"display window {center:g}/{width:g} of the file is not valid and was left out")
            continue
        windows.append(DisplayWindow(center, width, function, names[index] if index < len(names) else None))
    return tuple(windows), notes


def frame_windows(ds: Dataset, order: Sequence[int]) -> tuple[tuple[DisplayWindow, ...], ...]:
    """As `windows_by_frame`, of the frames of a file (0-based, in the order of the scan), PS3.3 C.7.6.16.2.10b."""
    if not any("FrameVOILUTSequence" in group for group in items(ds, "PerFrameFunctionalGroupsSequence")):
        return ()
    return windows_by_frame([display_windows(ds, frame)[0] for frame in order])


def windows_by_frame(by_frame: Sequence[tuple[DisplayWindow, ...]]) -> tuple[tuple[DisplayWindow, ...], ...]:
    """As `Source.windows_by_frame`: the windows of each frame, empty if all agree."""
    return () if all(windows == by_frame[0] for windows in by_frame) else tuple(by_frame)


def is_inverted(ds: Dataset, layout: Layout) -> tuple[bool, str | None]:
    """Whether high values are shown dark, and a note where the file contradicts itself.

    Presentation LUT Shape (PS3.3 C.11.6) decides where it is given, since it describes the last step of display and
    includes what MONOCHROME1 says (C.8.11.3); else Photometric Interpretation does (C.7.6.3.1.2).
    """
    reverse = layout.photometric == "MONOCHROME1"
    shape = (text(ds, "PresentationLUTShape") or "").upper()
    if layout.channels == 3 or shape not in ("IDENTITY", "INVERSE") or (shape == "INVERSE") == reverse:
        return reverse, None
    return not reverse, f"{layout.photometric} contradicts Presentation LUT Shape {shape}, which was followed"


def bits_of(ds: Dataset, layout: Layout) -> int:
    """Bits of the values: of the palette's entries for PALETTE COLOR, else Bits Stored."""
    return palette_of(ds, layout.signed, "").bits if layout.photometric == "PALETTE COLOR" else layout.bits


def body_part_of(ds: Dataset) -> str | None:
    """Body Part Examined, else the anatomic region of an enhanced object; upper case."""
    part = text(ds, "BodyPartExamined")
    if part is None:
        anatomy = FrameGroups(ds).get(0, "FrameAnatomySequence") or ds
        region = first_item(anatomy, "AnatomicRegionSequence")
        part = None if region is None else text(region, "CodeMeaning")
    return None if part is None else part.upper()


def safe_description(ds: Dataset) -> str:
    """Series Description without words that also stand in an identifying attribute."""
    return without_identity(text(ds, "SeriesDescription") or "", ds) or "no description"


def without_identity(text_value: str, ds: Dataset) -> str:
    """A text on one line, with … in place of each word that also stands in an identifying attribute of the data set."""
    secret = {
        word for key in _IDENTITY for word in _words(text(ds, key, longest=1024) or "") if not _says_nothing(word)
    }
    return " ".join("…" if _names(word, secret) else word for word in text_value.split())


def _words(value: str) -> list[str]:
    return re.split(r"[\^=\s,;_/\\-]+", value.lower())


def _says_nothing(word: str) -> bool:
    """Single letters and digits of a name stand in any text; a single Chinese or Korean character is a whole name."""
    return len(word) < 2 and word.isascii()


def _names(word: str, secret: set[str]) -> bool:
    """Whether a word holds part of an identity: a long one or one of another script anywhere, a short one by itself."""
    lower, parts = word.lower(), set(re.split(r"[^\w]+|_", word.lower()))
    return any(part in parts or (part in lower and (len(part) > 2 or not part.isascii())) for part in secret)


def _measure(ds: Dataset, keyword: str, frame: int) -> float | None:
    """A number of the file, from the pixel measures of a frame if it is not at the top."""
    measure = number(ds, keyword)
    if measure is None and (measures := FrameGroups(ds).get(frame, "PixelMeasuresSequence")) is not None:
        measure = number(measures, keyword)
    return measure

"""The codes of the results: SNOMED CT, DICOM (PS3.16) and UCUM where there is one, else medvis's own scheme."""

from __future__ import annotations

import hashlib

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept

from medvis.core.report import Code

SCHEME = "99MEDVIS"
CATEGORY: Concept = codes.SCT.MorphologicallyAbnormalStructure
LESION: Concept = codes.SCT.Lesion
_NO_UNIT: Concept = codes.UCUM.NoUnits
_IMAGING: Concept = codes.cid100.ImagingProcedure
_LONGEST = 64  # Code Meaning is LO, PS3.5 6.2
_UNITS: dict[str, Concept] = {"HU": codes.UCUM.HounsfieldUnit}
_INTENSITIES: dict[str, Concept] = {"HU": codes.DCM.AttenuationCoefficient}
_PROCEDURES: dict[str, Concept] = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "PT": codes.cid100.PETUnspecifiedBodyRegion,
    "NM": codes.cid100.NMUnspecifiedBodyRegion,
    **dict.fromkeys(("CR", "DX", "MG", "XA", "RF"), codes.cid100.XRUnspecifiedBodyRegion),
}


def concept(code: Code | None, fallback: Concept) -> Concept:
    """A code of the task as DICOM holds it, or the fallback where the task has none."""
    return fallback if code is None else Concept(code.value, code.scheme, code.meaning[:_LONGEST])


def own(word: str, meaning: str | None = None) -> Concept:
    """A concept of medvis's own scheme; its value is a hash of the word, since a value has at most 16 characters."""
    value = word if len(word) <= 16 and word.isidentifier() else hashlib.sha256(word.encode()).hexdigest()[:16]
    return Concept(value, SCHEME, (meaning or word)[:_LONGEST])


def unit_of(unit: str) -> Concept:
    """The UCUM unit of pixel values."""
    return _UNITS.get(unit, _NO_UNIT)


def intensity_of(unit: str) -> Concept:
    """What pixel values are."""
    return _INTENSITIES.get(unit) or own("pixel_value", "Pixel value after the Modality LUT")


def procedure_of(modality: str | None) -> Concept:
    """The procedure reported, PS3.16 CID 100."""
    return _PROCEDURES.get(modality or "", _IMAGING)

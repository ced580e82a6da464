"""What every result shares: the patient and study of its source, its own series, its maker, its dates, its file."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from medvis.dicom.objects.concepts import SCHEME
from medvis.dicom.objects.result_identity import ResultIdentity
from medvis.dicom.objects.source_study import SourceStudy
from medvis.dicom.read.values import FrameGroups, text, value
from medvis.dicom.uids import WRITER, WRITER_UID

NOT_FOR_DIAGNOSIS = "Research use only - not for diagnostic use."
MAKER = "medvis"
# Patient, Clinical Trial, General Study and Patient Study modules, PS3.3 C.7.1 and C.7.2.
_CARRIED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence"),
    *("PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "ResponsiblePerson"),
    *("PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsibleOrganization", "EthnicGroup"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("LongitudinalTemporalInformationModified", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID"),
    *("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID"),
    *("ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
    *("StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyID", "StudyDescription"),
    *("ReferringPhysicianName", "PatientAge", "PatientSize", "PatientWeight", "AdmissionID", "TimezoneOffsetFromUTC"),
)
_REQUIRED = (  # Type 2: there, but empty where the source does not say
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("StudyID", "ReferringPhysicianName"),
)
_MOMENTS = ("Acquisition", "Content", "Series", "Study")
_DATE, _MOMENT = r"\d{4}(0[1-9]|1[0-2])([0-2]\d|3[01])", r"(\d{8})(.*)"
_TIME = r"([01]\d|2[0-3])([0-5]\d){0,2}(\.\d{1,6})?"
_PUNCTUATED = {"DA": ".", "TM": ":"}  # as before DICOM: 1994.11.05 and 11:20:00, PS3.5 6.2
_UNDATED = ("19700101", "000000")
_SIDES = ("R", "L", "U", "B")
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass(frozen=True)
class Envelope:
    """A result's place in the world.

    Attributes:
        source: its source.
        identity: of all results of this outcome.
        kind: which of them, e.g. ``sr`` or ``seg binary``.
        title: what it is, in a few words.
    """

    source: SourceStudy
    identity: ResultIdentity
    kind: str
    title: str

    @property
    def description(self) -> str:
        """Series Description, LO."""
        return f"{self.identity.model_name} {self.title} - research use only"[:64]

    def arguments(self) -> dict[str, Any]:
        """What highdicom's constructors ask for, of the series and its maker."""
        date, time = moment_of(self.source.header)
        return {
            "series_instance_uid": self.identity.series(self.kind),
            "series_number": self.identity.series_number(self.kind),
            "sop_instance_uid": self.identity.instance(self.kind),
            "instance_number": 1,
            "manufacturer": MAKER,
            "manufacturer_model_name": self.identity.model_name[:64],
            "software_versions": [f"medvis {self.identity.medvis}", f"model {self.identity.model_version}"[:64]],
            "device_serial_number": self.identity.model_sha256[:64],
            "series_description": self.description,
            "content_date": date,
            "content_time": time,
        }

    def seal(self, ds: Dataset) -> None:
        """Puts patient, study, maker and dates of the source in place of what the constructor has made of them."""
        for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
            ds.pop(keyword, None)
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.StudyInstanceUID = self.source.study
        for keyword in _REQUIRED:
            setattr(ds, keyword, None)
        for keyword in _CARRIED:
            _carry(self.source.header, ds, keyword)
        if "ContentLabel" in ds:
            ds.ContentCreatorName = None  # Type 2, PS3.3 Table 10-12: no person has made it
        ds.ContributingEquipmentSequence = [self._equipment()]
        ds.CodingSchemeIdentificationSequence = [_own_scheme()]
        ds.file_meta = self._meta(ds)

    def _equipment(self) -> Dataset:
        """Contributing Equipment, PS3.3 C.12.1: the model and its hash."""
        item, purpose = Dataset(), Dataset()
        code = codes.DCM.ProcessingEquipment
        purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code[:3]
        item.PurposeOfReferenceCodeSequence = [purpose]
        item.Manufacturer, item.ManufacturerModelName = MAKER, self.identity.model_name[:64]
        item.SoftwareVersions = self.arguments()["software_versions"]
        item.DeviceSerialNumber = self.identity.model_sha256[:64]
        made = self.identity
        item.ContributionDescription = (
            f"Model {made.model_name} {made.model_version}, SHA-256 {made.model_sha256}, run by medvis {made.medvis}."
            f" {NOT_FOR_DIAGNOSIS}"
        )
        return item

    def _meta(self, ds: Dataset) -> FileMetaDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID, meta.ImplementationVersionName = UID(WRITER_UID), WRITER
        return meta


def carry_orientation(header: Dataset, ds: Dataset) -> None:
    """Patient Orientation of the General Image Module, PS3.3 C.7.6.1.1.1, for an image without a place: else empty."""
    ds.PatientOrientation = None
    _carry(header, ds, "PatientOrientation")


def side_of(header: Dataset) -> str:
    """Frame Laterality, PS3.3 C.7.6.16.2.8: the source's; of tomography that names no side, both."""
    anatomy = FrameGroups(header).get(0, "FrameAnatomySequence")
    sides = [None if anatomy is None else text(anatomy, "FrameLaterality")]
    sides += [text(header, keyword) for keyword in ("ImageLaterality", "Laterality")]
    return next((side for side in sides if side in _SIDES), "B")


def carry_side(header: Dataset, ds: Dataset) -> None:
    """Laterality of the General Series Module, PS3.3 C.7.3.1: the source's, else empty.

    Body Part Examined is not carried: with it, Laterality must be there or must not, by whether that part is paired.
    """
    ds.Laterality = None
    _carry(header, ds, "Laterality")


def _own_scheme() -> Dataset:
    """What 99MEDVIS stands for, PS3.3 C.12.1.1.2."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = SCHEME, "medvis"
    item.CodingSchemeResponsibleOrganization = "medvis"
    return item


def moment_of(header: Dataset) -> tuple[str, str]:
    """Date and time of the source, DA and TM: when it was acquired, else the next best; never now.

    Content Date and Time of a result must not differ between two equal runs. The year 1970 stands for unknown.
    """
    whole = re.match(_MOMENT, text(header, "AcquisitionDateTime") or "")
    pairs = [] if whole is None else [(whole[1], re.sub(r"[+-].*", "", whole[2]))]
    pairs += [(text(header, f"{name}Date") or "", text(header, f"{name}Time") or "") for name in _MOMENTS]
    for punctuated in pairs:
        date, time = (part.replace(mark, "") for part, mark in zip(punctuated, ".:", strict=True))
        if re.fullmatch(_DATE, date):
            return date, time if re.fullmatch(_TIME, time) else _UNDATED[1]
    return _UNDATED


def carry_loss(header: Dataset, ds: Dataset) -> None:
    """An image that was made from a lossy one says so, PS3.3 C.7.6.1.1.5."""
    if text(header, _LOSSY[0]) == "01":
        for keyword in _LOSSY:
            _carry(header, ds, keyword)


def save(ds: Dataset, path: Path) -> None:
    """Writes the file (PS3.10), the same bytes for the same data set."""
    dcmwrite(path, ds, enforce_file_format=True, overwrite=False)


def _carry(header: Dataset, ds: Dataset, keyword: str) -> None:
    """Copies an element, decoded, since the result is in UTF-8; else as it is, identity being nothing to correct."""
    if value(header, keyword) is None:
        return
    element = header[keyword]
    kind = dictionary_VR(element.tag)
    if kind == "PN":
        ds[keyword] = DataElement(element.tag, kind, PersonName(str(element.value)))
    elif kind in _PUNCTUATED:
        ds[keyword] = DataElement(element.tag, kind, str(element.value).replace(_PUNCTUATED[kind], ""))
    elif kind == element.VR:
        ds[keyword] = deepcopy(element)
    elif kind != "SQ":  # a file with explicit VR may name a wrong one
        ds[keyword] = DataElement(element.tag, kind, str(element.value))

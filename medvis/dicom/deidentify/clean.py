"""A data set without identity: every attribute at every depth as PS3.15 Table E.1-1 wants it, in place.

Beyond the table: private attributes, those that no edition of the dictionary knows, whole overlay and curve groups go.
The text and the names in the content tree of a report are replaced; its codes, numbers and references stay (Clean
Structured Content Option), so that a measurement keeps its meaning.
"""

from __future__ import annotations

from pydicom.datadict import dictionary_has_tag, repeater_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from medvis import __version__
from medvis.dicom.deidentify.profile import CHARACTERISTICS, EDITION, STRUCTURED, Profile, action_of, library
from medvis.dicom.deidentify.pseudonyms import Secret
from medvis.dicom.uids import DEIDENTIFIER_UID, WRITER
from medvis.errors import InputError

REMOVED = "REMOVED"
OWN_SCHEME = "99MEDVIS"  # of medvis's own results: its codes are words of this program
_DATES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}  # where there must be one: an obvious dummy
_BIRTH = frozenset(Tag(keyword) for keyword in ("PatientBirthDate", "PatientBirthTime"))
_CONTENT = Tag("ContentSequence")
_TYPE_2 = ("KO", "SR")  # reports must name the performed procedure step, if only by an empty sequence
_NAMING = ("CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning")
_ENCAPSULATED = "EncapsulatedDocument"


class Cleaner:
    """Cleans data sets, all with one secret and one profile.

    Args:
        secret: ties old identifiers to new ones.
        profile: with its options.
    """

    def __init__(self, secret: Secret, profile: Profile) -> None:
        self._secret, self._profile, self._patient, self._modality = secret, profile, "", ""
        self._dummy = library().replace_element

    def clean(self, ds: Dataset) -> None:
        """Cleans a whole data set with its file meta information, in place.

        Raises:
            InputError: it holds a document in another format, of which nobody can say what it shows.
        """
        if _ENCAPSULATED in ds:
            raise InputError("an encapsulated document cannot be de-identified", "images and structured reports")
        self._patient = f"{ds.get('PatientID') or ''}\n{ds.get('IssuerOfPatientID') or ''}"
        if not self._patient.strip():
            self._patient = f"{ds.get('PatientName') or ''}\n{ds.get('StudyInstanceUID') or ''}"
        self._modality = str(ds.get("Modality") or "")
        self._walk(ds)
        self._declare(ds)
        ds.file_meta = self._meta(ds)
        ds.preamble = bytes(128)

    def _walk(self, ds: Dataset) -> None:
        for tag in list(ds.keys()):
            if _foreign(tag):
                del ds[tag]
                continue
            element, action = ds[tag], action_of(tag)
            if self._profile.patient_characteristics and tag in CHARACTERISTICS:
                continue
            if element.VR == "SQ":
                self._sequence(ds, element, action)
            elif element.VR == "UN" and action is None:  # bytes that nobody can look into
                del ds[tag]
            elif action is not None:
                self._apply(ds, element, action)
        _unname_private_codes(ds)

    def _sequence(self, ds: Dataset, element: DataElement, action: str | None) -> None:
        """Sequences that may stay are cleaned item by item; of those to be replaced, only what must be there stays."""
        performed = element.keyword == "ReferencedPerformedProcedureStepSequence" and self._modality in _TYPE_2
        if action == "Z" or performed:
            element.value = Sequence()
        elif action in (None, "C") or element.tag == _CONTENT or element.keyword == "VerifyingObserverSequence":
            for item in element.value:
                self._walk(item)
                if element.tag == _CONTENT and "TextValue" in item:
                    item.TextValue = REMOVED
        elif element.keyword == "PersonIdentificationCodeSequence":
            element.value = Sequence([_code(REMOVED, "99REMOVED", REMOVED)])
        else:
            del ds[element.tag]

    def _apply(self, ds: Dataset, element: DataElement, action: str) -> None:
        if element.VR == "UI":
            self._uids(ds, element, action)
        elif element.VR in _DATES and self._profile.modified_dates and element.tag not in _BIRTH:
            self._move(ds, element, action)
        elif element.keyword in ("PatientName", "PatientID"):
            own = self._secret.patient(self._patient)
            element.value = f"anon^{own}" if element.keyword == "PatientName" else own
        else:
            self._put(ds, element, action)

    def _put(self, ds: Dataset, element: DataElement, action: str) -> None:
        if action == "X":
            del ds[element.tag]
        elif action == "Z":
            element.value = None
        elif element.VR in _DATES:
            element.value = None if element.is_empty else _DATES[element.VR]
        elif not element.is_empty:
            try:
                self._dummy(element)
            except RuntimeError:  # a type that the library has no dummy for
                element.value = None

    def _uids(self, ds: Dataset, element: DataElement, action: str) -> None:
        if action == "X":
            del ds[element.tag]
        elif not self._profile.uids and not element.is_empty:
            old = element.value
            element.value = (
                self._secret.uid(str(old)) if isinstance(old, str) else [self._secret.uid(str(value)) for value in old]
            )

    def _move(self, ds: Dataset, element: DataElement, action: str) -> None:
        """A time of day says nothing without its date, and stays."""
        if element.VR == "TM" or element.is_empty:
            return
        old = [str(element.value)] if element.VM == 1 else [str(value) for value in element.value]
        new = [self._secret.moved(value, self._patient) for value in old]
        if None in new:
            self._put(ds, element, action)
        else:
            element.value = new if len(new) > 1 else new[0]

    def _declare(self, ds: Dataset) -> None:
        """PS3.15 E.1.1: what was done."""
        ds.PatientIdentityRemoved = "YES"
        ds.DeidentificationMethod = f"medvis {__version__}, PS3.15 {EDITION}"[:64]
        done = [*self._profile.codes, *([STRUCTURED] if _CONTENT in ds else [])]
        ds.DeidentificationMethodCodeSequence = Sequence([_code(value, "DCM", name) for value, name in done])
        ds.LongitudinalTemporalInformationModified = "MODIFIED" if self._profile.modified_dates else "REMOVED"

    def _meta(self, ds: Dataset) -> FileMetaDataset:
        """File meta information (PS3.10 7.1) of the new instance, and nothing of the old one but its encoding."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = ds.SOPClassUID
        meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
        meta.ImplementationClassUID, meta.ImplementationVersionName = UID(DEIDENTIFIER_UID), WRITER
        return meta


def _foreign(tag: BaseTag) -> bool:
    """Private, a group length, of a curve or an overlay, or of no dictionary: nobody can say what it shows."""
    if tag.is_private or tag.element == 0 or tag.group < 0x0008 or tag.group & 0xFF00 in (0x5000, 0x6000):
        return True
    return not (dictionary_has_tag(tag) or repeater_has_tag(tag))


def _unname_private_codes(ds: Dataset) -> None:
    """A code of a site's own scheme may hold anything, names of people included (PS3.16 section 8)."""
    scheme = str(ds.get("CodingSchemeDesignator") or "")
    if (scheme.startswith("99") and scheme != OWN_SCHEME) or scheme == "L":
        for keyword in _NAMING:
            if keyword in ds:
                ds[keyword].value = REMOVED


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item

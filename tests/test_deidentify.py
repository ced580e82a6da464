"""De-identification against the table of PS3.15: identity is planted in all of it, and looked for in the bytes."""

import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

pytest.importorskip("dicomanonymizer", reason="the extra deid is not installed")

from medvis.cli.main import main
from medvis.dicom.deidentify.clean import Cleaner
from medvis.dicom.deidentify.profile import EDITION, Profile, action_of, library
from medvis.dicom.deidentify.pseudonyms import Secret
from medvis.errors import SettingsError

SLICE = Path(__file__).parents[1] / "sample_data" / "lung1" / "0007.dcm"
WORD, DAY, CLOCK = "PLANTED", "19630517", "235917"
PLANTS = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "PN", "CS", "AE", "UR"), WORD),
    **{"DA": DAY, "TM": CLOCK, "DT": DAY + CLOCK, "AS": "047Y", "OB": WORD.encode() + b" ", "UN": WORD.encode() + b" "},
    **{"DS": "196305", "IS": "196305", "US": 19635},
}
MARKS = (WORD.encode(), DAY.encode(), CLOCK.encode(), b"047Y", b"196305")


def table():
    """(tag, VR) of every attribute of the table that the dictionary knows, but sequences and UIDs."""
    names = library().dicom_anonymization_database_selector(f"dicomfields_{EDITION}")["ALL_TAGS"]
    for group, element, *_ in (tag for tag in names if len(tag) == 2):
        tag = (group << 16) | element
        if keyword_for_tag(tag) and dictionary_VR(tag) in PLANTS:
            yield tag, dictionary_VR(tag)


def planted(item: Dataset) -> Dataset:
    """Identity in every attribute of the table that is not refused as a whole."""
    for tag, vr in table():
        if tag >> 16 > 0x0002 and keyword_for_tag(tag) != "EncapsulatedDocument":
            item.add_new(tag, vr, PLANTS[vr])
    item.private_block(0x0099, "PLANTED MAKER", create=True).add_new(1, "LO", WORD)
    item.add_new(0x00091234, "LO", WORD)
    item.add_new(0x00186666, "LO", WORD)  # in no dictionary
    item.add_new(0x60000022, "LO", WORD)
    item.add_new(0x50050010, "LO", WORD)
    return item


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """A CT slice with identity everywhere: in the header, in sequences at several depths, in meta and preamble."""
    ds = dcmread(SLICE)
    deep = planted(Dataset())
    deep.RelatedSeriesSequence = Sequence([planted(Dataset())])
    planted(ds)
    for keyword in ("ReferencedImageSequence", "ContributingEquipmentSequence", "RelatedSeriesSequence"):
        setattr(ds, keyword, Sequence([deepcopy(deep)]))
    for keyword in ("OriginalAttributesSequence", "RequestAttributesSequence", "OperatorIdentificationSequence"):
        setattr(ds, keyword, Sequence([deepcopy(deep)]))
    ds.Modality, ds.BodyPartExamined = "CT", "CHEST"
    ds.file_meta.SourceApplicationEntityTitle = WORD
    ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = "1.2.3", WORD.encode() + b" "
    ds.preamble = (WORD * 20).encode()[:128]
    folder = tmp_path_factory.mktemp("victim")
    ds.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"


def run(*arguments):
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code or 0


def only(folder: Path) -> Path:
    (found,) = folder.rglob("*.dcm")
    return found


def leaks(data: bytes) -> list[bytes]:
    return [mark for mark in MARKS if mark in data]


def test_nothing_that_was_planted_is_left(victim, tmp_path, capfd):
    before = victim.read_bytes()
    assert leaks(before) == list(MARKS)
    assert run("deidentify", victim, "-o", tmp_path / "out") == 0
    data = only(tmp_path / "out").read_bytes()
    assert leaks(data) == []
    assert victim.read_bytes() == before
    said = capfd.readouterr()
    assert leaks((said.out + said.err).encode()) == []
    ds = dcmread(only(tmp_path / "out"))
    assert ds.preamble == bytes(128) and (ds.PatientIdentityRemoved, ds.Modality) == ("YES", "CT")
    assert ds.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert ds.LongitudinalTemporalInformationModified == "REMOVED"
    assert ds.PixelData == dcmread(victim).PixelData


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_attribute_is_treated_as_the_table_says(depth):
    ds = item = planted(dcmread(SLICE, stop_before_pixels=True))
    for _ in range(depth):
        item.ContributingEquipmentSequence = Sequence([planted(Dataset())])
        item = item.ContributingEquipmentSequence[0]
    Cleaner(Secret(b"k" * 16), Profile()).clean(ds)
    for tag, vr in table():
        action = action_of(tag)
        if tag >> 16 == 0x0002 or keyword_for_tag(tag) == "EncapsulatedDocument":
            continue
        if action == "X":
            assert tag not in item, keyword_for_tag(tag)
        elif keyword_for_tag(tag) == "PatientName":
            assert str(item[tag].value).startswith("anon^")
        else:
            value = item[tag].value
            assert (value in (None, "", b"")) == (action == "Z") and value != PLANTS[vr], keyword_for_tag(tag)


def test_the_table_is_the_whole_of_one_edition():
    columns = library().dicom_anonymization_database_selector(f"dicomfields_{EDITION}")
    for column, tags in columns.items():
        for tag in tags if column != "ALL_TAGS" else ():
            number = (tag[0] << 16) | tag[1] | (0x20000 if len(tag) == 4 else 0)  # 5002, 6002: a repeating group
            assert action_of(number) in ("X", "Z", "D", "U", "C")
    assert len(columns["ALL_TAGS"]) > 600
    known = {"PatientName": "Z", "PatientBirthDate": "Z", "InstitutionAddress": "X", "SOPInstanceUID": "U"}
    for keyword, action in known.items():
        assert action_of(Tag(keyword)) == action
    assert action_of(0x00280010) is None and action_of(0x60020000 | 0x3000) == "X"


def report_on(image: Dataset) -> Dataset:
    """A structured report on an image: a name, a text, a site's own code, a number, a reference."""
    ds = Dataset()
    ds.file_meta = deepcopy(image.file_meta)
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4.5"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = image.StudyInstanceUID, "1.2.3.4.6", "SR"
    ds.PatientID, ds.PatientName = image.PatientID, image.PatientName
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = WORD, "99SITE", WORD
    scale = Dataset()
    scale.CodeValue, scale.CodingSchemeDesignator, scale.CodeMeaning = "81827009", "SCT", "Diameter"
    items = [Dataset() for _ in range(4)]
    items[0].ValueType, items[0].TextValue, items[0].ConceptNameCodeSequence = "TEXT", WORD, Sequence([code])
    items[1].ValueType, items[1].PersonName = "PNAME", WORD
    items[2].ValueType, items[2].ConceptNameCodeSequence = "NUM", Sequence([scale])
    items[2].MeasuredValueSequence = Sequence([Dataset()])
    items[2].MeasuredValueSequence[0].NumericValue = "12.5"
    items[3].ValueType, items[3].ReferencedSOPSequence = "IMAGE", Sequence([Dataset()])
    items[3].ReferencedSOPSequence[0].ReferencedSOPClassUID = image.SOPClassUID
    items[3].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = image.SOPInstanceUID
    ds.ContentSequence = Sequence(items)
    return ds


def test_references_hold_and_a_report_keeps_its_numbers(tmp_path):
    image = dcmread(SLICE)
    image.save_as(tmp_path / "image.dcm")
    report = report_on(image)
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    report.save_as(tmp_path / "a-report.dcm", enforce_file_format=True)  # read before what it refers to
    assert run("deidentify", tmp_path, "-o", tmp_path / "out", "--quiet") == 0
    found = {ds.Modality: ds for ds in map(dcmread, (tmp_path / "out").rglob("*.dcm"))}
    new, told = found["CT"], found["SR"].ContentSequence
    assert told[3].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == new.SOPInstanceUID != image.SOPInstanceUID
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    assert found["SR"].StudyInstanceUID == new.StudyInstanceUID and found["SR"].PatientID == new.PatientID
    assert told[2].MeasuredValueSequence[0].NumericValue == 12.5
    assert told[2].ConceptNameCodeSequence[0].CodeMeaning == "Diameter"
    assert told[3].ReferencedSOPSequence[0].ReferencedSOPClassUID == image.SOPClassUID
    assert not any(leaks(path.read_bytes()) for path in (tmp_path / "out").rglob("*.dcm"))
    assert [item.CodeValue for item in found["SR"].DeidentificationMethodCodeSequence] == ["113100", "113104"]


def test_a_key_gives_the_same_again_and_no_key_never(tmp_path):
    (tmp_path / "key").write_bytes(b"0123456789abcdef0123456789abcdef\n")
    for name, more in (("a", ["--key-file", tmp_path / "key"]), ("b", ["--key-file", tmp_path / "key"]), ("c", [])):
        assert run("deidentify", SLICE, "-o", tmp_path / name, *more) == 0
    first, second, third = (only(tmp_path / name).read_bytes() for name in "abc")
    assert first == second != third
    assert dcmread(only(tmp_path / "a")).PatientID != dcmread(only(tmp_path / "c")).PatientID
    (tmp_path / "short").write_bytes(b"secret")
    with pytest.raises(SettingsError, match="holds 6 bytes; wanted: at least 16"):
        Secret.from_file(tmp_path / "short")


def test_dates_can_be_moved_with_their_distances(tmp_path):
    kept = []
    for number, day in enumerate(("20200131", "20200305")):
        ds = dcmread(SLICE)
        ds.PatientID, ds.PatientBirthDate, ds.StudyDate, ds.AcquisitionDateTime = "P1", DAY, day, day + "101500.5"
        ds.StudyTime, ds.SOPInstanceUID, ds.PatientAge = "101500", f"1.2.3.{number}", "047Y"
        Cleaner(Secret(b"k" * 16), Profile.of(["modified-dates", "patient-characteristics"])).clean(ds)
        kept.append(ds)
    first, second = (np.datetime64(f"{ds.StudyDate[:4]}-{ds.StudyDate[4:6]}-{ds.StudyDate[6:]}") for ds in kept)
    assert second - first == np.timedelta64(34, "D") and str(first) < "2020-01-31"
    assert kept[0].AcquisitionDateTime == kept[0].StudyDate + "101500.5" and kept[0].StudyTime == "101500"
    assert not kept[0].PatientBirthDate and kept[0].PatientAge == "047Y"
    assert kept[0].LongitudinalTemporalInformationModified == "MODIFIED"
    assert [item.CodeValue for item in kept[0].DeidentificationMethodCodeSequence] == ["113100", "113107", "113108"]
    with pytest.raises(SettingsError, match="profile option 'full-dates'"):
        Profile.of(["full-dates"])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("options", [[], ["--profile", "modified-dates"]])
def test_a_valid_ct_stays_valid(tmp_path, options):
    ds = dcmread(SLICE)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200131"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101500"
    ds.OperatorsName, ds.InstitutionName, ds.StationName, ds.DeviceSerialNumber = "A^B", "C", "D", "E"
    ds.ReferringPhysicianName, ds.AccessionNumber, ds.ProtocolName = "F^G", "H", "I"
    ds.save_as(tmp_path / "a.dcm")
    assert errors(tmp_path / "a.dcm") == []
    assert run("deidentify", tmp_path / "a.dcm", "-o", tmp_path / "out", *options) == 0
    assert errors(only(tmp_path / "out")) == []


def errors(path):
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def test_what_is_no_object_is_left_out_and_a_bad_file_stops_no_other(tmp_path, capfd):
    inside = tmp_path / "in" / "Doe^John"
    inside.mkdir(parents=True)
    shutil.copy(SLICE, inside / "Doe^John.dcm")
    (inside / "DICOMDIR").write_bytes(SLICE.read_bytes())
    (inside / "readme.txt").write_text("Doe^John")
    (inside / "broken.dcm").write_bytes(SLICE.read_bytes()[:5000])
    assert run("deidentify", tmp_path / "in", "-o", tmp_path / "out") == 8
    assert [str(path.relative_to(tmp_path / "out")) for path in sorted((tmp_path / "out").rglob("*"))] == [
        "study-01",
        "study-01/series-01",
        "study-01/series-01/0001.dcm",
    ]
    said = capfd.readouterr().err
    assert "truncated" in said and "2 file(s) that are no DICOM objects were left out" in said
    assert run("deidentify", SLICE, "-o", tmp_path / "out") == 7  # never over anything
    assert run("deidentify", SLICE, "-o", SLICE.parent) == 7
    assert run("deidentify", inside / "broken.dcm", "-o", tmp_path / "none") == 3
    assert not (tmp_path / "none").exists()


def test_an_encapsulated_document_is_refused(tmp_path, capfd):
    ds = dcmread(SLICE)
    ds.EncapsulatedDocument = b"%PDF-1.4"
    ds.save_as(tmp_path / "a.dcm")
    assert run("deidentify", tmp_path / "a.dcm", "-o", tmp_path / "out") == 3
    assert "an encapsulated document cannot be de-identified" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()

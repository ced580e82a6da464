"""Folders of several patients, studies, series, planes, phases and objects, as the volumes that they hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import dicom_maker as maker
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.open import open_scan

VOLUME = maker.volume()


def labels(path):
    with volumes(path) as found:
        return [volume.label for volume in found]


def slices(folder, heights, values=0, **tags):
    """CT slices of one series with these heights."""
    folder.mkdir(parents=True, exist_ok=True)
    for height in heights:
        number = len(list(folder.iterdir()))
        maker.save(maker.ct(VOLUME[0] + values + number, z=float(height), **tags), folder / f"{number:03d}")


def series(name, number, study="study", **tags):
    uids = {"SeriesInstanceUID": maker.uid_of("series", name), "StudyInstanceUID": maker.uid_of(study)}
    return {**uids, "SeriesNumber": number, "SeriesDescription": name, **tags}


def test_a_study_on_a_medium(tmp_path):
    """Series in folders of their own, a scout, a report, a segmentation, a picture, hidden files."""
    slices(tmp_path / "IMAGES" / "A", range(5), **series("Lung 1mm Meier", 10, PatientName="Meier^Eva"))
    slices(tmp_path / "IMAGES" / "B", range(3), **series("Soft", 9))
    slices(tmp_path / "IMAGES" / "S", [0], **series("Scout", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    slices(tmp_path / "IMAGES" / "G", [0], **series("made", 11, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"))
    slices(tmp_path / "IMAGES" / "R", [0], **series("text", 12, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22", Rows=None))
    (tmp_path / "AUTORUN.INF").write_text("[autorun]")
    (tmp_path / ".Trash").mkdir()
    slices(tmp_path / ".Trash", range(3), **series("gone", 99))
    with volumes(tmp_path) as found:
        assert [volume.label for volume in found] == ["series-1-scout-localizer", "series-9-soft", "series-10-lung-1mm"]
        scout, soft, lung = found
        assert scout.why_not == "1 localizer image(s)"
        assert [volume.label for volume in found.usable()] == ["series-9-soft", "series-10-lung-1mm"]
        assert lung.files == tuple(f"IMAGES/A/{name:03d}" for name in range(5))
        assert found.notes == (
            "1 file(s) that are no DICOM were ignored: AUTORUN.INF",
            "DICOM objects that are no images to look at were ignored: 1 Enhanced SR, 1 Segmentation",
        )
        scan = lung.read()
        assert scan.frames == 5
        assert scan.source.path == str(tmp_path)
        assert all((tmp_path / name).is_file() for name in scan.source.files)
        np.testing.assert_array_equal(soft.read().pixels[:, 0, 0, 0], VOLUME[0, 0, 0] + np.arange(3))
        with pytest.raises(InputError, match="1 localizer"):
            scout.read()
    assert open_scan(tmp_path, "10").frames == 5
    assert open_scan(tmp_path, maker.uid_of("series", "Soft")).frames == 3
    with pytest.raises(InputError, match="holds no series '7'; wanted: one of series-1-scout"):
        open_scan(tmp_path, "7")


def test_one_series_beside_what_is_none_is_read_and_says_so(tmp_path):
    slices(tmp_path, range(4), **series("Lung", 2))
    slices(tmp_path / "s", [0], **series("Scout", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    slices(tmp_path / "r", [0], **series("x", 3, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None))
    scan = open_scan(tmp_path)
    assert scan.frames == 4
    assert any("1 Comprehensive SR" in note for note in scan.notes)


def test_several_patients_and_studies(tmp_path):
    slices(tmp_path / "b", range(2), **series("Lung", 1, "later", StudyDate="20200202", PatientName="B"))
    slices(tmp_path / "a", range(2), **series("Lung", 1, "earlier", StudyDate="20190202", PatientName="A"))
    with volumes(tmp_path) as found:
        assert [volume.label for volume in found] == ["study-1-series-1-lung", "study-2-series-1-lung"]
        assert [volume.facts["study"] for volume in found] == [1, 2]
        assert found[0].files[0].startswith("a/")
        assert [volume.label for volume in found.pick("1")] == [volume.label for volume in found]


def test_planes_sizes_and_spacings_of_one_series(tmp_path):
    same = series("loc", 1)
    slices(tmp_path, range(3), **same)
    for index in range(2):
        place = {"ImagePositionPatient": [0, index, 0], "ImageOrientationPatient": list(maker.CORONAL)}
        maker.save(maker.ct(VOLUME[index], **same, **place), tmp_path / f"c{index}")
    slices(tmp_path / "fine", range(2), **same, PixelSpacing=[0.3, 0.3])
    assert labels(tmp_path) == ["series-1-loc-axial-3-images", "series-1-loc-coronal", "series-1-loc-axial-2-images"]


@pytest.mark.parametrize(
    ("keyword", "values", "names"),
    [
        ("AcquisitionNumber", [2, 10], ["acquisition-2", "acquisition-10"]),
        ("TemporalPositionIdentifier", [1, 2], ["time-1", "time-2"]),
        ("EchoNumbers", [1, 2], ["echo-1", "echo-2"]),
        ("TriggerTime", [0, 333.5], ["trigger-time-0-0", "trigger-time-333-5"]),
        ("ConvolutionKernel", ["B31f", "B60f"], ["kernel-b31f", "kernel-b60f"]),
        ("ImageType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]], ["type-original-primary-m", "…-p"]),
    ],
)
def test_images_at_the_same_place_are_told_apart(tmp_path, keyword, values, names):
    for value in values:
        slices(tmp_path, range(4), **series("x", 1), **{keyword: value})
    found = labels(tmp_path)
    assert len(found) == 2
    for label, name in zip(found, names, strict=True):
        assert label.endswith(name.lstrip("…"))
    with volumes(tmp_path) as both:
        assert [volume.read().geometry.slice_spacing for volume in both] == [1.0, 1.0]


def test_the_attribute_with_the_fewest_groups_tells_them_apart(tmp_path):
    """Some scanners count every image as an acquisition; two echoes are still two volumes."""
    for index in range(8):
        tags = {"AcquisitionNumber": index, "EchoNumbers": 1 + index % 2}
        slices(tmp_path, [index // 2], **series("x", 1), **tags)
    assert [label.rpartition("x-")[2] for label in labels(tmp_path)] == ["echo-1", "echo-2"]


def test_two_attributes_are_needed_for_echoes_over_time(tmp_path):
    for echo in (1, 2):
        for time in (1, 2):
            slices(tmp_path, range(3), **series("x", 1), EchoNumbers=echo, TemporalPositionIdentifier=time)
    assert len(labels(tmp_path)) == 4
    assert "series-1-x-time-2-echo-1" in labels(tmp_path)


def test_interleaved_phases_are_not_mixed(tmp_path):
    """No two images share a place, but only apart do they make even stacks."""
    for phase, offset in ((1, 0.0), (2, 0.7)):
        slices(tmp_path, [5 * index + offset for index in range(4)], **series("x", 1), TemporalPositionIdentifier=phase)
    with volumes(tmp_path) as found:
        assert [volume.facts["slice_spacing_mm"] for volume in found] == [5.0, 5.0]


def test_doubled_slices_that_nothing_tells_apart_are_no_volume(tmp_path):
    slices(tmp_path, [0, 1, 2, 2, 3], **series("x", 1))
    with volumes(tmp_path) as found:
        assert "5 images at only 4 positions, and nothing tells them apart (twice at 2 mm" in found[0].why_not
    with pytest.raises(InputError, match="twice at 2 mm"):
        open_scan(tmp_path)


def test_an_instance_that_was_exported_twice_counts_once(tmp_path):
    slices(tmp_path, range(3), **series("x", 1))
    again = pydicom.dcmread(tmp_path / "000")
    again.ImageComments = "exported again"
    maker.save(again, tmp_path / "again")
    scan = open_scan(tmp_path)
    assert scan.frames == 3
    assert "1 file(s) with the SOP Instance UID and place of another one were left out" in scan.notes


def test_images_without_a_place_are_volumes_of_their_own(tmp_path):
    for view in range(2):
        ds = maker.image(np.full((8, 8), view, np.uint16), "DX", **series("chest", 1), ViewPosition="AP")
        maker.save(ds, tmp_path / f"{view}")
    assert labels(tmp_path) == ["series-1-chest", "series-1-chest-2"]


def test_images_of_one_series_are_called_by_their_instance_numbers(tmp_path):
    """Whatever order their files come in: a number that only counts them would name another image elsewhere."""
    for name, instance in (("a", 7), ("b", 3)):
        ds = maker.image(np.full((8, 8), instance, np.uint16), "DX", **series("chest", 1), InstanceNumber=instance)
        maker.save(ds, tmp_path / name)
    assert sorted(labels(tmp_path)) == ["series-1-chest-image-3", "series-1-chest-image-7"]
    with volumes(tmp_path) as found:
        assert found.pick("series-1-chest-image-3").single().read().pixels.max() == 3


def test_series_without_a_description_are_called_by_what_tells_them_apart(tmp_path):
    """The kind of a volume, then its size: never the order of the files alone where anything better is known."""
    bare = {"StudyInstanceUID": "1.2.9", "SeriesNumber": None}
    maker.save(maker.ct(VOLUME[0], SeriesInstanceUID="1.2.3.1", **bare), tmp_path / "a")
    maker.save(maker.ct(np.zeros((9, 9)), SeriesInstanceUID="1.2.3.2", **bare), tmp_path / "b")
    maker.save(maker.image(np.zeros((8, 8), np.uint16), "US", SeriesInstanceUID="1.2.3.3", **bare), tmp_path / "c")
    assert sorted(labels(tmp_path)) == ["series-ct-6x5", "series-ct-9x9", "series-us"]


def test_a_long_description_does_not_hide_what_tells_volumes_apart(tmp_path):
    for echo in (1, 2):
        slices(tmp_path, range(3), **{**series("x", 1), "SeriesDescription": "very " * 12}, EchoNumbers=echo)
    found = labels(tmp_path)
    assert [label[-7:] for label in found] == ["-echo-1", "-echo-2"]
    assert all(len(label) <= 60 for label in found)


@pytest.mark.parametrize(
    ("name", "said", "label"),
    [
        ("Hu^Li", "lungs of Hu Li", "series-1-lungs-of"),  # short names stand by themselves
        ("Hu^Li", "lithium study hull", "series-1-lithium-study-hull"),  # and are no part of other words
        ("Smith^John", "Thorax JSmith2", "series-1-thorax"),
        ("\u738b^\u4f1f", "\u738b\u4f1f lungs", "series-1-lungs"),  # a single character is a whole name
        ("A^B", "a b lungs", "series-1-a-b-lungs"),  # a single letter is none
    ],
)
def test_labels_are_without_names(tmp_path, name, said, label):
    for height in range(3):
        tags = {**series("x", 1), "SeriesDescription": said, "PatientName": name, "SpecificCharacterSet": "ISO_IR 192"}
        maker.save(maker.ct(VOLUME[0] + height, z=float(height), **tags), tmp_path / f"{height}")
    assert labels(tmp_path) == [label]


def test_parts_of_a_concatenation_are_refused(tmp_path):
    for part in (1, 2):
        ds = maker.enhanced_ct(np.full((2, 3, 3), part, np.int16), heights=[2 * part, 2 * part + 1])
        ds.ConcatenationUID, ds.InConcatenationTotalNumber = "1.2.3", 2
        maker.save(ds, tmp_path / f"{part}")
    with volumes(tmp_path) as found:
        assert [volume.why_not for volume in found] == ["one part of a concatenation, which is not put together"] * 2


def test_a_damaged_file_stops_its_series_but_no_others(tmp_path):
    slices(tmp_path / "a", range(3), **series("a", 1))
    head = (tmp_path / "a" / "001").read_bytes()[:400]
    (tmp_path / "a" / "001").write_bytes(head)
    with pytest.raises(InputError, match=r"001 (is truncated|has no pixel data|holds no image)"):
        open_scan(tmp_path / "a")
    slices(tmp_path / "b", range(3), **series("b", 2))
    with volumes(tmp_path) as found:
        assert [volume.label for volume in found] == ["series-1-a", "series-2-b", "damaged-001"]
        assert found[1].read().frames == 3
        assert "1 damaged file(s) could not be read, nobody knows of which series: 001" in found.notes
        with pytest.raises(InputError, match=r"truncated|no pixel data|no image"):
            found[2].read()


def test_nothing_but_other_objects(tmp_path):
    slices(tmp_path, [0], **series("x", 3, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None))
    with pytest.raises(InputError, match="holds no DICOM image, but 1 Comprehensive SR"):
        open_scan(tmp_path)


def dicomdir(folder, names):
    """The smallest index that lists these files."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    records = []
    for name in names:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as below
            record.ReferencedFileID = list(name)
        records.append(record)
    ds.DirectoryRecordSequence = records
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that no medium should have
        ds.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


def test_a_dicomdir_gives_what_it_lists(tmp_path):
    slices(tmp_path / "images" / "a", range(3), **series("a", 1))
    slices(tmp_path / "images" / "b", range(2), **series("b", 2))
    listed = [("IMAGES", "A", f"{name:03d}") for name in range(3)]
    index = dicomdir(tmp_path, [*listed, ("IMAGES", "A", "GONE"), ("..", "secret")])
    with volumes(index) as found:
        assert [volume.label for volume in found] == ["series-1-a"]
        assert found.path == str(index)
        scan = found[0].read()
        assert all((Path(scan.source.path) / name).is_file() for name in scan.source.files)
        assert found.notes[0].startswith("2 of 5 file(s) that the DICOMDIR lists are not there: IMAGES/A/GONE, ")
    assert "2 of 5 file(s) that the DICOMDIR lists are not there" in scan.notes
    assert labels(tmp_path) == ["series-1-a", "series-2-b"]


@pytest.mark.parametrize(
    ("names", "words"), [([], "lists no file"), ([("A", "B")], "none of the 1 file"), ([("..", "A")], "none of the 1")]
)
def test_a_dicomdir_that_leads_nowhere(tmp_path, names, words):
    (tmp_path / "medium").mkdir()
    maker.save(maker.ct(VOLUME[0]), tmp_path / "A")
    with pytest.raises(InputError, match=words):
        open_scan(dicomdir(tmp_path / "medium", names))


def test_the_dicomdirs_that_pydicom_ships():
    folder = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    if not (folder / "DICOMDIR").is_file():
        pytest.skip("this pydicom ships no DICOMDIR")
    with volumes(folder / "DICOMDIR") as found:
        assert len(found) > 5
        assert {volume.facts["modality"] for volume in found} >= {"CT", "MR"}
        assert len({volume.facts["study"] for volume in found}) > 2
        assert len({volume.label for volume in found}) == len(found)
        read = [volume for volume in found.usable() if volume.read().frames == volume.facts["frames"]]
        assert len(read) == len(found.usable())


def scan_of(folder):
    with volumes(folder) as found:
        (volume,) = found.usable()
        return volume.read()


def test_a_slice_exported_twice_under_another_uid_is_left_out_with_a_note(tmp_path):
    slices(tmp_path, range(6))
    again = pydicom.dcmread(tmp_path / "003")
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = maker.uid_of("again")
    again.InstanceNumber = 99
    again.save_as(tmp_path / "copy")
    scan = scan_of(tmp_path)
    assert scan.frames == 6 and scan.geometry.slice_spacing == 1
    assert "1 image(s) with the pixels and place of another one were left out" in scan.notes
    pixels = again.pixel_array.copy()
    pixels[0, 0] += 1
    again.PixelData = pixels.tobytes()
    again.save_as(tmp_path / "copy")
    with volumes(tmp_path) as found:
        assert "7 images at only 6 positions, and nothing tells them apart" in str(next(iter(found)).why_not)


def test_a_frame_of_reference_an_image_says_nothing(tmp_path):
    for height in range(5):
        slices(tmp_path, [height], FrameOfReferenceUID=maker.uid_of("frame", height))
    scan = scan_of(tmp_path)
    assert scan.frames == 5 and scan.geometry.slice_spacing == 1
    assert any("a Frame of Reference UID of its own" in note for note in scan.notes)


def test_images_without_a_frame_of_reference_belong_to_those_with_one(tmp_path):
    for height in range(6):
        slices(tmp_path, [height], FrameOfReferenceUID=maker.uid_of("frame") if height % 2 else None)
    scan = scan_of(tmp_path)
    assert scan.frames == 6 and scan.geometry.slice_spacing == 1, "half of them would be twice as far apart"
    assert any("name no Frame of Reference UID" in note for note in scan.notes)


def test_a_split_says_why(tmp_path):
    slices(tmp_path, range(4), FrameOfReferenceUID=maker.uid_of("one"))
    slices(tmp_path, range(4, 7), FrameOfReferenceUID=maker.uid_of("two"))
    with volumes(tmp_path) as found:
        parts = [volume.read() for volume in found.usable()]
    assert [scan.frames for scan in parts] == [4, 3]
    why = "the series has 2 stacks of slices: they differ in Frame of Reference UID"
    assert all(why in scan.notes for scan in parts)


def test_a_series_exported_twice_under_other_uids_is_one_series(tmp_path):
    slices(tmp_path, range(5))
    for path in sorted(tmp_path.iterdir()):
        again = pydicom.dcmread(path)
        again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = maker.uid_of("again", path.name)
        again.save_as(tmp_path / f"copy-{path.name}")
    scan = scan_of(tmp_path)
    assert scan.frames == 5 and scan.geometry.slice_spacing == 1
    assert "5 image(s) with the pixels and place of another one were left out" in scan.notes

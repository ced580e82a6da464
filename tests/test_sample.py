"""The DICOM series that medvis writes: the sample data as shipped, its maker, and the CT phantom's files."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from medvis.core.geometry import Geometry
from medvis.dicom.write_ct import SeriesFacts, decimal_string, write_ct_series
from medvis.errors import InputError, OutputError
from medvis.ops.measure import measure
from medvis.phantom.sample import build_sample, main
from medvis.phantom.series import geometry_of, write_phantom
from medvis.phantom.volume import NoduleSpec, PhantomSpec, chest_phantom

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data"
# of the 13 source frames, as little-endian int16 HU, and of their label as uint8
SOURCE_HU = "08d9c67696d9c25cefcd3c8ff83c8863f6a55102058f2841dc7ad2e979603865"
SOURCE_LABEL = "702b838f79a570fa4004c7dd6dd06773988329ead02907dd51f6c4c7dce682b3"
FACTS = SeriesFacts("NOBODY", "test", "made for a test", None, 2.0)
TINY = PhantomSpec(3, (48, 40), (7.0, 8.0), 5.0, (NoduleSpec((0.0, 20.0, 85.0), 40.0),))
IDENTITY = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName", "AccessionNumber")


def hu_of(dataset):
    return dataset.pixel_array.astype(np.int32) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)


def series(folder):
    return [dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def nifti(path):
    import nibabel

    image = nibabel.load(path)
    return np.asarray(image.dataobj).transpose(2, 1, 0), image.affine


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def lung1():
    return series(SAMPLE / "lung1")


@pytest.fixture(scope="module")
def geometry():
    positions = np.array([[-10.0, -20.0, 1.25 * frame] for frame in range(3)])
    return Geometry((0.7, 0.6), 1.25, positions, np.array([1.0, 0, 0, 0, 1, 0]))


def test_the_sample_holds_the_pixels_of_its_source(lung1):
    volume = np.stack([hu_of(dataset) for dataset in lung1]).astype("<i2")
    assert volume.shape == (13, 512, 512)
    assert hashlib.sha256(volume.tobytes()).hexdigest() == SOURCE_HU
    assert {dataset.file_meta.TransferSyntaxUID for dataset in lung1} == {JPEG2000Lossless}


def test_the_sample_mask_is_its_source_label_on_the_grid_of_the_series(lung1):
    mask, affine = nifti(SAMPLE / "lung1_mask.nii.gz")
    assert hashlib.sha256(mask.astype("u1").tobytes()).hexdigest() == SOURCE_LABEL
    frame, row, col = np.argwhere(mask)[-1]
    position = np.array(lung1[frame].ImagePositionPatient, float)
    lps = position + np.array([col * lung1[frame].PixelSpacing[1], row * lung1[frame].PixelSpacing[0], 0])
    np.testing.assert_allclose((affine @ [col, row, frame, 1])[:3] * [-1, -1, 1], lps, atol=1e-4)


def test_the_sample_mask_lies_on_a_nodule(lung1):
    volume = np.stack([hu_of(dataset) for dataset in lung1]).astype(np.float32)
    mask, _ = nifti(SAMPLE / "lung1_mask.nii.gz")
    spacing = tuple(float(value) for value in lung1[0].PixelSpacing)
    (found,) = measure(mask.astype(np.int32), volume, spacing, 5.0)
    assert (found.first_frame, found.key_frame, found.last_frame) == (5, 6, 7)
    assert found.pixels == 837
    assert found.longest_diameter_mm == pytest.approx(16.3, abs=0.05)
    assert found.perpendicular_diameter_mm == pytest.approx(9.4, abs=0.05)
    assert found.volume_mm3 == pytest.approx(1361, abs=0.5)
    assert found.intensity.mean > -100
    ring = cv2.dilate(mask[6].astype(np.uint8), np.ones((15, 15))) > cv2.dilate(
        mask[6].astype(np.uint8), np.ones((5, 5))
    )
    assert np.median(volume[6][ring]) < -600


def test_the_sample_says_nothing_of_a_person(lung1):
    for dataset in lung1:
        assert dataset.PatientName == dataset.PatientID == "LUNG1"
        assert dataset.PatientIdentityRemoved == "YES"
        assert not any(dataset[keyword].value for keyword in IDENTITY)
        assert not any(element.tag.is_private for element in dataset)


def test_the_sample_is_small_and_says_where_it_comes_from():
    assert sum(len(data) for data in contents(SAMPLE).values()) < 4_000_000
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for needed in ("pyradiomics", "3.0.1", "Redistributions of source code", "python -m medvis.phantom.sample"):
        assert needed in text


def test_the_picture_is_the_key_slice_in_the_lung_window(lung1):
    grey = cv2.imread(str(SAMPLE / "lung1_slice.png"), cv2.IMREAD_UNCHANGED)
    expected = np.clip((hu_of(lung1[6]) + 1350) / 1500, 0, 1) * 255
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey, expected, atol=0.51)


def small_case(folder, label=True):
    nrrd = pytest.importorskip("nrrd")
    rng = np.random.default_rng(0)
    image = rng.integers(-1024, 3072, (40, 36, 15)).astype(np.int16)
    marks = np.zeros(image.shape, np.int16)
    marks[5:8, 6:9, 7:9] = int(label)
    header = {
        "space": "left-posterior-superior",
        "space directions": np.diag([0.5, 0.75, 3.0]),
        "space origin": np.array([-5.0, 4.0, -33.0]),
    }
    for name, data in (("image", image), ("label", marks)):
        nrrd.write(str(folder / f"{name}.nrrd"), data, header)
    return image, marks


def test_the_sample_is_built_the_same_twice(tmp_path):
    image, marks = small_case(tmp_path)
    for name in ("one", "two"):
        main([str(tmp_path / "image.nrrd"), str(tmp_path / "label.nrrd"), str(tmp_path / name)])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    written = series(tmp_path / "one" / "lung1")
    np.testing.assert_array_equal(np.stack([hu_of(each) for each in written]), image.transpose(2, 1, 0)[2:14])
    np.testing.assert_array_equal(nifti(tmp_path / "one" / "lung1_mask.nii.gz")[0], marks.transpose(2, 1, 0)[2:14])
    assert [float(value) for value in written[0].ImagePositionPatient] == [-5.0, 4.0, -27.0]
    assert [float(value) for value in written[0].PixelSpacing] == [0.75, 0.5]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"lung1", "lung1_mask.nii.gz", "lung1_slice.png"}


def test_what_is_no_sample_is_said(tmp_path):
    nrrd = pytest.importorskip("nrrd")
    small_case(tmp_path, label=False)
    image, label, out = tmp_path / "image.nrrd", tmp_path / "label.nrrd", tmp_path / "out"
    with pytest.raises(InputError, match="marks nothing"):
        build_sample(image, label, out)
    with pytest.raises(InputError, match="not a readable NRRD volume"):
        build_sample(tmp_path / "absent.nrrd", label, out)
    (tmp_path / "text.nrrd").write_text("no")
    with pytest.raises(InputError, match="not a readable NRRD volume"):
        build_sample(tmp_path / "text.nrrd", label, out)
    nrrd.write(str(tmp_path / "flat.nrrd"), np.zeros((4, 4), np.int16))
    with pytest.raises(InputError, match="2-dimensional"):
        build_sample(tmp_path / "flat.nrrd", label, out)
    header = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3)}
    nrrd.write(str(tmp_path / "other.nrrd"), np.ones((4, 4, 4), np.int16), header)
    with pytest.raises(InputError, match="not on the grid"):
        build_sample(image, tmp_path / "other.nrrd", out)
    assert not out.exists()


@pytest.mark.parametrize("compress", [False, True])
def test_a_series_comes_back_exactly(tmp_path, geometry, compress):
    hu = np.random.default_rng(1).integers(-1024, 3072, (3, 32, 40)).astype(np.float32)
    paths = write_ct_series(hu, geometry, tmp_path / "new" / "series", FACTS, compress)
    assert [path.name for path in paths] == ["0001.dcm", "0002.dcm", "0003.dcm"]
    for frame, dataset in enumerate(dcmread(path) for path in paths):
        np.testing.assert_array_equal(hu_of(dataset), hu[frame])
        assert dataset.file_meta.TransferSyntaxUID == (JPEG2000Lossless if compress else ExplicitVRLittleEndian)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.SOPClassUID == CTImageStorage and dataset.BitsStored == 12
        np.testing.assert_allclose(np.array(dataset.ImagePositionPatient, float), geometry.positions[frame])
        assert [float(value) for value in dataset.PixelSpacing] == [0.7, 0.6]
        assert float(dataset.SliceThickness) == 2.0
    assert len({dcmread(path).SOPInstanceUID for path in paths}) == 3
    assert len({dcmread(path).SeriesInstanceUID for path in paths}) == 1


def test_wide_ranges_take_16_bits_and_wider_ones_are_refused(tmp_path, geometry):
    hu = np.zeros((3, 4, 4), np.float32)
    hu[0, 0, 0], hu[0, 0, 1] = -3024, 30000
    (first, *_) = write_ct_series(hu, geometry, tmp_path, FACTS)
    dataset = dcmread(first)
    assert dataset.BitsStored == 16 and dataset.RescaleIntercept == -3024
    np.testing.assert_array_equal(hu_of(dataset), hu[0])
    for wrong in (70000, np.nan):
        hu[1, 0, 0] = wrong
        with pytest.raises(OutputError, match="within 65535 HU"):
            write_ct_series(hu, geometry, tmp_path / "none", FACTS)
    assert not (tmp_path / "none").exists()


def test_images_too_small_for_jpeg_2000_are_refused(tmp_path, geometry):
    with pytest.raises(OutputError, match="31x40 px; wanted: at least 32"):
        write_ct_series(np.zeros((3, 31, 40), np.float32), geometry, tmp_path / "none", FACTS, compress=True)
    assert not (tmp_path / "none").exists()


def test_an_incomplete_geometry_is_refused(tmp_path, geometry):
    hu = np.zeros((3, 4, 4), np.float32)
    for name in ("spacing", "positions", "orientation"):
        with pytest.raises(OutputError, match="a complete geometry"):
            write_ct_series(hu, replace(geometry, **{name: None}), tmp_path, FACTS)
    with pytest.raises(OutputError, match="2 frames at 3 positions"):
        write_ct_series(hu[:2], geometry, tmp_path, FACTS)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_said(tmp_path, geometry):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_ct_series(np.zeros((3, 4, 4), np.float32), geometry, tmp_path / "file" / "series", FACTS)
    with pytest.raises(OutputError, match="cannot write"):
        write_phantom(TINY, tmp_path / "file")


def test_uids_depend_on_the_content_alone(tmp_path, geometry):
    hu = np.zeros((3, 4, 4), np.float32)
    one, other, moved = (
        dcmread(write_ct_series(volume, place, tmp_path / name, FACTS)[0])
        for name, volume, place in (
            ("one", hu, geometry),
            ("other", hu + 1, geometry),
            ("moved", hu, replace(geometry, positions=geometry.positions + 1)),
        )
    )
    assert len({one.StudyInstanceUID, other.StudyInstanceUID, moved.StudyInstanceUID}) == 3
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        uid = UID(one[keyword].value)
        assert uid.is_valid and uid.startswith("2.25.")


@pytest.mark.parametrize("value", [0.0, -0.0, 1 / 3, -1e-17, 123456789.123456789, -146.0, 5.703125e-01, -np.pi * 1e6])
def test_decimal_strings_fit_and_keep_the_value(value):
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_phantom_is_written_with_its_truth(tmp_path):
    ticks = []
    paths = write_phantom(TINY, tmp_path / "out", tick=lambda: ticks.append(1))
    hu, labels = chest_phantom(TINY)
    assert len(ticks) == TINY.frames
    assert sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file()) == sorted(paths)
    written = series(tmp_path / "out" / "series")
    np.testing.assert_array_equal(np.stack([hu_of(dataset) for dataset in written]), hu)
    assert {str(dataset.PatientName) for dataset in written} == {"PHANTOM"}
    mask, affine = nifti(tmp_path / "out" / "mask.nii.gz")
    np.testing.assert_array_equal(mask, labels)
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    (nodule,) = truth["nodules"]
    assert nodule["number"] == 1 and nodule["diameter_mm"] == 40.0 and nodule["texture"] == "solid"
    assert nodule["voxels"] == int((labels == 1).sum()) > 50
    center = nodule["center"]
    np.testing.assert_allclose(
        geometry_of(TINY).to_patient(round(center["frame"]), center["row"], center["col"]), nodule["center_lps_mm"]
    )
    ras = affine @ [center["col"], center["row"], center["frame"], 1]
    np.testing.assert_allclose(ras[:3] * [-1, -1, 1], nodule["center_lps_mm"], atol=1e-4)


def test_the_phantom_is_the_same_twice_and_compressed(tmp_path):
    plain, again, packed = (tmp_path / name for name in ("plain", "again", "packed"))
    for folder, compress in ((plain, False), (again, False), (packed, True)):
        write_phantom(TINY, folder, compress)
    assert contents(plain) == contents(again)
    for one, other in zip(series(plain / "series"), series(packed / "series"), strict=True):
        assert other.file_meta.TransferSyntaxUID == JPEG2000Lossless
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)
    assert gzip.decompress((plain / "mask.nii.gz").read_bytes())[344:348] == b"n+1\0"

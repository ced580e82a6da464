"""A folder as one series: its order, its geometry, and every way in which a folder is not one."""

import tracemalloc
from pathlib import Path

import dicom_maker as maker
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import RLELossless

from medvis.errors import InputError
from medvis.io.describe import describe, plane_of
from medvis.io.open import open_scan

VOLUME = maker.volume()


def read(folder):
    return open_scan(folder)


def refused(folder):
    with pytest.raises(InputError) as caught:
        read(folder)
    assert "\n" not in caught.value.line
    return caught.value.line


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path):
    maker.save_series(tmp_path, VOLUME, step=2.5)
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.pixels[..., 0], VOLUME)
    assert scan.geometry.slice_spacing == 2.5
    assert scan.geometry.positions[:, 2].tolist() == [0, 2.5, 5, 7.5]
    assert scan.geometry.reasons == {}
    assert len(scan.source.files) == len(set(scan.source.sop_instance_uids)) == 4
    assert scan.notes == ()
    assert scan.geometry.to_patient(2, 1, 1) == pytest.approx((-10 + 0.6, -20 + 0.7, 5))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(4)), st.sampled_from([maker.AXIAL, maker.CORONAL, maker.SAGITTAL]))
def test_any_order_of_files_gives_the_same_scan(tmp_path_factory, names, orientation):
    folder = tmp_path_factory.mktemp("series")
    normal = np.cross(orientation[:3], orientation[3:])
    for name, index in enumerate(names):
        place = {"ImagePositionPatient": list(3.0 * index * normal), "ImageOrientationPatient": list(orientation)}
        maker.save(maker.ct(VOLUME[index], **place), folder / f"{name}.dcm")
    scan = read(folder)
    np.testing.assert_array_equal(scan.pixels[..., 0], VOLUME)
    assert scan.geometry.slice_spacing == pytest.approx(3.0)


def test_the_hash_does_not_depend_on_names(tmp_path):
    for folder, prefix in (("a", "x"), ("b", "a")):
        for index, values in enumerate(VOLUME if folder == "a" else VOLUME[::-1]):
            z = index if folder == "a" else 3 - index
            maker.save(maker.ct(values, z=float(z)), tmp_path / folder / f"{prefix}{index}.dcm")
    one, other = read(tmp_path / "a"), read(tmp_path / "b")
    assert one.source.sha256 == other.source.sha256
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.source.sop_instance_uids == other.source.sop_instance_uids


def test_what_lies_beside_the_series_is_ignored(tmp_path):
    maker.save_series(tmp_path, VOLUME)
    (tmp_path / "boxes.csv").write_text("a,b\n")
    (tmp_path / ".hidden.dcm").write_bytes(b"no")
    (tmp_path / "DICOMDIR").write_bytes(b"no")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "0.png").write_bytes(b"no")
    report = maker.ct(VOLUME[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", SeriesInstanceUID="1.2", Rows=None)
    maker.save(report, tmp_path / "report.dcm")
    scan = read(tmp_path)
    assert scan.frames == 4
    assert scan.notes == (
        "2 file(s) that are no DICOM were ignored",
        "DICOM objects that are no images to look at were ignored: 1 Comprehensive SR",
    )


def test_a_folder_with_one_file(tmp_path):
    maker.save(maker.ct(VOLUME[0]), tmp_path / "only.dcm")
    scan = read(tmp_path)
    assert scan.source.path == str(tmp_path)
    assert scan.source.files == ("only.dcm",)
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], VOLUME[0])


def test_compressed_slices_and_their_padding(tmp_path):
    volume = np.zeros((3, 32, 32), int)
    volume[1, :4, :4] = -3024
    for index, values in enumerate(volume):
        ds = maker.ct(values, z=float(index))
        maker.compress(ds, RLELossless)
        maker.save(ds, tmp_path / f"{index}.dcm")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.valid, volume > -3024)
    assert sum("masked as padding" in note for note in scan.notes) == 1


def test_each_slice_has_its_own_rescale(tmp_path):
    stored = np.full((2, 2), 100, np.int16)
    for index, slope in enumerate((1.0, 0.5)):
        place = {"ImagePositionPatient": [0, 0, index], "ImageOrientationPatient": list(maker.AXIAL)}
        ds = maker.image(stored, "PT", RescaleSlope=slope, RescaleIntercept=0, Units="BQML", **place)
        maker.save(ds, tmp_path / f"{index}.dcm")
    scan = read(tmp_path)
    assert scan.pixels[:, 0, 0, 0].tolist() == [100, 50]
    assert scan.unit == "BQML"
    assert scan.trail[0].settings["modality_transform"]["varies_by_frame"]


def test_each_slice_has_its_own_window(tmp_path, medvis):
    """In the order of the slices, not of the files."""
    for index, center in enumerate((30, 10, 20)):
        maker.save(
            maker.ct(VOLUME[0], z=float(-index), WindowCenter=center, WindowWidth=100), tmp_path / f"{index}.dcm"
        )
    scan = read(tmp_path)
    assert [windows[0].center for windows in scan.source.windows_by_frame] == [20, 10, 30]
    assert scan.windows[0].center == 20
    assert "windows\teach frame has its own" in medvis("info", tmp_path).stdout.decode()
    for path in tmp_path.iterdir():
        if path.suffix == ".dcm":
            maker.save(maker.with_tags(dcmread(path), {"WindowCenter": 5}), path)
    assert read(tmp_path).source.windows_by_frame == ()


def test_a_missing_slice_is_noted(tmp_path):
    for z in (0, 1, 2, 4, 5):
        maker.save(maker.ct(VOLUME[0], z=float(z)), tmp_path / f"{z}.dcm")
    scan = read(tmp_path)
    assert scan.geometry.slice_spacing == 1.0
    assert len(scan.notes) == 1
    assert "1 slice(s) are missing, at 3 mm along the normal, where 1 mm is usual; findings are" in scan.notes[0]


@pytest.mark.parametrize("heights", [(0, 1, 2.2, 3.1), (0, 1, 2, 4.5)])
def test_uneven_spacing_is_unknown_and_noted(tmp_path, heights):
    for z in heights:
        maker.save(maker.ct(VOLUME[0], z=float(z)), tmp_path / f"{z}.dcm")
    scan = read(tmp_path)
    assert scan.geometry.slice_spacing is None
    assert scan.geometry.reasons["slice_spacing"] in scan.notes
    assert "unevenly spaced" in scan.notes[0] and "mm off along the normal" in scan.notes[0]
    assert scan.geometry.positions[:, 2].tolist() == list(heights)


def test_gantry_tilt_is_noted(tmp_path):
    for index in range(4):
        place = {"ImagePositionPatient": [0, 2.0 * index, 5.0 * index]}
        maker.save(maker.ct(VOLUME[index], **place), tmp_path / f"{index}.dcm")
    scan = read(tmp_path)
    assert scan.geometry.slice_spacing == 5.0
    assert any("6 mm (gantry tilt of 21.8°)" in note for note in scan.notes)


def test_slices_that_move_about_are_no_tilt(tmp_path):
    for index, sideways in enumerate((0, 4.0, 0, 4.0)):
        maker.save(maker.ct(VOLUME[index], ImagePositionPatient=[sideways, 0, 5.0 * index]), tmp_path / f"{index}.dcm")
    assert any("do not lie on a line" in note for note in read(tmp_path).notes)


def test_localizers_are_left_out(tmp_path):
    maker.save_series(tmp_path, VOLUME)
    scout = maker.ct(np.zeros((3, 9)), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    maker.save(scout, tmp_path / "scout.dcm")
    scan = read(tmp_path)
    np.testing.assert_array_equal(scan.pixels[..., 0], VOLUME)
    assert "1 localizer image(s) of the series were left out" in scan.notes


def test_copies_are_left_out(tmp_path):
    paths = maker.save_series(tmp_path, VOLUME)
    (tmp_path / "copy.dcm").write_bytes(paths[2].read_bytes())
    scan = read(tmp_path)
    assert scan.frames == 4
    assert "1 file(s) that are copies of others were left out" in scan.notes


def test_several_series_are_listed_without_identity(tmp_path):
    maker.save_series(tmp_path, VOLUME, SeriesDescription="Thorax 5mm Smith", PatientName="Smith^John")
    other = maker.ct(VOLUME[0], SeriesInstanceUID="1.2.3.45678901", StudyInstanceUID="1.2.9", Modality="MR")
    maker.save(other, tmp_path / "other.dcm")
    line = refused(tmp_path)
    assert "holds 2 volumes of 2 studies" in line
    assert "series-thorax-5mm (CT, 4 x 6x5 px, 2.5 mm apart)" in line
    assert "-series-mr (MR, 6x5 px)" in line
    assert "give one file or the folder of one series, or choose with --series" in line
    assert "smith" not in line.replace(str(tmp_path), "").lower()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"PixelSpacing": [0.9, 0.9]},
            "holds 2 volumes: series-ct-4-images (CT, 4 x 6x5 px, 2.5 mm apart), series-ct-1-image",
        ),
        ({"PixelSpacing": None}, "holds 2 volumes"),
        (
            {"ImageOrientationPatient": list(maker.CORONAL)},
            "series-ct-axial (CT, 4 x 6x5 px, 2.5 mm apart), series-ct-cor",
        ),
        ({"ImagePositionPatient": None}, "holds 2 volumes"),
        (
            {"ImagePositionPatient": [-10, -20, 2.5]},
            "5 images at only 4 positions, and nothing tells them apart",
        ),
        ({"RescaleType": "US"}, "mixes units: HU, US"),
    ],
)
def test_a_slice_that_does_not_fit(tmp_path, change, words):
    maker.save_series(tmp_path, VOLUME, step=2.5)
    maker.save(maker.ct(VOLUME[0] + 1, z=99.0, **change), tmp_path / "odd.dcm")
    assert words in refused(tmp_path)


def test_sizes_that_differ(tmp_path):
    maker.save_series(tmp_path, VOLUME)
    maker.save(maker.ct(np.zeros((9, 9)), z=99.0), tmp_path / "odd.dcm")
    assert "holds 2 volumes: series-ct-6x5 (CT, 4 x 6x5 px, 2.5 mm apart), series-ct-9x9 (CT, 9x9 px)" in refused(
        tmp_path
    )


def test_multi_frame_files_are_not_stacked(tmp_path):
    for index in range(2):
        ds = maker.enhanced_ct(np.full((2, 3, 3), index, np.int16), heights=[index, index + 0.5])
        maker.save(ds, tmp_path / f"{index}.dcm")
    found = refused(tmp_path)
    assert "series-ct (CT, 2 x 3x3 px, 0.5 mm apart), series-ct-2 (CT, 2 x 3x3 px, 0.5 mm apart)" in found


def test_a_broken_slice_is_named(tmp_path):
    paths = maker.save_series(tmp_path, VOLUME)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    assert f"{paths[1]} is truncated" in refused(tmp_path)


def test_no_image_at_all(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert "holds no image (1 other file(s))" in refused(tmp_path)


def test_a_long_series_is_held_once(tmp_path):
    volume = np.random.default_rng(0).integers(-1000, 1000, (24, 256, 256))
    maker.save_series(tmp_path, volume)
    read(tmp_path)
    tracemalloc.start()
    scan = read(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.25 * scan.pixels.nbytes


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        (maker.AXIAL, "axial"),
        (maker.CORONAL, "coronal"),
        (maker.SAGITTAL, "sagittal"),
        ((1, 0, 0, 0, 0.8, 0.6), "oblique, nearest to axial"),
    ],
)
def test_planes(orientation, plane):
    assert plane_of(np.array(orientation, float)) == plane
    assert plane_of(None) is None


CHEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest-ct"


@pytest.mark.skipif(not CHEST.is_dir(), reason="no public chest CT beside this checkout")
@pytest.mark.parametrize(
    ("name", "frames", "step", "spacing", "padding"),
    [
        ("LIDC-IDRI-0001", 16, 2.5, 0.703125, 0.2128),
        ("LIDC-IDRI-0002", 12, 1.25, 0.681641, 0.2128),
        ("Lung_Dx-A0001", 64, 5.0, 0.841796875, 0.0),
    ],
)
def test_real_chest_series(name, frames, step, spacing, padding):
    scan = read(CHEST / name)
    facts = describe(scan)
    assert scan.pixels.shape == (frames, 512, 512, 1)
    assert scan.unit == "HU"
    assert scan.geometry.slice_spacing == pytest.approx(step)
    assert scan.geometry.spacing == pytest.approx((spacing, spacing))
    assert facts["padding_fraction"] == pytest.approx(padding, abs=1e-3)
    assert facts["plane"] == "axial"
    assert -1100 <= facts["range"][0] <= -900
    heights = scan.geometry.positions[:, 2]
    assert (np.diff(heights) > 0).all()

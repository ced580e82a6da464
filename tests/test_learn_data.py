"""A data set folder: its index, its pictures on the Hounsfield scale, its readers' masks, and all that can be wrong."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from tiny_chest import EVERYWHERE, pipeline
from tiny_data import SEEDS, SIDE, write_data

from medvis.core.geometry import Geometry
from medvis.errors import InputError
from medvis.io.readers.labels import decoded_labels
from medvis.io.writers.mask import write_nifti
from medvis.learn.data.ct_pictures import CtPictures, joined, load_ct_pictures, load_volume
from medvis.learn.data.index import Row, read_index
from medvis.learn.data.masks import read_mask
from medvis.learn.data.views import read_hounsfield
from medvis.learn.measuring.crops import run_crops
from medvis.ops.chest.hounsfield import to_hounsfield
from medvis.ops.chest.lungs import lung_field
from medvis.phantom.series import geometry_of
from medvis.phantom.volume import NoduleSpec, PhantomSpec, chest_phantom


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def scans(data):
    return load_ct_pictures(read_index(data, "val"), 2)


@pytest.fixture
def change(tmp_path):
    """A fresh data set whose index is rewritten row by row."""
    folder = write_data(tmp_path / "changed")

    def change(edit):
        path = folder / "index.csv"
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [edit(row) for row in csv.DictReader(stream)]
        with path.open("w", newline="", encoding="utf-8") as stream:
            index = csv.DictWriter(stream, rows[0])
            index.writeheader()
            index.writerows(rows)
        return folder

    return change


def test_the_index_is_read_by_split(data):
    rows = read_index(data, "val")
    assert len(rows) == 4 * len(SEEDS) and {row.split for row in rows} == {"val"}
    assert len(read_index(data)) == 3 * len(rows)
    first = rows[0]
    assert first.image == data / "images" / f"{first.id}.png" and first.mask == data / "masks" / f"{first.id}.png"
    assert first.label in ("benign", "malignant") and first.fields["nodule"] == "n2"


def test_no_group_is_in_two_splits(data):
    splits = {split: {row.group for row in read_index(data, split)} for split in ("train", "val", "test")}
    assert not (splits["train"] & splits["val"] or splits["val"] & splits["test"] or splits["train"] & splits["test"])


def test_a_number_may_be_absent_but_not_a_word():
    row = Row("a", "val", "g", "", None, None, {"size": "1.5", "empty": "", "bad": "large"})
    assert (row.number("size"), row.number("empty"), row.number("absent")) == (1.5, None, None)
    with pytest.raises(InputError, match=r"row 'a' has bad 'large'; wanted: a number"):
        row.number("bad")


def test_what_is_no_data_set_is_one_line(data, tmp_path):
    with pytest.raises(InputError, match=r"no index.csv in .*; wanted: a data set folder"):
        read_index(tmp_path)
    with pytest.raises(InputError, match=r"no other.csv in "):
        read_index(data, "val", "other.csv")
    with pytest.raises(InputError, match=r"has no row of split 'vol'; wanted: one of test, train, val"):
        read_index(data, "vol")


def test_an_index_in_another_encoding_is_one_line(tmp_path):
    (tmp_path / "index.csv").write_bytes("id,split,group,image\nä,val,g,a.png\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"index.csv cannot be read .*; wanted: comma-separated values in UTF-8"):
        read_index(tmp_path)


@pytest.mark.parametrize("column", ["id", "split", "group", "image"])
def test_a_missing_column_is_named(change, column):
    with pytest.raises(InputError, match=rf"has no column '{column}' .*; wanted: id, split, group, image"):
        read_index(change(lambda row: {key: value for key, value in row.items() if key != column}))


def test_masks_and_labels_may_be_absent(change):
    folder = change(lambda row: {key: row[key] for key in ("id", "split", "group", "image")})
    rows = read_index(folder, "val")
    assert rows[0].mask is None and rows[0].label == ""
    assert not load_ct_pictures(rows).mask.any()


def test_a_mask_pixel_counts_where_enough_readers_marked_it(data):
    rows = read_index(data, "train")
    areas = [int(load_ct_pictures(rows, readers).mask.sum()) for readers in (1, 2, 3, 4)]
    assert areas[0] > areas[1] > areas[2] == areas[3] > 0
    votes = decoded_labels(rows[0].mask).pixels
    assert set(np.unique(votes)) == {0, 1, 2, 4}, "palette indices, not colours"
    np.testing.assert_array_equal(load_ct_pictures(rows[:1], 2).mask[0], votes >= 2)


def test_pictures_come_back_on_the_hounsfield_scale(scans):
    assert scans.values.shape == scans.mask.shape == (len(scans), SIDE, SIDE) and scans.values.dtype == np.float32
    assert scans.shape == (SIDE, SIDE)
    for index, hu in enumerate(scans.values):
        np.testing.assert_array_equal(hu, to_hounsfield(cv2.imread(str(scans.rows[index].image), cv2.IMREAD_GRAYSCALE)))
        assert hu[scans.mask[index] > 0].mean() == pytest.approx(-20, abs=100), "soft tissue in the nodule"


def test_off_centre_windows_are_inside_and_the_same_for_the_same_seed(scans):
    windows = scans.off_centre(96, 3)
    np.testing.assert_array_equal(windows, scans.off_centre(96, 3))
    assert (windows != scans.off_centre(96, 4)).any()
    assert windows.shape == (len(scans), 3) and (windows[:, 2] == 96).all()
    assert windows[:, :2].min() >= 0 and windows[:, :2].max() <= SIDE - 96
    assert len(np.unique(windows[:, :2])) > 5
    assert (scans.off_centre(SIDE, 0)[:, :2] == 0).all()


def test_a_window_larger_than_the_pictures_is_one_line(scans):
    with pytest.raises(InputError, match=rf"pictures of {SIDE}×{SIDE} px; wanted: at least 160×160"):
        scans.off_centre(160, 0)


def test_a_cut_is_a_part_of_the_picture(scans):
    whole, target = scans.cut(1, None)
    part, inside = scans.cut(1, np.array([5, 20, 64]))
    np.testing.assert_array_equal(part, whole[5:69, 20:84])
    np.testing.assert_array_equal(inside, target[5:69, 20:84])
    assert inside.dtype == bool and inside.any()


def test_an_unreadable_picture_or_mask_is_one_line(data, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad.png is text; wanted: "):
        read_hounsfield(bad)
    for path in (bad, tmp_path / "gone.png"):
        with pytest.raises(InputError, match=r"png is not a readable mask"):
            read_mask(path)


@pytest.mark.parametrize("what", ["images", "masks"])
def test_a_picture_or_mask_of_another_size_is_one_line(change, what):
    folder = change(lambda row: row)
    rows = read_index(folder, "val")
    path = getattr(rows[3], what.removesuffix("s"))
    cv2.imwrite(str(path), np.eye(64, dtype=np.uint8) * 9)
    with pytest.raises(InputError, match=rf"{rows[3].id}.png is .*64.*; wanted: .*{SIDE}"):
        load_ct_pictures(rows)


def pictures(count, value, region=None):
    """Pictures of one value, but for a black corner; of value 0 all black."""
    hu = np.full((count, 8, 8), value, np.float32)
    hu[:, 0, 0] = 0
    rows = [Row(f"{value}-{index}", "train", "g", "", None, None, {}) for index in range(count)]
    return CtPictures(rows, hu, np.zeros(hu.shape, np.uint8), region)


def test_sets_are_joined_without_the_pictures_that_have_nowhere_to_crop():
    region = np.zeros((3, 8, 8), bool)
    region[1, 2:4] = True
    both = joined([pictures(3, 7, region), pictures(2, 9), pictures(1, 0)])
    assert [row.id for row in both.rows] == ["7-1", "9-0", "9-1"]
    assert both.values[:, 1, 1].tolist() == [7, 9, 9]
    assert both.region.shape == (3, 8, 8)
    np.testing.assert_array_equal(both.region[0], region[1])
    assert both.region[1:].sum() == 2 * 63 and not both.region[1:, 0, 0].any(), "all but black"


def test_a_volume_gives_its_frames_with_the_lungs_as_region(tmp_path):
    spec = PhantomSpec(frames=3, shape=(160, 160), spacing=(2.2, 2.2), nodules=(NoduleSpec((0, 14, 92), 20.0),))
    hu, labels = chest_phantom(spec)
    write_nifti(hu.astype(np.int32), geometry_of(spec), tmp_path / "image.nii.gz")
    write_nifti(labels, geometry_of(spec), tmp_path / "label.nii.gz")
    scans = load_volume(tmp_path)
    assert len(scans) == 3 and scans.values.shape == (3, 160, 160)
    np.testing.assert_array_equal(scans.mask, labels > 0)
    np.testing.assert_array_equal(scans.region, lung_field(hu, None, spec.spacing).mask)
    np.testing.assert_allclose(scans.values[1], hu[1], atol=0.51)
    with pytest.raises(InputError):
        load_volume(tmp_path / "absent")


def test_a_scan_of_a_crop_knows_its_spacing_only_where_the_index_does(data):
    rows = read_index(data, "val")[:2]
    rows[1].fields["pixel_spacing_mm"] = ""
    done = []
    crops = run_crops(pipeline(EVERYWHERE), load_ct_pictures(rows), None, "window", lambda *at: done.append(at))
    first, second = list(crops)
    assert first.case.scan.geometry.spacing == (0.7, 0.7)
    assert second.case.scan.geometry == Geometry()
    assert first.case.scan.pixels.shape == (1, SIDE, SIDE, 1) and first.truth.any()
    assert done == [(1, 2), (2, 2)]

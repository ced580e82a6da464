"""A folder of pictures: each is diagnosed by itself, under a name of its own, and nothing is passed over unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import dicom_maker as maker
import numpy as np
import pytest
import tifffile

from medvis.io.inputs import volumes
from medvis.io.open import open_scan
from medvis.io.search import PICTURES, REPORT

PIXELS = np.random.default_rng(3).integers(0, 256, (64, 64), dtype=np.uint8)


def put(path: Path, pixels=PIXELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def labels(path):
    with volumes(path) as inside:
        return [volume.label for volume in inside]


@pytest.fixture
def pictures(tmp_path):
    """Pictures of four formats, two of one name, nested; beside them what is no picture."""
    folder = tmp_path / "pictures"
    for name in ("a.png", "a.jpg", "Left/a.tif", "Left/deep/B 1.bmp"):
        put(folder / name)
    (folder / "notes.txt").write_text("hello")
    (folder / "._x.png").write_bytes(b"\x00\x05\x16\x07")
    put(folder / ".hidden.png")
    put(folder / ".cache" / "c.png")
    (folder / "cut.png").write_bytes(b"")
    return folder


def test_names_are_those_of_the_files_and_told_apart(pictures):
    assert labels(pictures) == ["a-jpg", "a-png", "left-a", "left-deep-b-1"]
    (pictures / "a.jpg").unlink()
    assert labels(pictures) == ["a", "left-a", "left-deep-b-1"]


def test_names_do_not_clash_with_what_is_appended(tmp_path):
    for name in ("a.png", "a.jpg", "a-png.bmp", "A.PNG"):
        put(tmp_path / name)
    found = labels(tmp_path)
    assert len(set(found)) == 4 and found == labels(tmp_path)


def test_long_and_foreign_names_stay_apart(tmp_path):
    long = "x" * 80
    for name in (f"{long}1.png", f"{long}2.png", "图.png", "Übung 1.png", "※.png"):
        put(tmp_path / name)
    found = labels(tmp_path)
    assert len(set(found)) == 5 and all(0 < len(label) <= 63 for label in found)
    assert {"图", "übung-1"} <= set(found), "letters of every script stay"
    assert {label[-1] for label in found if label.startswith("x")} == {"1", "2"}


def test_each_picture_is_diagnosed_and_the_rest_counted_aloud(medvis, pictures):
    ran = medvis("diagnose", pictures, "--task", "steel", "-o", "out", "--write", "json")
    assert ran.code == 0
    paths = {path.parent.name: json.loads(path.read_text())["scan"]["path"] for path in Path("out").rglob("*.json")}
    assert paths == {
        "a-jpg": str(pictures / "a.jpg"), "a-png": str(pictures / "a.png"), "left-a": str(pictures / "Left" / "a.tif"),
        "left-deep-b-1": str(pictures / "Left" / "deep" / "B 1.bmp"),
    }  # fmt: skip
    assert "2 file(s) that are no image were ignored: cut.png, notes.txt" in ran.stderr
    assert "1 of them named like a file that can be read, and empty, damaged or something else: cut.png" in ran.stderr
    assert "3 hidden file(s) or folder(s) were left out: ._x.png, .cache, .hidden.png" in ran.stderr
    assert "4 diagnosed" in ran.stderr.splitlines()[-1]


def test_a_picture_alone_says_what_else_lies_there(medvis, tmp_path):
    put(tmp_path / "in" / "a.png")
    put(tmp_path / "in" / ".b.png")
    (tmp_path / "in" / "notes.txt").write_text("hello")
    ran = medvis("diagnose", tmp_path / "in", "--task", "steel", "-o", "out")
    assert ran.code == 0 and Path("out/report.json").is_file()
    assert "1 hidden file(s) or folder(s) were left out: .b.png" in ran.stderr
    assert "1 file(s) that are no image were ignored" in ran.stderr


def test_one_bad_picture_does_not_stop_the_others(medvis, tmp_path):
    for name in ("a.png", "b.png", "c.tif"):
        put(tmp_path / "in" / name)
    for name in ("b.png", "c.tif"):
        path = tmp_path / "in" / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    ran = medvis("diagnose", tmp_path / "in", "--task", "steel", "--json", "-q")
    assert ran.code == 8 and len(ran.lines) == 1
    first, second, last = ran.stderr.splitlines()
    assert "b.png" in first and "c.tif" in second and last == "medvis: error: 2 of 3 cases failed"
    assert "WARN" not in ran.stderr


def test_pages_of_a_tiff_in_a_folder_are_pictures_too(tmp_path):
    put(tmp_path / "a.png")
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        for _ in range(2):
            file.write(PIXELS, contiguous=False, metadata=None)
    assert labels(tmp_path)[0] == "a" and len(labels(tmp_path)) == 3
    assert all(label.startswith("b-") for label in labels(tmp_path)[1:])
    assert open_scan(tmp_path, labels(tmp_path)[2]).source.frame_numbers == (2,)


def test_without_a_task_one_line_asks_for_it(medvis, pictures):
    line = medvis("diagnose", pictures, "-o", "out").error(3)
    assert "holds 4 pictures or volumes without a modality; wanted: --task with one of" in line
    assert not Path("out").exists()


def test_a_task_that_takes_no_pictures_says_so_once(medvis, pictures):
    only = ("--task", "lung-nodule", "--set", "accepts.raster=false")
    line = medvis("diagnose", pictures, *only, "-o", "out").error(3)
    assert "holds 4 pictures or volumes without a modality; wanted: CT" in line


def test_pictures_beside_dicom_are_said_and_left_out(medvis, pictures, slices):
    maker.save(maker.with_tags(maker.ct(np.zeros((64, 64))), {}), pictures / "scan.dcm")
    with volumes(pictures) as inside:
        assert [volume.files for volume in inside] == [("scan.dcm",)]
        assert inside.notes[0].startswith("6 file(s) that are no DICOM were ignored: ")
        assert inside.left_out == ("3 hidden file(s) or folder(s) were left out: ._x.png, .cache, .hidden.png",)


def test_results_of_medvis_are_no_pictures(medvis, tmp_path):
    put(tmp_path / "in" / "a.png")
    put(tmp_path / "in" / "b.png")
    for _ in range(2):
        ran = medvis("diagnose", tmp_path / "in", "--task", "steel", "-o", tmp_path / "in" / "out", "--force")
        assert ran.code == 0 and "2 diagnosed" in ran.stderr
    assert "4 file(s) that are results of medvis were left out" in ran.stderr
    put(tmp_path / "in" / "heatmap.png")
    assert labels(tmp_path / "in") == ["a", "b", "heatmap"]


def test_the_names_of_results_are_those_of_the_writers():
    from medvis import plugins

    made = {
        name
        for writer in ("json", "heatmap", "mask")
        for frames in (1, 2)
        for name in plugins.load("medvis.writers", writer)().files(frames)
    }
    assert made == {REPORT, *PICTURES}


def test_links_that_are_not_followed_are_said(tmp_path):
    put(tmp_path / "other" / "b.png")
    put(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "there").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "in" / "nowhere.png").symlink_to(tmp_path / "absent.png")
    with volumes(tmp_path / "in") as inside:
        assert inside.notes == ("2 link(s) to folders, or to what is not there, were not followed: nowhere.png, there",)

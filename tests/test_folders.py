"""Folders a label, in the layouts of MVTec AD, LOCO, AD 2 and BTAD: every picture with its mask, and none unseen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tiny_sets import SIDE, picture, write_mvtec

from medvis.errors import InputError
from medvis.learn.data.datasets import read_examples, read_rows, strange

SHAPE = (SIDE, SIDE)


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def masks_of(folder, split="test"):
    return {one.id: one.mask(SHAPE) for one in read_examples(folder, split)[0]}


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "TIFF"])
@pytest.mark.parametrize("ending", ["_mask", "_gt", ""])
def test_masks_of_every_suffix_and_name_are_found(tmp_path, suffix, ending):
    image, mask = picture("malignant", 0)
    put(tmp_path / "test" / "ko" / f"0001.{suffix}", image)
    put(tmp_path / "test" / "ok" / "0002.bmp", image)
    put(tmp_path / "ground_truth" / "ko" / f"0001{ending}.{suffix}", 255 * mask)
    found = masks_of(tmp_path)
    assert (found["ko/0001"] == mask).all() and not found["ok/0002"].any()


def test_loco_has_several_masks_a_picture_and_a_validation_split(tmp_path):
    image, mask = picture("malignant", 0)
    upper, lower = mask.copy(), mask.copy()
    rows = np.flatnonzero(mask.any(1))
    upper[rows[len(rows) // 2] :], lower[: rows[len(rows) // 2]] = 0, 0
    put(tmp_path / "test" / "logical_anomalies" / "000.png", image)
    put(tmp_path / "test" / "good" / "000.png", picture("normal", 0)[0])
    put(tmp_path / "validation" / "good" / "000.png", picture("normal", 1)[0])
    for number, part in enumerate((upper, lower)):
        put(tmp_path / "ground_truth" / "logical_anomalies" / "000" / f"{number:03}.png", (255 - number) * part)
    assert (masks_of(tmp_path)["logical_anomalies/000"] == mask).all()
    assert list(masks_of(tmp_path, "val")) == ["good/000"]
    assert strange(tmp_path, "test") == {}


def test_ground_truth_below_the_split_is_read(tmp_path):
    image, mask = picture("malignant", 0)
    put(tmp_path / "test_public" / "bad" / "000_regular.png", image)
    put(tmp_path / "test_public" / "good" / "001_regular.png", image)
    put(tmp_path / "test_public" / "ground_truth" / "bad" / "000_regular_mask.png", 255 * mask)
    found = masks_of(tmp_path, "test_public")
    assert sorted(found) == ["bad/000_regular", "good/001_regular"] and (found["bad/000_regular"] == mask).all()


def test_leftovers_of_file_managers_are_no_pictures(tmp_path):
    folder = write_mvtec(tmp_path)
    wanted = [one.id for one in read_examples(folder, "test")[0]]
    for name in ("._000.png", "Thumbs.db", ".DS_Store", "notes.txt"):
        (folder / "test" / "malignant" / name).write_bytes(b"\x00\x05\x16\x07")
        (folder / "ground_truth" / "malignant" / name).write_bytes(b"\x00\x05\x16\x07")
    assert [one.id for one in read_examples(folder, "test")[0]] == wanted and strange(folder, "test") == {}


def test_masks_without_a_picture_are_counted(tmp_path):
    folder = write_mvtec(tmp_path)
    (folder / "test" / "malignant" / "001.png").unlink()
    put(folder / "ground_truth" / "crack" / "000_mask.png", np.ones(SHAPE, np.uint8))
    assert strange(folder, "test") == {"masks without a picture": 2}


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("test/stray.png", r"stray.png lies in no folder of a label; wanted: test/LABEL/stray.png"),
        ("test/malignant/deep/stray.png", "stray.png lies in no folder of a label"),
        ("test/malignant/000.bmp", r"has 000.bmp and 000.png; wanted: one picture of a name"),
        ("ground_truth/malignant/000.png", r"may have the mask 000.png or 000_mask.png; wanted: one of them"),
        ("testing/good/000.png", r"has test and testing; wanted: one folder for one split"),
    ],
)
def test_what_may_be_read_in_two_ways_or_would_be_passed_over_is_refused(tmp_path, extra, says):
    folder = write_mvtec(tmp_path)
    put(folder / extra, picture("malignant", 0)[0])
    with pytest.raises(InputError, match=says):
        read_examples(folder, "test")


def test_training_reads_what_evaluation_reads(tmp_path):
    folder = write_mvtec(tmp_path)
    rows = read_rows(folder, "test")
    assert [row.label for row in rows] == ["good", "good", "malignant", "malignant", "malignant"]
    assert [row.mask.name for row in rows[2:]] == ["000_mask.png", "001_mask.png", "002_mask.png"]

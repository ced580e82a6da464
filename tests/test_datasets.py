"""Data sets in three layouts: the same pictures and outlines come out of each, and one clear line where none fits."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_sets import SIDE, add_row, breast, packed, picture, runs, write_coco, write_index, write_mvtec

from medvis.errors import InputError
from medvis.learn.data.coco_masks import Outlines, unpacked
from medvis.learn.data.datasets import read_examples
from medvis.learn.measuring.evaluate_pictures import evaluate_pictures

SHAPE = (SIDE, SIDE)


def test_an_index_gives_labels_groups_and_masks(tmp_path):
    folder = write_index(tmp_path / "set")
    examples, left_out = read_examples(folder, "test")
    assert (len(examples), left_out) == (12, 0)
    one = next(one for one in examples if one.id == "test-malignant-2")
    assert (one.label, one.group, one.normal) == ("malignant", "test-malignant-1", False)
    assert (one.mask(SHAPE) == picture("malignant", 2)[1]).all()


def test_what_nobody_labelled_is_left_out_and_never_a_negative(tmp_path):
    folder = write_index(tmp_path / "set")
    for name in ("unlabelled", "Unknown", ""):
        add_row(folder, id=f"row {name}", label=name, image="images/test-normal-0.png")
    add_row(folder, id="outlined", label="", image="images/test-benign-0.png", mask="masks/test-benign-0.png")
    add_row(folder, id="clear", label="normal", image="images/test-normal-0.png")
    add_row(folder, id="undrawn", label="benign", image="images/test-benign-0.png")
    examples, left_out = read_examples(folder, "test")
    assert left_out == 3
    found = {one.id: one.mask(SHAPE) for one in examples[12:]}
    assert list(found) == ["outlined", "clear", "undrawn"]
    assert found["outlined"].any() and not found["clear"].any() and found["undrawn"] is None


def test_readers_are_counted(tmp_path):
    folder = write_index(tmp_path / "set")
    agreed = folder / "masks" / "test-benign-1.png"
    cv2.imwrite(str(agreed), 2 * cv2.imread(str(agreed), cv2.IMREAD_UNCHANGED))
    examples, _ = read_examples(folder, "test", readers=2)
    assert [one.id for one in examples if one.mask(SHAPE).any()] == ["test-benign-1"]


def test_coco_gives_the_same_outlines(tmp_path):
    examples, _ = read_examples(write_coco(tmp_path / "set"), "val")
    assert [(one.id, one.label) for one in examples] == [
        ("benign", "benign"),
        ("malignant", "malignant"),
        ("normal", "normal"),
    ]
    for number, one in enumerate(examples):
        assert (one.mask(SHAPE) == picture(one.label, number)[1]).all()


def test_a_polygon_covers_the_pixels_whose_centre_it_holds():
    triangle = Outlines("x", ([[0, 0, 8, 0, 0, 8]],))((10, 10))
    rows, cols = np.mgrid[:10, :10] + 0.5
    assert not (triangle ^ (rows + cols < 8))[rows + cols != 8].any()
    two = Outlines("x", ([[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 6, 4, 6, 6, 4, 6]],))((8, 8))
    assert two.sum() == 8


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_packed_run_lengths_are_unpacked(lengths):
    assert unpacked(packed(lengths)) == lengths


def test_run_lengths_go_column_by_column():
    mask = picture("malignant", 3)[1]
    for counts in (runs(mask), packed(runs(mask)), packed(runs(mask)).encode()):
        assert (Outlines("x", ({"size": list(SHAPE), "counts": counts},))(SHAPE) == mask).all()


def test_mvtec_folders_are_read(tmp_path):
    folder = write_mvtec(tmp_path / "set")
    examples, _ = read_examples(folder, "test")
    assert [one.id for one in examples] == ["good/000", "good/001", "malignant/000", "malignant/001", "malignant/002"]
    assert examples[0].normal and not examples[0].mask(SHAPE).any()
    assert (examples[3].mask(SHAPE) == picture("malignant", 1)[1]).all()
    (folder / "ground_truth" / "malignant" / "000_mask.png").unlink()
    assert read_examples(folder, "test")[0][2].mask(SHAPE) is None, "not outlined is not empty"
    assert [one.id for one in read_examples(folder, "train")[0]] == ["good/000"]


def test_what_is_wrong_is_one_line(tmp_path):
    coco = write_coco(tmp_path / "coco")
    path = coco / "annotations" / "instances_val.json"
    with pytest.raises(InputError, match=r"is no data set; wanted: index.csv with images, a COCO JSON"):
        read_examples(tmp_path, "test")
    none = write_index(tmp_path / "none", 0)
    (none / "x.png").write_bytes(b"")
    add_row(none, label="unlabelled", image="x.png")
    with pytest.raises(InputError, match=r"nothing in split 'test' of .* is labelled"):
        read_examples(none, "test")
    with pytest.raises(InputError, match="has no folder 'val'"):
        read_examples(write_mvtec(tmp_path / "mvtec"), "val")
    with pytest.raises(InputError, match=r"masks/test-benign-0.png is 64×64 px; wanted: 9×9 px as its picture"):
        read_examples(write_index(tmp_path / "index"), "test")[0][4].mask((9, 9))
    runs_of = read_examples(coco, "val")[0][1]
    with pytest.raises(InputError, match=r"malignant.png is 9×9 px, and its JSON says 64×64 px"):
        runs_of.mask((9, 9))
    other = coco / "annotations" / "instances_train.json"
    other.write_text(path.read_text())
    with pytest.raises(InputError, match=r"has no split 'test', only annotations/instances_train.json, ann"):
        read_examples(coco, "test")
    other.unlink()
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "images": [{"id": 9, "file_name": "gone.png"}], "annotations": []}))
    with pytest.raises(InputError, match=r"image gone.png is not there"):
        read_examples(coco, "val")
    path.write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(InputError, match="categories: field required; wanted: COCO instances"):
        read_examples(coco, "val")


def test_an_outline_of_json_that_covers_no_pixel_is_counted(tmp_path):
    folder = write_coco(tmp_path / "set")
    path = folder / "annotations" / "instances_val.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    body["annotations"][0]["segmentation"] = [[2, 2, 2.9, 2, 2.9, 2.9]]
    path.write_text(json.dumps(body), encoding="utf-8")
    found = evaluate_pictures(breast(tmp_path), folder, "val", lambda *_: None)
    assert found.facts["masks"] == "1 of 3 masks have no target pixel, though their label is not normal"


def test_what_lies_in_a_crowd_alone_is_neither_right_nor_false(tmp_path):
    folder = write_coco(tmp_path / "set")
    path = folder / "annotations" / "instances_val.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    crowd = cv2.dilate(picture("malignant", 1)[1], np.ones((7, 7), np.uint8))
    body["annotations"][1] |= {"iscrowd": 1, "segmentation": {"size": list(SHAPE), "counts": runs(crowd)}}
    path.write_text(json.dumps(body), encoding="utf-8")
    figures = {figure.name: figure for figure in evaluate_pictures(breast(tmp_path), folder, "val", quiet).figures}
    clean = figures["Pictures without a lesion, left clean"]
    assert (clean.value, clean.n) == (1.0, 2), "the crowd and the normal one"


def quiet(done, total):
    del done, total

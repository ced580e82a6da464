"""What is in a data set twice, in two splits, or under two names is refused or counted; what a table lacks is said."""

from __future__ import annotations

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
from tiny_sets import add_row, write_coco, write_index, write_mvtec

from medvis.errors import InputError
from medvis.learn.data.datasets import read_rows, require_sound, strange
from medvis.learn.data.index import read_index
from medvis.learn.data.scans import scans_of
from medvis.learn.data.split_names import require_splits, split_name
from medvis.learn.data.table import read_table


@pytest.fixture
def folder(tmp_path):
    return write_index(tmp_path / "set")


def same(folder, name, other):
    shutil.copy(folder / "images" / f"{name}.png", folder / "images" / f"{other}.png")


def test_a_picture_of_train_in_test_under_another_name_is_refused(folder):
    same(folder, "train-benign-0", "test-benign-3")
    said = r"\.png of split (test|train) is the same picture as .*; wanted: each picture in one split"
    with pytest.raises(InputError, match=said):
        require_sound(folder, read_rows(folder, "train"))
    with pytest.raises(InputError, match=said):
        strange(folder, "test")


def test_a_picture_with_two_labels_is_refused_in_training_and_counted_in_evaluation(folder):
    same(folder, "test-benign-0", "test-malignant-3")
    require_sound(folder, read_rows(folder, "train"))
    assert strange(folder, "test") == {"pictures that are there twice": 1, "of them with two labels": 1}
    with pytest.raises(InputError, match=r"are the same picture with two labels; wanted: one label for one picture"):
        require_sound(folder, read_rows(folder, "test"))
    same(folder, "test-benign-0", "test-benign-1")
    same(folder, "test-normal-0", "test-malignant-3")
    assert strange(folder, "test") == {"pictures that are there twice": 2, "of them with two labels": 1}


def test_files_that_no_row_names_are_counted(folder):
    for name in ("images/more.png", "masks/more.png", "masks/._x.png", "images/Thumbs.db"):
        shutil.copy(folder / "masks" / "test-benign-0.png", folder / name)
    assert strange(folder, "test") == {"images that no row names": 1, "masks that no row names": 1}


@pytest.mark.parametrize("name", ["Train", " TRAIN ", "training"])
def test_splits_are_read_as_people_write_them(folder, name):
    add_row(folder, id="upper", split=name, group="new", label="benign", image="images/train-benign-0.png")
    assert len(read_index(folder, "train")) == 13


@pytest.mark.parametrize("name", ["trian", "tets", "Tests", ""])
def test_a_split_that_looks_like_a_typing_error_is_refused(name):
    with pytest.raises(
        InputError, match=rf"has rows of split '{name.casefold()}'; wanted: train, val, test or another"
    ):
        require_splits(["train", split_name(name)], "set")
    require_splits(["train", "val", "external", "holdout", "test2", "fold-3"], "set")


def test_one_patient_in_two_spellings_is_refused(folder):
    add_row(folder, group="Train-Benign-1", image="images/test-normal-0.png")
    with pytest.raises(InputError, match=r"has groups 'Train-Benign-1' and 'train-benign-1'; wanted: one spelling"):
        read_index(folder, "test")


@pytest.mark.parametrize("column", ["id", "group", "image", "split"])
def test_an_empty_field_is_named(folder, column):
    add_row(folder, **{"id": "more", "image": "images/test-normal-0.png", column: ""})
    with pytest.raises(InputError, match=rf"has no {column}; wanted: id, split, group"):
        read_index(folder)


def test_the_columns_may_be_written_in_any_case(folder):
    text = (folder / "index.csv").read_text(encoding="utf-8")
    (folder / "index.csv").write_text(text.replace("id,split,label", " ID ,Split,LABEL", 1), encoding="utf-8")
    assert read_index(folder, "test")[0].label == "normal"


@pytest.mark.parametrize("value", ["nan", "inf", "4,5", "x"])
def test_a_value_that_is_no_number_is_refused(folder, value):
    row = read_index(folder, "test")[0]
    row.fields["score"] = value
    with pytest.raises(InputError, match=rf"has score '{value}'; wanted: a number"):
        row.number("score")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'"a,b\n', "cannot be read"),
        ("id,split\nä,x\n".encode("latin-1"), "cannot be read .*; save it as UTF-8"),
        ("id,split\na,x\n".encode("utf-16-le"), "it holds zero bytes"),
        (b"id;split\n" + b"x" * 200_000 + b";y\n", "cannot be read"),
        (b"  \n", "is empty"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, body, says):
    (tmp_path / "t.csv").write_bytes(body)
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / "t.csv", ("id", "split"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_breaks_within_quoted_fields_are_kept(tmp_path, delimiter):
    rows = [["id", "split"], ["a\nb", "x\x0c\u2028,;y"], ['q"uote', " z "]]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    found = read_table(tmp_path / "t.csv", ("id", "split"))
    assert [list(row.values()) for row in found] == [["a\nb", "x\x0c\u2028,;y"], ['q"uote', "z"]]


def scans(folder, *lines, delimiter=","):
    for name in ("one", "two"):
        (folder / name / "masks").mkdir(parents=True)
        (folder / name / "01.DCM").write_bytes(b"")
    table = "\n".join([delimiter.join(("folder", "split", "complete", "patient")), *lines])
    (folder / "series.csv").write_text(table, encoding="utf-8-sig")
    return folder


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["one,test,yes,a"], r"has complete 'yes' for one; wanted: 0 or 1"),
        (["one,test,1,a", "two,train,1,a"], "has the group 'a' in test and train"),
        (["one,test,1,a", "one,test,0,a"], "has the folder 'one' more than once"),
        (["three,test,1,a"], r"series.csv lists .*three, where no slice is"),
        (["one,tets,1,a"], r"'tets' may mean 'test'"),
        (["one,test,1"], "row 2 has 3 fields"),
    ],
)
def test_a_list_of_scans_that_contradicts_itself_is_refused(tmp_path, lines, says):
    with pytest.raises(InputError, match=says):
        scans_of(scans(tmp_path, *lines), "test")


def test_a_list_of_scans_is_read_as_people_save_it(tmp_path):
    found = scans_of(scans(tmp_path, "one;Test;1;a", "two;train;0;b", delimiter=";"), "test")
    assert [(scan.folder.name, scan.group, scan.complete) for scan in found] == [("one", "a", True)]


@pytest.mark.parametrize("name", ["01_mask.png", "01.PNG", "1.png", "01.tif"])
def test_a_mask_of_no_slice_is_refused(tmp_path, name):
    folder = scans(tmp_path, "one,test,1,a")
    (folder / "one" / "masks" / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"{name} is the mask of no slice; wanted: masks/NAME.png for NAME.dcm"):
        scans_of(folder, "test")


def test_a_group_or_picture_in_two_lists_of_coco_is_refused(tmp_path):
    folder = write_coco(tmp_path / "set")
    path = folder / "annotations" / "instances_val.json"
    shutil.copytree(folder / "val", folder / "train")
    body = json.loads(path.read_text(encoding="utf-8"))
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(InputError, match=r"is the same picture as .*; wanted: each picture in one split"):
        strange(folder, "val")
    for number, image in enumerate(sorted((folder / "train").iterdir())):
        cv2.imwrite(str(image), np.full((64, 64), number, np.uint8))
    assert strange(folder, "val") == {}
    body["images"][0]["group"] = 7
    for split in ("train", "val"):
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(InputError, match=r"has the group '7' in train and val; wanted: each group in one split only"):
        require_sound(folder, read_rows(folder, "train"))


def test_folders_of_two_splits_may_use_the_same_names_but_not_the_same_pictures(tmp_path):
    folder = write_mvtec(tmp_path / "set")
    cv2.imwrite(str(folder / "train" / "good" / "000.png"), np.full((64, 64), 9, np.uint8))
    (folder / "ground_truth" / "malignant" / "002_mask.png").unlink()
    assert strange(folder, "test") == {"pictures of a defect without a mask": 1}
    shutil.copy(folder / "test" / "good" / "001.png", folder / "train" / "good" / "007.png")
    with pytest.raises(InputError, match=r"is the same picture as"):
        strange(folder, "test")

"""Tables and labels as people write them: what means the same is the same, and nothing vanishes without a word."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_sets import add_row, breast, write_index

from medvis.errors import InputError
from medvis.learn.data.index import read_index
from medvis.learn.data.label_names import ClassNames, normalised
from medvis.learn.data.table import read_table
from medvis.learn.measuring.evaluate_pictures import evaluate_pictures

BREAST = ClassNames(("benign", "malignant", "normal"), (False, False, True))
COLUMNS = ("id", "split", "group", "image")


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("Malignant", 1),
        (" benign\t", 0),
        ("NORMAL", 2),
        ("healthy", 2),
        ("No_Finding", 2),
        ("beningn", None),
        ("", None),
    ],
)
def test_case_blanks_and_words_for_nothing(label, index):
    assert BREAST.index(label) == index


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing(text):
    assert normalised(normalised(text)) == normalised(text)


def test_typing_errors_are_counted_with_the_nearest_name():
    labels = ["benign"] * 3 + ["beningn"] * 2 + ["cyst", "unlabelled"]
    with pytest.raises(InputError, match=r"does not know: 'beningn' \(2\), 'cyst' \(1\); wanted: benign, malignant"):
        BREAST.require(labels, "set")
    with pytest.raises(InputError, match="'beningn' may mean 'benign'"):
        BREAST.require(labels, "set")
    BREAST.require(["Benign", "unknown"], "set")
    with pytest.raises(InputError, match="set has no label; wanted: benign"):
        BREAST.require(["", "unlabelled"], "set")


def table(path, delimiter=",", encoding="utf-8", tail=""):
    rows = [(*COLUMNS, "label"), ("a", "train", "p", "x.png", "a, b"), ("b", "val", "q", "y.png", "ä")]
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
        file.write(tail)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_every_spreadsheet_are_read_alike(tmp_path, delimiter, encoding):
    rows = read_table(table(tmp_path / "t.csv", delimiter, encoding, tail="\n  \n"), COLUMNS)
    assert [row["id"] for row in rows] == ["a", "b"] and rows[0]["label"] == "a, b" and rows[1]["label"] == "ä"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_blank_behind_a_delimiter_hides_no_quotes(tmp_path, delimiter):
    """Else the label would be "a, b" with its quotes: another class than a, b."""
    lines = [[*COLUMNS, "label"], ["a", '"train"', '"p"', '"x.png"', '"a, b ""c"""']]
    (tmp_path / "t.csv").write_text("\n".join(f"{delimiter} ".join(line) for line in lines), encoding="utf-8")
    (row,) = read_table(tmp_path / "t.csv", COLUMNS)
    assert row["split"] == "train" and row["label"] == 'a, b "c"'


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "is empty; wanted: columns id"),
        ("id,split,group\na,b,c\n", "has no column 'image'"),
        ("id,split,group,image,id\n1,2,3,4,5\n", "has the column 'id' twice"),
        ("id,split,group,image\na,train,g\n", "row 2 has 3 fields; wanted: 4 as the header has"),
        ("id,split,group,image\na,train,g,x,y\n", "row 2 has 5 fields"),
        ('id,split,group,image\n"a,train,g,x\n', "cannot be read"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path, body, says):
    (tmp_path / "t.csv").write_text(body, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / "t.csv", COLUMNS)


@pytest.fixture
def folder(tmp_path):
    return write_index(tmp_path / "set")


def test_a_row_twice_a_group_in_two_splits_and_absent_files_are_refused(folder):
    rows = read_index(folder, "train")
    add_row(folder, id=rows[0].id, image="images/train-normal-0.png")
    with pytest.raises(InputError, match=r"has the id 'train-normal-0' 2 times; wanted: each row once"):
        read_index(folder)


def test_an_image_twice_is_refused(folder):
    with (folder / "index.csv").open("a", encoding="utf-8") as file:
        file.write("more,test,,more,images/test-normal-0.png,\n")
    with pytest.raises(InputError, match=r"has the image .*test-normal-0.png' 2 times"):
        read_index(folder)


def test_a_group_in_two_splits_is_refused(folder):
    add_row(folder, group="train-benign-1", image="images/test-normal-0.png")
    with pytest.raises(InputError, match=r"has the group 'train-benign-1' in test and train; wanted: each"):
        read_index(folder, "test")


def test_files_that_are_not_there_are_counted(folder):
    (folder / "images" / "test-benign-1.png").unlink()
    (folder / "masks" / "test-benign-2.png").unlink()
    with pytest.raises(InputError, match=r"2 of 24 files are not there, the first is .*test-benign-1\.png"):
        read_index(folder, "test")


def test_paths_that_were_written_on_windows_are_found(folder):
    text = (folder / "index.csv").read_text(encoding="utf-8").replace("images/", "images\\")
    (folder / "index.csv").write_text(text, encoding="utf-8")
    assert all(row.image.is_file() for row in read_index(folder, "test"))


def test_evaluation_counts_labels_that_the_task_does_not_know(folder, tmp_path):
    add_row(folder, id="odd", label="Malignnt", image="images/test-malignant-0.png", mask="masks/test-malignant-0.png")
    add_row(folder, id="upper", label=" MALIGNANT", image="images/test-malignant-1.png")
    found = evaluate_pictures(breast(tmp_path), folder, "test", lambda *_: None)
    assert found.facts["labels that the task does not know"] == {"Malignnt": 1}
    assert found.facts["of a class that the model knows"] == 13


def test_a_class_without_a_picture_is_told(folder, tmp_path):
    whole = evaluate_pictures(breast(tmp_path), folder, "test", lambda *_: None)
    assert "classes without a picture" not in whole.facts and "AUC" in " ".join(one.name for one in whole.figures)
    path = folder / "index.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "test-malignant" not in line), encoding="utf-8")
    rest = evaluate_pictures(breast(tmp_path), folder, "test", lambda *_: None)
    assert rest.facts["classes without a picture"] == ["malignant"]


def test_training_refuses_labels_that_the_task_does_not_know(folder):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from medvis.learn.training.recipe import Recipe
    from medvis.learn.training.sources import labelled
    from medvis.settings import load_task, validated

    recipe = validated(Recipe, load_task("breast-ultrasound").train, "train")
    add_row(folder, id="upper", label="MALIGNANT ", image="images/test-malignant-1.png")
    assert labelled(read_index(folder, "test"), recipe, "set")[-1].label == "malignant"
    add_row(folder, id="odd", label="Malignnt", image="images/test-malignant-0.png")
    with pytest.raises(InputError, match=r"does not know: 'Malignnt' \(1\).*may mean 'malignant'"):
        labelled(read_index(folder, "test"), recipe, "set")

"""COCO: what its parts refer to is there, what is drawn is what the COCO API draws, and a split is the one asked."""

from __future__ import annotations

import hashlib
import json
import random

import cv2
import numpy as np
import pytest
from tiny_sets import SIDE, picture, polygon, runs, write_coco

from medvis.errors import InputError
from medvis.learn.data.coco_masks import Outlines
from medvis.learn.data.datasets import read_examples, read_rows

SHAPE = (SIDE, SIDE)


@pytest.fixture
def folder(tmp_path):
    return write_coco(tmp_path / "set")


def change(folder, edit):
    path = folder / "annotations" / "instances_val.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    edit(body)
    path.write_text(json.dumps(body), encoding="utf-8")
    return folder


def drawn(*polygons, shape):
    return Outlines("x", (list(map(list, polygons)),))(shape)


# What pycocotools 2.0.11 draws of each polygon: rows of the mask, # inside.
DRAWN = {
    ((1.2, 0.7, 6.6, 1.4, 4.1, 6.9), (8, 8)): "........ ..#####. ..####.. ...###.. ...##... ....#... ........ ........",
    ((0, 0, 7, 7, 7, 0, 0, 7), (8, 8)): "#.....#. ##...##. ###.###. ###.###. ##...##. #.....#. ........ ........",
    ((-3, 2, 12, 3.5, 4, 11), (7, 9)): "......... ......... ##....... ######### ######### ######### .########",
    ((2, 2, 2.9, 2, 2.9, 2.9), (5, 5)): "..... ..... ..... ..... .....",
}


@pytest.mark.parametrize(("corners", "shape"), list(DRAWN))
def test_a_polygon_covers_what_the_coco_api_draws(corners, shape):
    rows = ["".join(".#"[int(value)] for value in row) for row in drawn(corners, shape=shape)]
    assert rows == DRAWN[corners, shape].split()


def polygons_at_random(count=300):
    """(corners, shape): within the image and beyond it, crossing themselves, on whole and half pixels, closed twice."""
    source = random.Random(0)  # its numbers are the same in every version
    for number in range(count):
        rows, cols = source.randrange(5, 90), source.randrange(5, 90)
        points = [
            (source.uniform(-0.2, 1.2) * cols, source.uniform(-0.2, 1.2) * rows) for _ in range(source.randrange(3, 12))
        ]
        digits = number % 4
        points = [(round(2 * x) / 2, round(2 * y) / 2) if digits == 3 else (round(x, digits), round(y, digits))
                  for x, y in points]  # fmt: skip
        points += points[:1] * (number % 5 == 0)
        yield [value for point in points for value in point], (rows, cols)


def test_polygons_at_random_cover_what_the_coco_api_draws():
    """The digest is that of pycocotools 2.0.11: decode(merge(frPyObjects([corners], rows, cols))) of each in turn."""
    digest = hashlib.sha256()
    for corners, shape in polygons_at_random():
        digest.update(drawn(corners, shape=shape).astype(np.uint8).tobytes())
    assert digest.hexdigest() == "ae51fb1fddae4dcab1305950b76b1629bef7d7d3e8ad07bdeeb774217c277435"


def test_rectangles_on_whole_pixels_are_exact_and_turn_neither_way():
    for top, left, bottom, right in ((0, 0, 1, 1), (2, 3, 9, 4), (0, 0, 10, 12)):
        wanted = np.zeros((10, 12), bool)
        wanted[top:bottom, left:right] = True
        corners = [left, top, right, top, right, bottom, left, bottom]
        assert (drawn(corners, shape=(10, 12)) == wanted).all()
        turned = np.reshape(corners, (-1, 2))[::-1].ravel().tolist()
        assert (drawn(turned, shape=(10, 12)) == wanted).all()


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [
        ([[1, 1, 5, 5]], "a polygon has 2 points, not three"),
        ([[1, 1, 5, 5, 3]], "a polygon has 5 numbers, which are no pairs"),
        ([[1, 1, 5, 5, 3, 3, 2, 2]], "a polygon has no area"),
        ([[4, 4, 4, 4, 4, 4]], "a polygon has no area"),
        ([[70, 1, 90, 1, 90, 20]], "a polygon lies outside of the image"),
        ([[-9, 1, -2, 1, -2, 20]], "a polygon lies outside of the image"),
        ([1, 1, 5, 5, 3, 9], "a polygon is no list of numbers"),
        ([[1, 1, 5, 5, "3", 9]], "a polygon is no list of numbers"),
        ([[1, 1, 5, 5, float("nan"), 9]], "a polygon is no list of numbers"),
        ([[1, 1, 5, 5, 10**400, 9]], "a polygon is no list of numbers"),
        ([[1, 1, 5, 5, 1e9, 9]], "a polygon reaches to"),
        ("text", "it is neither a list of polygons nor run lengths"),
        ({"size": [9, 9], "counts": [81]}, "it is of 9×9 px"),
        ({"counts": [81]}, "it is of no size"),
        ({"size": [SIDE, SIDE], "counts": [10, 10]}, "its run lengths add up to 20, not 4096"),
        ({"size": [SIDE, SIDE], "counts": [-1, 4097]}, "its run lengths are no whole numbers from 0 on"),
        ({"size": [SIDE, SIDE], "counts": [4095.5, 0.5]}, "its run lengths are no whole numbers from 0 on"),
        ({"size": [SIDE, SIDE], "counts": "\u00e9"}, "its packed run lengths hold another character"),
        ({"size": [SIDE, SIDE], "counts": "o"}, "its packed run lengths end within a number"),
    ],
)
def test_what_covers_nothing_or_cannot_be_drawn_is_refused(folder, segmentation, says):
    change(folder, lambda body: body["annotations"][0].update(segmentation=segmentation))
    with pytest.raises(InputError, match=rf"annotation 0 covers nothing that can be drawn: {says}"):
        read_examples(folder, "val")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda body: body["annotations"][0].update(image_id=77), "annotation 0 is of image 77, which is not there"),
        (lambda body: body["annotations"][1].update(category_id=9), "annotation 1 is of category 9, which is not"),
        (lambda body: body["annotations"][1].update(id=0), "has the annotation id 0 more than once"),
        (lambda body: body["images"][1].update(id=0), "has the image id 0 more than once"),
        (lambda body: body["images"][1].update(file_name="benign.png"), "has the file_name benign.png more than once"),
        (lambda body: body["categories"][1].update(id=1), "has the category id 1 more than once"),
        (lambda body: body["images"][0].pop("file_name"), r"images\.0\.file_name: field required"),
        (lambda body: body["images"][0].update(id=[1]), r"images\.0\.id: input should be a valid"),
        (lambda body: body["annotations"][0].update(iscrowd=2), r"annotations\.0\.iscrowd"),
        (lambda body: body.update(images={}), "images: input should be a valid list"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(folder, edit, says):
    with pytest.raises(InputError, match=says):
        read_examples(change(folder, edit), "val")


def test_an_image_of_another_size_than_its_json_says_is_refused(folder):
    cv2.imwrite(str(folder / "val" / "benign.png"), np.zeros((32, 32), np.uint8))
    with pytest.raises(InputError, match=r"benign.png is 32×32 px, and its JSON says 64×64 px"):
        read_examples(folder, "val")[0][0].mask((32, 32))


def test_a_crowd_is_neither_right_nor_false(folder):
    change(folder, lambda body: body["annotations"][1].update(iscrowd=1))
    example = read_examples(folder, "val")[0][1]
    assert example.label == "malignant" and not example.mask(SHAPE).any()
    assert (example.unsure(SHAPE) == picture("malignant", 1)[1]).all()
    assert [row.unsure for row in read_rows(folder, "val")] == [False, True, False]


def test_a_box_alone_is_no_outline(folder):
    change(folder, lambda body: body["annotations"][0].update(segmentation=[], bbox=[1, 1, 5, 5]))
    assert read_examples(folder, "val")[0][0].mask(SHAPE) is None


@pytest.mark.parametrize(
    ("name", "split", "there"),
    [
        ("instances_train2017", "train", True),
        ("instances_train2017", "test", False),
        ("instances_val2017", "validation", True),
        ("valid", "val", True),
        ("latest_train", "test", False),
        ("train_val", "val", False),
    ],
)
def test_a_split_is_a_word_of_the_name_and_never_another_one(folder, name, split, there):
    (folder / "annotations" / "instances_val.json").rename(folder / "annotations" / f"{name}.json")
    (folder / "val").rename(folder / "images")
    if there:
        assert len(read_examples(folder, split)[0]) == 3
    else:
        with pytest.raises(InputError, match=rf"has no split '{split}', only annotations/{name}\.json"):
            read_examples(folder, split)


@pytest.mark.parametrize("name", ["annotations", "interval"])
def test_a_file_without_a_split_is_no_split_but_can_be_measured_as_a_whole(folder, name):
    """As train, as val and as test it would be the same pictures, learned and measured alike."""
    (folder / "annotations" / "instances_val.json").rename(folder / "annotations" / f"{name}.json")
    (folder / "val").rename(folder / "images")
    assert len(read_examples(folder, "all")[0]) == len(read_rows(folder, "all")) == 3
    for split in ("train", "val", "test"):
        with pytest.raises(InputError, match=rf"{name}\.json names no split.*'all' to measure all of it"):
            read_examples(folder, split)


def test_leftovers_of_file_managers_are_no_data(folder):
    (folder / "annotations" / "._instances_val.json").write_bytes(b"\x00\x05\x16\x07")
    assert len(read_examples(folder, "val")[0]) == 3
    (folder / "annotations" / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.json is no JSON"):
        read_examples(folder, "val")


def test_images_of_one_name_in_two_folders_stay_apart_and_windows_paths_are_found(folder):
    def edit(body):
        body["images"][0]["file_name"] = "a\\x.png"
        body["images"][1]["file_name"] = "b/x.png"

    for name, label in (("a", "benign"), ("b", "malignant")):
        (folder / "val" / name).mkdir()
        (folder / "val" / f"{label}.png").rename(folder / "val" / name / "x.png")
    assert [example.id for example in read_examples(change(folder, edit), "val")[0]] == ["a/x", "b/x", "normal"]


def test_training_reads_what_evaluation_reads(folder):
    examples, rows = read_examples(folder, "val")[0], read_rows(folder, "val")
    assert [row.label for row in rows] == [example.label for example in examples]
    for row, example in zip(rows[:2], examples, strict=False):
        assert (row.outline(SHAPE) == example.mask(SHAPE)).all()
    before = rows[0].fields["outlines"]
    mask = picture("benign", 7)[1]
    change(folder, lambda body: body["annotations"][0].update(segmentation=polygon(mask)))
    assert read_rows(folder, "val")[0].fields["outlines"] != before, "other outlines are other data"
    change(folder, lambda body: body["annotations"][0].update(segmentation={"size": [64, 64], "counts": runs(mask)}))
    assert (read_rows(folder, "val")[0].outline(SHAPE) == mask).all()

"""Damaged COCO lists and tables: read as they say, or one line; never a crash, and never something else.

MEDVIS_FUZZ=2000 python -m pytest tests/test_fuzz_data.py     reads 2,000 of each
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from io import StringIO

import cv2
import numpy as np
import pytest
from fuzz_data_maker import SIDE, damaged_coco, table

from medvis.errors import InputError
from medvis.learn.data.datasets import read_examples, read_rows
from medvis.learn.data.table import read_table

COUNT = int(os.environ.get("MEDVIS_FUZZ", "150"))
FIRST = int(os.environ.get("MEDVIS_FUZZ_SEED", "0"))
SHAPE = (SIDE, SIDE)


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full(SHAPE, number, np.uint8))
    return tmp_path


def test_damaged_coco_lists_are_read_or_refused(folder):
    kinds, compared = Counter(), 0
    for seed in range(FIRST, FIRST + COUNT):
        done, data = damaged_coco(seed)
        (folder / "instances_val.json").write_bytes(data)
        try:
            examples, left_out = read_examples(folder, "val")
            rows = read_rows(folder, "val")
            masks = [example.mask(SHAPE) for example in examples]
        except InputError as error:
            assert "\n" not in error.line and done != "sound", (seed, error.line)
            kinds["refused"] += 1
            continue
        kinds["read"] += 1
        body = json.loads(data)
        assert len(examples) + left_out == len(body["images"]) == len(rows), (seed, done)
        by_name = {example.image.name: mask for example, mask in zip(examples, masks, strict=True)}
        for image in body["images"]:
            wanted, mask = rectangles(body, image["id"]), by_name.get(image["file_name"])
            if wanted is not None and mask is not None:
                compared += 1
                assert (mask == wanted).all(), (seed, done, image)
    assert kinds["refused"] > COUNT / 5 and kinds["read"] > COUNT / 5 and compared > COUNT / 10


def rectangles(body, image):
    """What rectangles on whole pixels and plain run lengths of an image cover; None where there is anything else."""
    mask = np.zeros(SHAPE, bool)
    for entry in body["annotations"]:
        if entry["image_id"] != image or entry.get("iscrowd"):
            continue
        drawn = entry.get("segmentation")
        if isinstance(drawn, dict) and isinstance(drawn["counts"], list):
            flat = [bit for place, length in enumerate(drawn["counts"]) for bit in [place % 2] * length]
            mask |= np.reshape(flat, SHAPE[::-1]).T > 0
            continue
        corners = drawn[0] if isinstance(drawn, list) and len(drawn) == 1 else []
        if len(corners) != 8 or not all(type(value) is int for value in corners):
            return None
        left, top, right, upper, far, bottom, near, lower = corners
        if (upper, far, near, lower) != (top, right, left, bottom):
            return None
        rows, cols = (range(max(0, low), min(SIDE, high)) for low, high in ((top, bottom), (left, right)))
        mask[np.ix_(rows, cols)] = True
    return mask


def test_damaged_tables_are_read_or_refused(tmp_path):
    kinds, path = Counter(), tmp_path / "t.csv"
    for seed in range(FIRST, FIRST + COUNT):
        done, data, wanted = table(seed)
        path.write_bytes(data)
        try:
            rows = read_table(path, ("id", "split"))
        except InputError as error:
            assert "\n" not in error.line and wanted is None, (seed, done, error.line)
            kinds["refused"] += 1
            continue
        kinds["read"] += 1
        if wanted is not None:
            assert rows == wanted, (seed, done)
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        values = [list(row.values()) for row in rows]
        assert values in [by_csv(text, delimiter) for delimiter in ",;\t"], (seed, done)
    assert kinds["refused"] > COUNT / 10 and kinds["read"] > COUNT / 5


def by_csv(text, delimiter):
    """The body of a table by Python's own reader, without blank rows."""
    try:
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [[field.strip() for field in row] for row in reader]
    except csv.Error:
        return None
    return [row for row in rows if any(row)][1:]

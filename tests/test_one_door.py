"""Training reads every layout of pictures that evaluation reads: the same pictures give the same weights in each."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

import cv2
from tiny_pictures import tile_recipe, whole_recipe, write_tiles, write_whole
from tiny_readers import reader_of
from tiny_sets import runs
from tiny_task import write_task

from medvis.errors import InputError, SettingsError
from medvis.learn.data.datasets import read_rows
from medvis.learn.data.index import read_index
from medvis.learn.run import export
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.run_folder import claim, identity_of, require_same_task
from medvis.learn.training.sources import usable
from medvis.learn.training.train import Trainer

RECIPE = tile_recipe(batch=2, repeat=1, phases=[{"size": 32, "epochs": 1}])


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A set with index.csv whose labelled rows come in the order of their names."""
    folder = write_tiles(tmp_path_factory.mktemp("listed"), 1)
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted((row for row in csv.DictReader(file) if row["mask"]), key=lambda row: row["id"])
    write_rows(folder, rows)
    return folder


def write_rows(folder, rows):
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def as_coco(listed, folder):
    for split in ("train", "val"):
        images, annotations = [], []
        for row in read_index(listed, split):
            mask = cv2.imread(str(row.mask), cv2.IMREAD_UNCHANGED)
            (folder / split).mkdir(parents=True, exist_ok=True)
            shutil.copy(row.image, folder / split)
            size = {"height": mask.shape[0], "width": mask.shape[1]}
            images.append({"id": len(images), "file_name": row.image.name, **size})
            drawn = {"segmentation": {"size": list(mask.shape), "counts": runs(mask)}}
            annotations.append({"id": len(images), "image_id": len(images) - 1, "category_id": 1, **drawn})
        body = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "pit"}]}
        (folder / f"instances_{split}.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def as_folders(listed, folder):
    for split, name in (("train", "train"), ("val", "validation")):
        for row in read_index(listed, split):
            (folder / name / "pit").mkdir(parents=True, exist_ok=True)
            (folder / "ground_truth" / "pit").mkdir(parents=True, exist_ok=True)
            shutil.copy(row.image, folder / name / "pit")
            shutil.copy(row.mask, folder / "ground_truth" / "pit" / f"{row.image.stem}_mask.png")
    return folder


def weights(data, out):
    return Trainer(Recipe(**RECIPE), reader_of("ball-screw"), data, out, lambda _: None).run().read_bytes()


def test_the_same_pictures_give_the_same_weights_in_every_layout(listed, tmp_path):
    wanted = weights(listed, tmp_path / "one")
    assert weights(as_coco(listed, tmp_path / "coco"), tmp_path / "two") == wanted
    assert weights(as_folders(listed, tmp_path / "folders"), tmp_path / "three") == wanted


def test_other_outlines_in_a_json_are_other_data(listed, tmp_path):
    folder, recipe, reader = as_coco(listed, tmp_path / "coco"), Recipe(**RECIPE), reader_of("ball-screw")
    claim(tmp_path, identity_of(recipe, reader, folder))
    (tmp_path / "last.ckpt").write_bytes(b"")
    claim(tmp_path, identity_of(recipe, reader, shutil.copytree(folder, tmp_path / "elsewhere")))
    path = folder / "instances_train.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    counts = body["annotations"][0]["segmentation"]["counts"]
    counts[0], counts[-1] = counts[0] - 1, counts[-1] + 1
    path.write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(SettingsError, match="other data: train is not what it was"):
        claim(tmp_path, identity_of(recipe, reader, folder))


def test_one_json_without_a_split_is_not_trained_and_measured_on(listed, tmp_path):
    folder = as_coco(listed, tmp_path / "coco")
    (folder / "instances_val.json").unlink()
    (folder / "train").rename(folder / "images")
    (folder / "instances_train.json").rename(folder / "annotations.json")
    for split in ("train", "val", "test"):
        with pytest.raises(InputError, match=rf"names no split, so that it cannot be told what is '{split}'"):
            read_rows(folder, split)
    assert len(read_rows(folder, "all")) == 3
    with pytest.raises(InputError, match="names no split"):
        identity_of(Recipe(**RECIPE), reader_of("ball-screw"), folder)


def test_pictures_with_crowds_are_left_out_and_that_is_said(listed, tmp_path):
    folder, told = as_coco(listed, tmp_path / "coco"), []
    path = folder / "instances_train.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    body["annotations"][0]["iscrowd"] = 1
    path.write_text(json.dumps(body), encoding="utf-8")
    assert len(usable(read_rows(folder, "train"), Recipe(**RECIPE), "set", told.append)) == 2
    assert told == ["set: 1 pictures with crowds are left out"]


def test_a_label_without_a_mask_is_no_negative(tmp_path):
    folder = write_whole(tmp_path / "set", 2, masks=False)
    rows = read_index(folder, "train")
    with pytest.raises(InputError, match=r"set: 6 pictures have a label and no mask, the first is .*; wanted: a mask"):
        usable(rows, Recipe(**whole_recipe()), "set")
    assert len(usable(rows, Recipe(**whole_recipe(masks=False)), "set")) == len(rows) == 12


def test_a_column_that_nobody_filled_in_is_refused(listed):
    recipe = Recipe(**{**RECIPE, "labels": [{"name": "pit"}, {"name": "depth", "column": "depth_mm", "high": 2}]})
    rows = read_index(listed, "train")
    with pytest.raises(InputError, match=r"set has no column 'depth_mm'; wanted: each column that train.labels names"):
        usable(rows, recipe, "set")
    for row in rows:
        row.fields["depth_mm"] = ""
    with pytest.raises(InputError, match=r"set has no value in the column 'depth_mm'; wanted: numbers"):
        usable(rows, recipe, "set")
    rows[0].fields["depth_mm"] = "1.5"
    assert usable(rows, recipe, "set") == rows


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": [{"name": "malignancy", "column": "x"}, {"name": "nodule"}]}, r"trained with train\.labels"),
        ({"readers": 1}, r"trained with train\.readers 2 instead of 1"),
    ],
)
def test_weights_of_another_task_are_not_exported(tmp_path, change, says):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"")
    trained, reader = Recipe(**tiny_lesions()), reader_of("lung-nodule")
    body = {"recipe": trained.model_dump(mode="json"), "input": reader.shown, "data": {}}
    (tmp_path / "run" / "training.json").write_text(json.dumps(body), encoding="utf-8")
    require_same_task(tmp_path / "run" / "model.safetensors", trained, reader)
    task = write_task(tmp_path, **change)
    with pytest.raises(SettingsError, match=rf"model\.safetensors was {says}.*; export it with the task as it was"):
        export(str(task), tmp_path / "run" / "model.safetensors", tmp_path, tmp_path / "bundle", lambda *_: None)
    assert not (tmp_path / "bundle").exists()


def tiny_lesions():
    from tiny_task import RECIPE as LESIONS

    return LESIONS

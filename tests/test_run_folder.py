"""The folder of a training: it goes on with the same training only, and one process is at it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from PIL import Image
from tiny_data import write_data
from tiny_task import RECIPE, write_task

from medvis.errors import InputError, ModelError, SettingsError
from medvis.io.lock import locked
from medvis.learn.ablate import variants
from medvis.learn.data.digest import folder_digest
from medvis.learn.run import train
from medvis.learn.training.recipe import Recipe
from medvis.settings import load_task, validated

SHORT = {"phases": [{"size": 32, "epochs": 1}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    go(data, out, out)
    return out


def go(data, out, tmp, records=None, overrides=None, **recipe):
    config = load_task(str(write_task(tmp, **{**SHORT, **recipe})), overrides)
    return train(config, data, out, (records if records is not None else []).append)


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 4}, r"train\.seed 3 instead of 4"),
        ({"rate": 0.001}, r"train\.rate 0\.002 instead of 0\.001"),
        ({"labels": [{"name": "nodule"}]}, r"train\.labels .* instead of"),
        ({"network": {**RECIPE["network"], "embedding": 32}}, r"train\.network\.embedding 16 instead of 32"),
        ({"augment": {"noise": 10.0}}, r"train\.augment\.noise 40\.0 instead of 10\.0"),
    ],
)
def test_another_recipe_is_refused_and_nothing_is_touched(run, data, tmp_path, change, says):
    before = folder_digest(run)
    with pytest.raises(SettingsError, match=says):
        go(data, run, tmp_path, **change)
    assert folder_digest(run) == before


def test_another_way_to_show_the_pictures_is_refused(run, data, tmp_path):
    with pytest.raises(SettingsError, match=r"another input contract: window\.center -150(\.0)? instead of 40"):
        go(data, run, tmp_path, overrides={"stages.window.center": 40, "stages.window.width": 400})


@pytest.mark.parametrize("what", ["label", "mask", "image", "row"])
def test_other_data_under_the_same_name_are_refused(run, data, tmp_path, what):
    copy = shutil.copytree(data, tmp_path / data.name)
    with (copy / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = next(row for row in rows if row["split"] == "train")
    if what == "label":
        first["median_malignancy"] = "3"
    elif what == "row":
        rows.remove(first)
    else:
        path = copy / first[what]
        pixels = np.array(Image.open(path))
        pixels[0, 0] ^= 1
        Image.fromarray(pixels).save(path)
    with (copy / "index.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    with pytest.raises(SettingsError, match="other data: train is not what it was; give another output folder"):
        go(copy, run, tmp_path)


def test_the_same_data_elsewhere_and_other_threads_go_on(run, data, tmp_path):
    records = []
    go(shutil.copytree(data, tmp_path / "elsewhere"), run, tmp_path, records, threads=2, workers=1)
    assert records == []


def test_a_checkpoint_of_unknown_origin_is_refused(run, data, tmp_path):
    (run / "training.json").unlink()
    with pytest.raises(ModelError, match=r"holds last\.ckpt without training\.json"):
        go(data, run, tmp_path)


def test_one_process_at_a_time(tmp_path):
    held = (
        "import sys, pathlib\nfrom medvis.io.lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'training'):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="another training is at work in"), locked(tmp_path, "training"):
            pass
        other.kill()
    with locked(tmp_path, "training"):
        pass


def test_a_picture_in_both_splits_is_refused(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    with (copy / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pair = [next(row for row in rows if row["split"] == split) for split in ("train", "val")]
    shutil.copy(copy / pair[0]["image"], copy / pair[1]["image"])
    with pytest.raises(InputError, match="is the same picture as"):
        go(copy, tmp_path / "run", tmp_path)


def test_pasting_is_ablated_only_where_something_is_pasted():
    names = {}
    for task in ("breast-ultrasound", "ball-screw", "lung-nodule"):
        recipe = validated(Recipe, load_task(task).train, "train")
        names[task] = [variant.name for variant in variants(recipe)]
    assert "no target pasting" not in names["breast-ultrasound"]
    assert "no target pasting" in names["lung-nodule"]


def test_what_it_was_begun_with_can_be_read(trained):
    body = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    assert body["recipe"]["seed"] == 3 and set(body["data"]) >= {"train", "val"} and "window" in body["input"]


def test_a_training_that_came_to_nothing_may_be_begun_anew(data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(InputError, match="at least one batch of 64"):
        go(data, out, tmp_path, batch=64)
    go(data, out, tmp_path)
    assert (out / "model.safetensors").is_file()
    assert json.loads((out / "training.json").read_text(encoding="utf-8"))["recipe"]["batch"] == RECIPE["batch"]


def test_weights_of_unknown_origin_are_not_replaced(data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"of somebody")
    with pytest.raises(ModelError, match=r"holds model\.safetensors without training\.json"):
        go(data, tmp_path / "run", tmp_path)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == b"of somebody"

"""`medvis init`: what it writes loads, trains, exports and measures as it is, so that the template cannot rot."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
import yaml

from medvis.learn.task_check import load_trainable

KINDS = ("classes", "masks", "classes+masks")
SMALL = {"widths": [16, 16, 16, 16, 16], "embedding": 16, "streams": "detail"}


def fill(folder, kind, count=4) -> None:
    """Adds rows below the template's header: pictures with a bright disc, and without."""
    index = folder / "data" / "index.csv"
    columns = index.read_text(encoding="utf-8").splitlines()[0].split(",")
    rng = np.random.default_rng(0)
    with index.open("a", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, columns, extrasaction="ignore")
        for split in ("train", "train", "val", "test"):
            for number in range(2 * count):
                name, defect = f"{split}-{rng.integers(10**9)}", number % 2 == 0
                image, mask = rng.normal(70, 12, (96, 128)), np.zeros((96, 128), np.uint8)
                if defect:
                    cv2.circle(mask, (int(rng.integers(20, 100)), int(rng.integers(20, 70))), 9, 255, -1)
                    image[mask > 0] += 120
                cv2.imwrite(str(folder / "data" / "images" / f"{name}.png"), np.clip(image, 0, 255).astype(np.uint8))
                if defect and kind != "classes":
                    cv2.imwrite(str(folder / "data" / "masks" / f"{name}.png"), mask)
                label = "defect" if defect else "normal"
                files = {"image": f"images/{name}.png", "mask": f"masks/{name}.png" if defect else ""}
                rows.writerow({"id": name, "split": split, "group": name, "label": label, **files})


def shorten(path) -> None:
    """The same task with an epoch of small pictures and a small network; else as it was written."""
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    body["train"] |= {"phases": [{"size": 64, "epochs": 1}], "batch": 4, "network": SMALL, "pretrained": False}
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_trains_exports_measures_and_diagnoses(medvis, kind, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    pytest.importorskip("onnxscript", reason="the export needs the extra 'train'")
    folder = tmp_path / "mine"
    ran = medvis("init", "my-parts", "-o", folder, "--kind", kind)
    assert ran.code == 0, ran.stderr
    assert "medvis train my-parts.yaml --data data -o run" in ran.stdout.decode().splitlines()[-1]
    task, data = folder / "my-parts.yaml", folder / "data"
    load_trainable(str(task))
    assert "has no row yet" in medvis("train", task, "--data", data, "-o", folder / "run").error(3)
    fill(folder, kind)
    shorten(task)
    weights = folder / "run" / "model.safetensors"
    for command in (
        ["train", task, "--data", data, "-o", folder / "run"],
        ["export", weights, "--task", task, "--data", data, "-o", folder / "my-parts-bundle"],
        ["evaluate", "--task", task, "--data", data],
    ):  # fmt: skip
        ran = medvis(*command)
        assert ran.code == 0 and "left out" not in ran.stderr, ran.stderr
    said = ran.stdout.decode()
    assert ("Accuracy" in said) == (kind != "masks") and ("Dice, mean" in said) == (kind != "classes")
    monkeypatch.setenv("MEDVIS_TASKS", str(folder))
    picture = next((data / "images").glob("test-*.png"))
    assert medvis("diagnose", picture, "--task", "my-parts", "--json").json["verdict"]["decision"]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_colours_are_in_the_task_as_they_were_given(medvis, kind, tmp_path):
    labels = "no" if kind == "masks" else "no,1,Normal"
    assert medvis("init", "x1", "-o", tmp_path / "x", "--kind", kind, "--labels", labels, "--colour").code == 0
    config = load_trainable(str(tmp_path / "x" / "x1.yaml"))
    assert [label["name"] for label in config.train["labels"]] == labels.split(",")
    assert [label.get("normal", False) for label in config.train["labels"]] == [
        name == "Normal" for name in labels.split(",")
    ]
    assert (config.accepts.channels, config.train["channels"], config.taxonomy.finding) == ([3], 3, "no")
    text = (tmp_path / "x" / "x1.yaml").read_text(encoding="utf-8")
    assert text.count("#") > 15, "the settings are explained"
    readme = (tmp_path / "x" / "data" / "README.md").read_text(encoding="utf-8")
    header = (tmp_path / "x" / "data" / "index.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert all(f"| `{column}` |" in readme for column in header)


def test_nothing_is_overwritten(medvis, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    message = medvis("init", "mine", "-o", tmp_path / "mine").error(7)
    assert "is there already; wanted: a new or empty folder" in message
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert medvis("init", "mine").code == 0
    assert "is there already" in medvis("init", "mine").error(7)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["Mine"], "task name 'Mine'; wanted: small letters"),
        (["../x"], "task name '../x'"),
        (["steel"], "there is a task 'steel' already"),
        (["mine", "--kind", "boxes"], "wanted: one of classes, masks, classes+masks"),
        (["mine", "--labels", "defect"], "two or more names"),
        (["mine", "--labels", "a,A"], "two or more names, each once"),
        (["mine", "--labels", "a,b: {c"], "letters, digits"),
        (["mine", "--kind", "masks", "--labels", "a,b"], "one name"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(medvis, arguments, text, tmp_path):
    assert text in medvis("init", *arguments).error(2)
    assert list((tmp_path / "here").iterdir()) == []

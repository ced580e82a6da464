"""Small labelled pictures in every layout that is read, and tasks with a predictor in numpy that see them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tiny_bundle import pipeline_of
from tiny_whole import BREAST, OUTLINED, Tones, write_whole

from medvis.pipeline import Pipeline

SIDE = 64
FIELDS = ("id", "split", "label", "group", "image", "mask")
# label → (grey of the ground, side of the bright patch); the predictor knows the classes by the ground.
KINDS = {"normal": (26, 0), "benign": (90, 8), "malignant": (140, 24)}
TONES = {"normal": (12.0, 0.1), "benign": (12.0, 0.35), "malignant": (12.0, 0.6)}
BRIGHT = 250
CLASS_SIDES = {
    "class_sides": ["malignant", "benign"],
    "bars": {"auc": 0.9, "dice": 0.99},
    "baselines": {"auc": "others 0.7"},
}
TILED = ("window", "enhance", "infer", "segment", "measure", "judge", "explain")


def picture(label: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [64, 64] with one patch whose place depends on `number`, and its mask."""
    ground, side = KINDS[label]
    rng = np.random.default_rng([number, side])
    image = (ground + rng.integers(-9, 10, (SIDE, SIDE))).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    row, col = rng.integers(2, SIDE - side - 2, 2)
    mask[row : row + side, col : col + side] = 1
    image[mask > 0] = BRIGHT
    return image, mask


def write_index(folder: Path, count: int = 4) -> Path:
    """index.csv, images/, masks/; train and test alike but for a pixel, `count` pictures a label, two a group."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.DictWriter(stream, FIELDS).writeheader()
    for split in ("train", "test"):
        for label in KINDS:
            for number in range(count):
                name = f"{split}-{label}-{number}"
                image, mask = picture(label, number)
                image[0, 0] ^= split == "train"  # the same file in two splits is refused
                for kind, pixels in (("images", image), ("masks", mask)):
                    cv2.imwrite(str(folder / kind / f"{name}.png"), pixels)
                files = {"image": f"images/{name}.png", "mask": f"masks/{name}.png"}
                add_row(folder, id=name, split=split, label=label, group=f"{split}-{label}-{number // 2}", **files)
    return folder


def add_row(folder: Path, **row: str) -> None:
    """One more row, of test unless it says otherwise; a picture that is there already is copied for it."""
    fields = {"id": "more", "split": "test", "label": "", "group": "more", "image": "", "mask": "", **row}
    if f",{fields['image']}," in (folder / "index.csv").read_text(encoding="utf-8"):
        number = len((folder / "index.csv").read_text(encoding="utf-8").splitlines())
        fields["image"] = shutil.copy(folder / fields["image"], folder / "images" / f"row-{number}.png").name
        fields["image"] = f"images/{fields['image']}"
    with (folder / "index.csv").open("a", newline="", encoding="utf-8") as stream:
        csv.DictWriter(stream, FIELDS).writerow(fields)


def write_coco(folder: Path) -> Path:
    """annotations/instances_val.json and val/: a polygon, run lengths, and one image with nothing."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "val").mkdir()
    images, annotations = [], []
    for number, (label, form) in enumerate((("benign", "polygon"), ("malignant", "runs"), ("normal", ""))):
        image, mask = picture(label, number)
        cv2.imwrite(str(folder / "val" / f"{label}.png"), image)
        images.append({"id": number, "file_name": f"{label}.png", "height": SIDE, "width": SIDE})
        if form:
            drawn = polygon(mask) if form == "polygon" else {"size": [SIDE, SIDE], "counts": runs(mask)}
            annotations.append({"id": number, "image_id": number, "category_id": number + 1, "segmentation": drawn})
    categories = [{"id": 1, "name": "benign"}, {"id": 2, "name": "malignant"}]
    body = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_val.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


def polygon(mask: np.ndarray) -> list[list[float]]:
    """The corners of a rectangle, x and y in turn."""
    rows, cols = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, cols.min(), cols.max() + 1
    return [[float(value) for value in (left, top, right, top, right, bottom, left, bottom)]]


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths of 0 and 1 in turn, column by column."""
    flat = (mask.T.ravel() > 0).astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    return [int(length) for length in np.diff(np.concatenate([[0], changes, [flat.size]]))]


def packed(lengths: list[int]) -> str:
    """The packed form, written independently of the reader: signed groups of five bits, least first."""
    text = ""
    for index, length in enumerate(lengths):
        value = length - (lengths[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + 48 + 32 * more)
            if not more:
                break
    return text


def write_mvtec(folder: Path) -> Path:
    """train/good, test/good, test/malignant and ground_truth/malignant."""
    for split, label, count in (("train", "good", 1), ("test", "good", 2), ("test", "malignant", 3)):
        (folder / split / label).mkdir(parents=True)
        for number in range(count):
            image, mask = picture("normal" if label == "good" else label, number)
            image[0, 0] ^= split == "train"
            cv2.imwrite(str(folder / split / label / f"{number:03}.png"), image)
            if label != "good":
                (folder / "ground_truth" / label).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / "ground_truth" / label / f"{number:03}_mask.png"), 255 * mask)
    return folder


def breast(folder: Path, **changes: Any) -> Pipeline:
    """A `whole` task with three classes and an outline, and a predictor that is right about `picture`."""
    thresholds = {"high": 0.5, "low": 0.4, "finding": 0.3, "positive": 0.5}
    card = {"masks": ["bright patch"], "thresholds": thresholds, "calibration": {"temperature": 1.0}}
    path = write_whole(folder, OUTLINED, **{"evaluate": CLASS_SIDES, "train": {"readers": 1}, **changes})
    return pipeline_of(path, None, Tones(BREAST, TONES, **card))


def tiled(folder: Path, **changes: Any) -> Pipeline:
    """A `tiled` task that outlines what is bright."""
    labels = [{"name": "bright patch", "kind": "binary"}]
    infer = {"tile": 64, "overlap": 16, "scales": {1.0: 1.0}, "flips": ["none"], "candidate": {"crop": 32, "most": 6}}
    path = write_whole(folder, TILED, kind="tiled", settings={"infer": infer}, **{"train": {"readers": 1}, **changes})
    card = {"masks": ["bright patch"], "thresholds": {"high": 0.5, "low": 0.4, "finding": 0.3}}
    return pipeline_of(path, None, Tones(labels, {"bright patch": (1.0, 1.0)}, **card))

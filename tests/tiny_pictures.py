"""Small data sets of pictures: whole ones of two kinds with their masks, and large ones in colour with dark pits."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

FIELDS = ("id", "split", "group", "label", "image", "mask")
SPLITS = ("train", "train", "train", "val", "test")
RECIPE = {
    "seed": 3,
    "network": {"widths": [16, 16, 16, 16, 16], "embedding": 16, "streams": "detail", "drop": 0.1},
    "batch": 4,
    "pretrained": False,
    "threads": 1,
    "device": "cpu",
    "validate_every": 1,
}
OFF = {
    "rotate": 0.0, "mirror": 0.0, "zoom": [1.0, 1.0], "elastic": 0.0, "window": [0.0, 0.0], "noise": 0.0, "blur": 0.0,
    "motion": 0.0, "absent": 0.0, "paste": 0.0, "smoothing": 0.0,
}  # fmt: skip
CLASSES = [{"name": "blob", "kind": "class"}, {"name": "clean", "kind": "class", "normal": True}]


def whole_recipe(**changes):
    body = {**RECIPE, "sampler": "pictures", "labels": CLASSES, "phases": [{"size": 64, "epochs": 1}]}
    return {**body, "augment": {**OFF, **changes.pop("augment", {})}, **changes}


def tile_recipe(**changes):
    body = {**RECIPE, "sampler": "tiles", "channels": 3, "labels": [{"name": "pit"}]}
    body |= {"phases": [{"size": 64, "epochs": 1}], "repeat": 2}
    return {**body, "augment": {**OFF, **changes.pop("augment", {})}, **changes}


def write_whole(folder: Path, count: int = 4, masks: bool = True) -> Path:
    """Grey pictures of 48×80: `count` of each class and split, a bright disc in those of class blob."""
    rng = np.random.default_rng(0)
    rows = []
    for split in SPLITS:
        for number in range(count):
            for label in ("blob", "clean"):
                image, mask = rng.normal(70, 12, (48, 80)), np.zeros((48, 80), np.uint8)
                if label == "blob":
                    centre = (int(rng.integers(16, 64)), int(rng.integers(14, 34)))
                    cv2.circle(mask, centre, 8, 1, -1)
                image = np.where(mask > 0, 180 + 0.3 * image, image)
                rows.append((f"{split}{len(rows)}-{number}", split, label, image, mask if masks else None))
    return _write(folder, rows)


def write_tiles(folder: Path, count: int = 4) -> Path:
    """Colour pictures of 100×180, each with one pit of 4 px and one of 14 px; and one that nobody has labelled."""
    rng = np.random.default_rng(1)
    rows = []
    for split in SPLITS:
        for number in range(count):
            image, mask = rng.normal((150, 140, 110), 6, (100, 180, 3)), np.zeros((100, 180), np.uint8)
            cv2.circle(mask, (int(rng.integers(20, 70)), int(rng.integers(20, 80))), 2, 1, -1)
            cv2.circle(mask, (int(rng.integers(110, 160)), int(rng.integers(20, 80))), 7, 1, -1)
            image[mask > 0] *= 0.35
            rows.append((f"{split}{len(rows)}-{number}", split, "pit", image, mask))
        rows.append((f"{split}{len(rows)}-x", split, "unlabelled", np.full((100, 180, 3), 5.0), None))
    return _write(folder, rows)


def _write(folder: Path, rows) -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        index = csv.writer(stream)
        index.writerow(FIELDS)
        for name, split, label, image, mask in rows:
            pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / "images" / f"{name}.png"), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
            if mask is not None:
                cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
            where = "" if mask is None else f"masks/{name}.png"
            index.writerow((name, split, name, label, f"images/{name}.png", where))
    return folder

"""A small data set in the layout of the real ones: crops of the CT phantom around nodules, with four readers' masks."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from medvis.phantom.volume import NoduleSpec, PhantomSpec, chest_phantom

SIDE = 128
# (row mm, col mm, diameter mm) and split: a small, benign one and a large, malignant one in each.
PLACES = ((-40, 84, 9), (2, -92, 18), (2, 98, 9), (42, -84, 17), (-40, -84, 9), (42, 92, 19))
SPLITS = ("train", "train", "val", "val", "test", "test")
SEEDS = range(3)
FIELDS = ("id", "split", "group", "label", "image", "mask", "nodule", "pixel_spacing_mm", "median_malignancy")


@cache
def _crops():
    """(place, seed, frame, HU crop, readers' mask)."""
    out = []
    for seed in SEEDS:
        for first in range(0, len(PLACES), 2):
            # One nodule in each lung, so that there is one in each crop.
            nodules = tuple(NoduleSpec((0, row, col), size) for row, col, size in PLACES[first : first + 2])
            spec = PhantomSpec(frames=2, shape=(416, 416), nodules=nodules, seed=seed)
            volume, labels = chest_phantom(spec)
            for number, nodule in enumerate(nodules):
                row, col = (round(value) - SIDE // 2 for value in spec.index_of(nodule)[1:])
                window = (slice(row, row + SIDE), slice(col, col + SIDE))
                for frame in range(2):
                    readers = _readers((labels[frame][window] == number + 1).astype(np.uint8))
                    out.append((first + number, seed, frame, volume[frame][window], readers))
    return out


def _readers(mask):
    """How many of four readers marked a pixel: all agree on the core, two on the whole, one marks a rim more."""
    kernel = np.ones((3, 3), np.uint8)
    return 2 * mask + 2 * cv2.erode(mask, kernel) + (cv2.dilate(mask, kernel) - mask)


def write_data(folder: Path) -> Path:
    """Writes index.csv, images/ and masks/ of 36 crops, 12 a split; returns the folder."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        index = csv.DictWriter(stream, FIELDS)
        index.writeheader()
        for place, seed, frame, hu, readers in _crops():
            index.writerow(_write(folder, (place, seed, frame), hu, readers))
    return folder


def _write(folder: Path, key: tuple[int, int, int], hu: np.ndarray, readers: np.ndarray) -> dict[str, object]:
    place, seed, frame = key
    name = f"p{seed}n{place}f{frame}"
    grey = np.rint((hu - hu.min()) / np.ptp(hu) * 255).astype(np.uint8)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), grey)
    mask = Image.fromarray(readers, mode="P")
    mask.putpalette([0, 0, 0, 90, 0, 0, 160, 0, 0, 210, 0, 0, 255, 255, 0])
    mask.save(folder / "masks" / f"{name}.png")
    large = PLACES[place][2] > 10
    return {
        "id": name,
        "split": SPLITS[place],
        "group": f"p{seed}-{SPLITS[place]}",
        "label": "malignant" if large else "benign",
        "image": f"images/{name}.png",
        "mask": f"masks/{name}.png",
        "nodule": f"n{place}",
        "pixel_spacing_mm": 0.7,
        "median_malignancy": 4.5 if large else 1.5,
    }

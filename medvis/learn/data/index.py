"""A data set folder: index.csv + images/ + masks/, as every split of every task comes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s, Indices, Uint8s
from medvis.errors import InputError
from medvis.ops.chest.hounsfield import estimate_scale
from medvis.ops.chest.lungs import lung_field
from medvis.pipeline import load

# Range in which a full-HU volume is kept as grey values: what the models look at.
LOW, HIGH = -1350.0, 1050.0


@dataclass(frozen=True)
class Row:
    """One line of index.csv."""

    id: str
    split: str
    group: str
    label: str
    image: Path
    mask: Path | None
    fields: dict[str, str]

    def number(self, name: str) -> float | None:
        """A numeric field, or None where it is empty or absent. Raises InputError if it is no number."""
        text = self.fields.get(name, "")
        try:
            return float(text) if text else None
        except ValueError as error:
            raise InputError(
                f"row '{self.id}' has {name} '{text}'", "a number, or nothing where it is unknown"
            ) from error


def read_index(folder: Path, split: str | None = None, name: str = "index.csv") -> list[Row]:
    """The rows of a data set.

    Raises:
        InputError: no index, missing columns, or no row of that split.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"no {name} in {folder}", "a data set folder: index.csv, images/, masks/")
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [_row(folder, record) for record in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}", "comma-separated values in UTF-8") from error
    chosen = [row for row in rows if split is None or row.split == split]
    if not chosen:
        splits = sorted({row.split for row in rows})
        raise InputError(f"{path} has no row of split '{split}'", f"one of {', '.join(splits)}")
    return chosen


def _row(folder: Path, record: dict[str, str]) -> Row:
    try:
        mask = folder / record["mask"] if record.get("mask") else None
        image = folder / record["image"]
        return Row(record["id"], record["split"], record["group"], record.get("label", ""), image, mask, record)
    except KeyError as error:
        raise InputError(
            f"{folder / 'index.csv'} has no column {error}", "id, split, group, image (label, mask)"
        ) from error


@dataclass(frozen=True)
class GreyScans:
    """Grey CT pictures in memory, with the HU scale estimated for each.

    Attributes:
        grey: uint8 [n, rows, cols].
        mask: uint8 [n, rows, cols], 1 inside the target.
        scale: float32 [n, 2], HU of grey 0 and of grey 255.
        region: bool [n, rows, cols], where crops may be taken; None: everywhere.
    """

    rows: list[Row]
    grey: Uint8s
    mask: Uint8s
    scale: Float32s
    region: Bools | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def hounsfield(self, index: int) -> Float32s:
        """float32 [rows, cols] in HU."""
        low, high = self.scale[index]
        return np.asarray(low + self.grey[index].astype(np.float32) * ((high - low) / 255.0), np.float32)

    def off_centre(self, side: int, seed: int) -> Indices:
        """One random sub-crop a picture, [n, 3] (row, col, side); the same for the same seed and rows.

        Raises:
            InputError: the pictures are smaller than that.
        """
        if min(self.grey.shape[1:]) < side:
            raise InputError(f"pictures of {self.grey.shape[1]}×{self.grey.shape[2]} px", f"at least {side}×{side}")
        corners = np.random.default_rng(seed).integers(0, self.grey.shape[1] - side + 1, (len(self), 2))
        return np.hstack([corners, np.full((len(self), 1), side)])

    def cut(self, index: int, window: Indices | None) -> tuple[Float32s, Bools]:
        """(HU, target) of one picture, or of its sub-crop (row, col, side)."""
        hu, mask = self.hounsfield(index), self.mask[index] > 0
        if window is None:
            return hu, mask
        row, col, side = (int(value) for value in window)
        return hu[row : row + side, col : col + side], mask[row : row + side, col : col + side]


def load_grey_scans(rows: list[Row], readers: int = 2) -> GreyScans:
    """Reads all pictures and masks; a mask pixel counts where at least `readers` of the readers marked it.

    Raises:
        InputError: a file is unreadable, or not of the size of the first picture.
    """
    pictures = [read_grey(row.image) for row in rows]
    masks = [_consensus(row, pictures[0].shape, readers) for row in rows]
    for row, picture, marked in zip(rows, pictures, masks, strict=True):
        if not picture.shape == marked.shape == pictures[0].shape:
            found = (
                f"{row.image} is {picture.shape[0]}×{picture.shape[1]} px, its mask {marked.shape[0]}×{marked.shape[1]}"
            )
            raise InputError(found, f"{pictures[0].shape[0]}×{pictures[0].shape[1]} as the first of them")
    grey, mask = np.stack(pictures), np.stack(masks)
    scale = np.array([estimate_scale(image) for image in grey], np.float32)
    return GreyScans(rows, grey, mask, scale)


def load_volume(folder: Path) -> GreyScans:
    """The frames of a chest CT with one marked lesion: image.nii.gz in HU, label.nii.gz; crops come from the lungs."""
    image, label = load(folder / "image.nii.gz"), load(folder / "label.nii.gz")
    hu = image.pixels[..., 0]
    grey = np.asarray(np.clip((hu - LOW) / (HIGH - LOW), 0, 1) * 255, np.uint8)
    rows = [Row(f"{folder.name}-{index}", "train", folder.name, "", folder, None, {}) for index in range(len(hu))]
    scale = np.tile(np.array([LOW, HIGH], np.float32), (len(hu), 1))
    mask = (label.pixels[..., 0] > 0).astype(np.uint8)
    return GreyScans(rows, grey, mask, scale, lung_field(hu, None, image.geometry.spacing).mask)


def joined(parts: list[GreyScans]) -> GreyScans:
    """Several sets of pictures of one size as one, without the pictures that have no region to take a crop from.

    Where a set has no region, all but its blackest pixels are it.
    """
    region = np.concatenate([part.grey > 0 if part.region is None else part.region for part in parts])
    keep = np.flatnonzero(region.any((1, 2)))
    rows = [row for part in parts for row in part.rows]
    return GreyScans(
        [rows[index] for index in keep],
        np.concatenate([part.grey for part in parts])[keep],
        np.concatenate([part.mask for part in parts])[keep],
        np.concatenate([part.scale for part in parts])[keep],
        region[keep],
    )


def read_grey(path: Path) -> Uint8s:
    """uint8 [rows, cols]. Raises InputError if the file is no picture."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path} is not a readable picture")
    return np.asarray(image, np.uint8)


def read_indices(path: Path) -> Uint8s:
    """uint8 [rows, cols]: the palette *indices* of a mask PNG (OpenCV would give the palette's colours)."""
    from PIL import Image  # noqa: PLC0415 - only where masks are read

    try:
        with Image.open(path) as image:
            return np.asarray(image, np.uint8)
    except OSError as error:
        raise InputError(f"{path} is not a readable mask: {error}") from error


def _consensus(row: Row, shape: tuple[int, ...], readers: int) -> Uint8s:
    if row.mask is None:
        return np.zeros(shape, np.uint8)
    return (read_indices(row.mask) >= readers).astype(np.uint8)

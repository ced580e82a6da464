"""COCO data sets: an instances JSON (Lin et al., ECCV 2014) and its images; polygons, and run lengths in both forms."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Bools
from medvis.errors import InputError
from medvis.learn.data.examples import Example

NORMAL = "normal"


def coco_files(folder: Path) -> list[Path]:
    """The JSON files below `folder` that list images and annotations."""
    patterns = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if _looks_right(path)]


def read_coco(folder: Path, split: str, files: list[Path]) -> list[Example]:
    """The images of a split. An image without an annotation holds nothing: its label is `normal`.

    An image is of the class of its annotations where they are all of one; its group is its field `group`, else itself.

    Args:
        folder: of the data set.
        split: part of the JSON's name or folder; of no importance where there is one JSON only.
        files: as `coco_files` finds them.

    Raises:
        InputError: no file, or several, for that split; a file that is not COCO; an image that is absent.
    """
    path = _chosen(files, folder, split)
    body = _parsed(path)
    try:
        names = {category["id"]: str(category["name"]) for category in body["categories"]}
        by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in body["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        folders = _image_folders(folder, path, split)
        return [_example(image, by_image[image["id"]], names, folders) for image in body["images"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} lacks {error}", "COCO instances: images, annotations, categories") from error


def _looks_right(path: Path) -> bool:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and {"images", "annotations"} <= body.keys()


def _parsed(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_bytes())
    return body


def _chosen(paths: list[Path], folder: Path, split: str) -> Path:
    named = [path for path in paths if split in path.relative_to(folder).as_posix()]
    if len(paths) == 1 or len(named) == 1:
        return (named or paths)[0]
    candidates = ", ".join(path.relative_to(folder).as_posix() for path in named or paths)
    raise InputError(f"split '{split}' of {folder} may be any of {candidates}", "a split that names one of them")


def _image_folders(folder: Path, path: Path, split: str) -> list[Path]:
    """Where the images may lie, the likeliest first."""
    stem = path.stem.removeprefix("instances_")
    return [path.parent, folder / stem, folder / split, folder / "images" / split, folder / "images", folder]


def _example(
    image: dict[str, Any], annotations: list[dict[str, Any]], names: dict[Any, str], folders: list[Path]
) -> Example:
    file = next((path for path in (folder / image["file_name"] for folder in folders) if path.is_file()), None)
    if file is None:
        raise InputError(f"image {image['file_name']} is not there", f"it in {folders[0]} or images/ beside")
    kinds = sorted({names[annotation["category_id"]] for annotation in annotations})
    label = kinds[0] if len(kinds) == 1 else "" if kinds else NORMAL
    outlines = Outlines(str(file), tuple(annotation.get("segmentation") for annotation in annotations))
    drawn = all(outlines.segmentations)
    return Example(
        Path(image["file_name"]).stem, str(image.get("group", image["id"])), label, file, outlines if drawn else None
    )


@dataclass(frozen=True)
class Outlines:
    """The segmentations of one image; drawn together when they are asked for."""

    name: str
    segmentations: tuple[Any, ...]

    def __call__(self, shape: tuple[int, int]) -> Bools:
        """All of them as bool [rows, cols]. Raises InputError where one is of another shape, or none at all."""
        mask = np.zeros(shape, bool)
        for part in self.segmentations:
            try:
                mask |= _polygons(part, shape) if isinstance(part, list) else _runs(part, shape)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                message = f"{self.name}: a segmentation cannot be drawn ({error})"
                raise InputError(message, f"polygons or run lengths of {shape[0]}×{shape[1]} px") from error
        return mask


def _polygons(parts: Iterable[list[float]], shape: tuple[int, int]) -> Bools:
    """The pixels whose centre lies in one of the polygons [x, y, x, y, …]; pixel (0, 0) reaches from 0 to 1."""
    from skimage.draw import polygon  # noqa: PLC0415 - only where there are polygons

    mask = np.zeros(shape, bool)
    for part in parts:
        corners = np.asarray(part, np.float64).reshape(-1, 2) - 0.5
        inside = polygon(corners[:, 1], corners[:, 0], shape)  # type: ignore[no-untyped-call]
        mask[inside] = True
    return mask


def _runs(segmentation: dict[str, Any], shape: tuple[int, int]) -> Bools:
    """Run lengths of 0 and 1 in turn, column by column; as numbers, or packed into text."""
    rows, cols = segmentation["size"]
    if (rows, cols) != shape:
        raise ValueError(f"it is of {rows}×{cols} px")
    counts = segmentation["counts"]
    lengths = unpacked(counts) if isinstance(counts, str | bytes) else counts
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.asarray(values.reshape(cols, rows).T)


def unpacked(text: str | bytes) -> list[int]:
    """Run lengths from COCO's packed form: five bits a character, from the third on as difference to the last but one.

    Bit 6 of a character (from 48 on) says that another follows; bit 5 of the last is the sign.
    """
    lengths: list[int] = []
    value = shift = 0
    for byte in text.encode() if isinstance(text, str) else text:
        bits = byte - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths

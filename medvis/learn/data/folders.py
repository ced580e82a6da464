"""Folders of pictures, a folder a label: SPLIT/LABEL/NAME.png with masks in ground_truth/LABEL.

The layout of MVTec AD (Bergmann et al., CVPR 2019), with the masks of MVTec LOCO (several files in a folder NAME; the
same, IJCV 2022), of BTAD (labels ok and ko, masks of the pictures' own names; Mishra et al., ISIE 2021) and of MVTec
AD 2 (ground_truth below the split).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools
from medvis.errors import InputError
from medvis.learn.data.examples import Example
from medvis.learn.data.label_names import NOTHING, normalised
from medvis.learn.data.masks import MaskFile
from medvis.learn.data.split_names import split_name

MASKS = "ground_truth"
MASK_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
SUFFIXES = MASK_SUFFIXES | {".dcm"}
ENDS = ("_mask", "_gt")  # what the name of a mask has behind that of its picture
# (label, name of the picture in lower case) → masks, each with its files.
MasksByName = dict[tuple[str, str], list[list[Path]]]


@dataclass(frozen=True)
class MaskFiles:
    """Several masks of one picture, which are read when they are asked for: what one of them marks is marked."""

    paths: tuple[Path, ...]

    def __call__(self, shape: tuple[int, int]) -> Bools:
        """Reference mask, bool [rows, cols]. Raises InputError."""
        return np.asarray(np.any([MaskFile(path, 1)(shape) for path in self.paths], axis=0))


def is_labelled_folders(folder: Path) -> bool:
    """Whether a folder has ground_truth, or splits with a folder for what is in order."""
    return (folder / MASKS).is_dir() or any(
        normalised(label.name) in NOTHING for split in split_folders(folder).values() for label in _below(split)
    )


def read_folders(folder: Path, split: str) -> list[Example]:
    """The pictures of a split.

    Raises:
        InputError: no such split, a picture outside of a label's folder, two of one name, or two masks for one.
    """
    splits = split_folders(folder)
    if split_name(split) not in splits:
        known = ", ".join(path.name for path in splits.values()) or "train or test, each with a folder a label"
        raise InputError(f"{folder} has no folder '{split}'", known)
    root = splits[split_name(split)]
    pictures, masks = _pictures(root), _masks(root)
    _require_labels(root, pictures)
    return [_example(picture, _masks_of(picture, masks)) for picture in pictures]


def unused_masks(folder: Path) -> list[Path]:
    """The masks that belong to no picture of any split."""
    splits, used = list(split_folders(folder).values()), set()
    for root in splits:
        masks = _masks(root)
        used |= {path for picture in _pictures(root) for path in _masks_of(picture, masks)}
    roots = [folder / MASKS, *(root / MASKS for root in splits)]
    return sorted(path for root in roots if root.is_dir() for path in _files(root, MASK_SUFFIXES) if path not in used)


def visible(path: Path) -> bool:
    """Whether a file is no leftover of a file manager, such as ._NAME.png or .DS_Store."""
    return not path.name.startswith(".")


def split_folders(folder: Path) -> dict[str, Path]:
    """Name of a split → its folder. Raises InputError where two folders mean one split."""
    found: dict[str, Path] = {}
    for path in _below(folder):
        if path.name == MASKS or not any(label.name != MASKS for label in _below(path)):
            continue
        name = split_name(path.name)
        if name in found:
            raise InputError(f"{folder} has {found[name].name} and {path.name}", "one folder for one split")
        found[name] = path
    return found


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and visible(path))


def _files(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """The visible files of some suffixes at or below a folder."""
    for path in sorted(folder.rglob("*")):
        if visible(path) and path.suffix.lower() in suffixes and path.is_file():
            yield path


def _pictures(root: Path) -> list[Path]:
    labels = [label for label in _below(root) if label.name != MASKS]
    paths = [path for label in labels for path in sorted(label.iterdir()) if visible(path)]
    return [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]


def _require_labels(root: Path, pictures: list[Path]) -> None:
    known = set(pictures)
    for path in _files(root, SUFFIXES):
        if path not in known and MASKS not in path.relative_to(root).parts:
            raise InputError(f"{path} lies in no folder of a label", f"{root.name}/LABEL/{path.name}")
    seen: dict[tuple[Path, str], Path] = {}
    for path in pictures:
        other = seen.setdefault((path.parent, path.stem.casefold()), path)
        if other != path:
            raise InputError(f"{path.parent} has {other.name} and {path.name}", "one picture of a name")


def _masks(root: Path) -> MasksByName:
    """The masks of a split: by label and by the picture's name that their own name says; of a folder all in it."""
    found: MasksByName = defaultdict(list)
    folders = [label for masks in (root.parent / MASKS, root / MASKS) if masks.is_dir() for label in _below(masks)]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            files = list(_files(path, MASK_SUFFIXES)) if path.is_dir() else [path]
            if not visible(path) or (path.suffix.lower() not in MASK_SUFFIXES and not path.is_dir()) or not files:
                continue
            stem = (path.name if path.is_dir() else path.stem).casefold()
            for name in {stem, *(stem.removesuffix(end) for end in ENDS)}:
                found[normalised(folder.name), name].append(files)
    return found


def _masks_of(picture: Path, masks: MasksByName) -> list[Path]:
    """The masks of a picture; none: it has none. Raises InputError where it may be one or the other."""
    found = masks.get((normalised(picture.parent.name), picture.stem.casefold()), [])
    if len(found) > 1:
        first, second = found[0][0], found[1][0]
        raise InputError(f"{picture} may have the mask {first.name} or {second.name}", "one of them")
    return found[0] if found else []


def _example(picture: Path, masks: list[Path]) -> Example:
    name = f"{picture.parent.name}/{picture.stem}"
    outline = MaskFile(masks[0], 1) if len(masks) == 1 else MaskFiles(tuple(masks)) if masks else None
    group = f"{picture.parent.parent.name}/{name}"
    return Example(name, group, picture.parent.name, picture, outline)

"""Labelled pictures in the layouts that people have: index.csv, COCO, and MVTec's folders (test/good, test/DEFECT).

One door for training and evaluation alike.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from medvis.errors import InputError
from medvis.learn.data.coco import coco_files, outlines_digest, read_coco, split_of
from medvis.learn.data.doubles import contradictions, require_apart, require_one_label
from medvis.learn.data.examples import Example
from medvis.learn.data.folders import SUFFIXES, is_labelled_folders, read_folders, split_folders, unused_masks, visible
from medvis.learn.data.index import Row, check_groups, read_index
from medvis.learn.data.label_names import NOTHING, is_unknown, normalised
from medvis.learn.data.masks import MaskFile, read_mask, require_readers
from medvis.learn.data.split_names import split_name

INDEX = "index.csv"
WANTED = (
    "index.csv with images, a COCO JSON with images, test/good beside test/DEFECT, or folders of NAME.dcm with "
    "masks/NAME.png or boxes.csv"
)


def read_examples(folder: Path, split: str, readers: int = 1) -> tuple[list[Example], int]:
    """The labelled pictures of a split, and how many are left out because nobody has labelled them.

    Args:
        folder: of the data set; its layout is found out.
        split: value of the index's column, part of the COCO file's or folder's name, or MVTec's folder.
        readers: least value of a mask's pixel that is target.

    Raises:
        InputError: no such layout or split, nothing in it is labelled, or no mask has a pixel of as many readers.
    """
    examples = _read(folder, split, readers)
    labelled = [example for example in examples if example.outline is not None or not is_unknown(example.label)]
    if not labelled:
        raise InputError(f"nothing in split '{split}' of {folder} is labelled", "labels or masks")
    _require_readers(labelled, readers, folder)
    return labelled, len(examples) - len(labelled)


def _require_readers(examples: list[Example], readers: int, folder: Path) -> None:
    paths = [example.outline.path for example in examples if isinstance(example.outline, MaskFile)]
    if readers > 1:  # else whatever is marked is target
        require_readers((read_mask(path, readers) for path in paths), readers, str(folder))


def read_rows(folder: Path, split: str) -> list[Row]:
    """The pictures of a split for training, labelled or not, of every layout that `read_examples` reads.

    Raises:
        InputError: as `read_examples`.
    """
    if (folder / INDEX).is_file():
        return read_index(folder, split)
    return [_row(folder, split, example) for example in _read(folder, split, 1)]


def require_sound(folder: Path, rows: list[Row]) -> None:
    """Refuses pictures and groups to train on that are in another split as well, and pictures with two labels.

    Args:
        folder: of the data set, every split of which counts.
        rows: of all splits that are trained on.

    Raises:
        InputError: naming the first of them.
    """
    used = {row.split for row in rows}
    everything = _with_other_splits(folder, rows)
    check_groups(str(folder), ((row.group, row.split) for row in everything))
    require_one_label([group for group in require_apart(everything) if group[0].split in used])


def strange(folder: Path, split: str) -> dict[str, int]:
    """What a data set holds that an evaluation passes over, in words, and how often; what is not there is left out.

    Raises:
        InputError: a picture or group of the split is in another one, too.
    """
    own = read_rows(folder, split)
    rows = _with_other_splits(folder, own)
    check_groups(str(folder), ((row.group, row.split) for row in rows))
    doubled = [group for group in require_apart(rows) if group[0].split == split_name(split)]
    found = {
        "pictures that are there twice": sum(len(group) - 1 for group in doubled),
        "of them with two labels": len(contradictions(doubled)),
    }
    if (folder / INDEX).is_file():
        found |= {f"{name} that no row names": _unnamed(folder / name, rows) for name in ("images", "masks")}
    elif not coco_files(folder):
        found["masks without a picture"] = len(unused_masks(folder))
        normal = [row for row in own if normalised(row.label) in NOTHING]
        found["pictures of a defect without a mask"] = sum(not row.outlined for row in own) - sum(
            not row.outlined for row in normal
        )
    return {name: count for name, count in found.items() if count}


def _with_other_splits(folder: Path, rows: list[Row]) -> list[Row]:
    """Some splits' rows and those of all others; of another split, what cannot be read is left out."""
    if (folder / INDEX).is_file():
        return read_index(folder)
    lists = coco_files(folder)
    names = {split_of(path, folder) for path in lists} if lists else set(split_folders(folder))
    everything = list(rows)
    for name in sorted({name for name in names if name is not None} - {row.split for row in rows}):
        with suppress(InputError):
            everything += read_rows(folder, name)
    return everything


def _unnamed(folder: Path, rows: list[Row]) -> int:
    """How many pictures of a folder are named by no row."""
    named = {os.path.normpath(path) for row in rows for path in (row.image, row.mask) if path is not None}
    files = [path for path in folder.iterdir() if visible(path)] if folder.is_dir() else []
    return sum(path.suffix.lower() in SUFFIXES and os.path.normpath(path) not in named for path in files)


def _row(folder: Path, split: str, example: Example) -> Row:
    """An example as a row, whose fields say what its outlines are made of."""
    image = Path(os.path.relpath(example.image, folder)).as_posix()
    fields = {
        "id": example.id,
        "group": example.group,
        "label": example.label,
        "image": image,
        "outlines": outlines_digest(example),
    }
    mask = example.outline.path if isinstance(example.outline, MaskFile) else None
    if mask is not None:
        fields["mask"] = Path(os.path.relpath(mask, folder)).as_posix()
    outline = None if mask is not None else example.outline
    return Row(
        example.id, split_name(split), example.group, example.label, example.image, mask, fields, outline,
        example.unsure is not None, folder,
    )  # fmt: skip


def _read(folder: Path, split: str, readers: int) -> list[Example]:
    if (folder / INDEX).is_file():
        return _read_table(folder, split, readers)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "a data set")
    lists = coco_files(folder)
    if lists:
        return read_coco(folder, split, lists)
    if is_labelled_folders(folder):
        return read_folders(folder, split)
    raise InputError(f"{folder} is no data set", WANTED)


def _read_table(folder: Path, split: str, readers: int) -> list[Example]:
    return [
        Example(
            row.id,
            row.group,
            "" if is_unknown(row.label) else row.label,
            row.image,
            None if row.mask is None else MaskFile(row.mask, readers),
        )
        for row in read_index(folder, split)
    ]

"""Labelled pictures in the layouts that people have: index.csv, COCO, and MVTec's folders (test/good, test/DEFECT)."""

from __future__ import annotations

from pathlib import Path

from medvis.errors import InputError
from medvis.learn.data.coco import coco_files, read_coco
from medvis.learn.data.examples import Example
from medvis.learn.data.index import read_index
from medvis.learn.data.label_names import is_unknown
from medvis.learn.data.masks import MaskFile, read_mask, require_readers

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"})
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


def _read(folder: Path, split: str, readers: int) -> list[Example]:
    if (folder / "index.csv").is_file():
        return _read_table(folder, split, readers)
    lists = coco_files(folder)
    if lists:
        return read_coco(folder, split, lists)
    if any((folder / name).is_dir() for name in ("ground_truth", "test/good", "train/good")):
        return _read_folders(folder, split)
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


def _read_folders(folder: Path, split: str) -> list[Example]:
    """SPLIT/LABEL/NAME.png with ground_truth/LABEL/NAME_mask.png (Bergmann et al., CVPR 2019)."""
    if not (folder / split).is_dir():
        raise InputError(f"{folder} has no folder '{split}'", "train or test, each with a folder a label")
    examples = []
    for path in sorted((folder / split).glob("*/*")):
        if path.suffix.lower() in PICTURES:
            label = path.parent.name
            mask = folder / "ground_truth" / label / f"{path.stem}_mask.png"
            outline = MaskFile(mask, 1) if mask.is_file() else None
            name = f"{label}/{path.stem}"
            examples.append(Example(name, name, label, path, outline))
    return examples

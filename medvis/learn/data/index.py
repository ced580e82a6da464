"""A data set folder: index.csv + images/ + masks/, as every split of every task comes."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PureWindowsPath

from medvis.core.arrays import Bools
from medvis.errors import InputError
from medvis.learn.data.split_names import require_splits, split_name
from medvis.learn.data.table import read_table

COLUMNS = ("id", "split", "group", "image")
FOLDER = "a data set folder: index.csv, images/, masks/"


@dataclass(frozen=True)
class Row:
    """One line of index.csv, or one picture of another layout.

    Attributes:
        id, split, group, label: as they are there, the split by `split_name`.
        image, mask: files; no mask: None.
        fields: every column as text.
        outline: gives the reference mask of a picture of (rows, cols) where that is no file of index.csv.
        unsure: whether parts of the picture are neither target nor none.
        folder: of the data set, which the paths of files in `fields` start from.
    """

    id: str
    split: str
    group: str
    label: str
    image: Path
    mask: Path | None
    fields: dict[str, str]
    outline: Callable[[tuple[int, int]], Bools] | None = None
    unsure: bool = False
    folder: Path = Path()

    @property
    def outlined(self) -> bool:
        """Whether there is a reference mask."""
        return self.mask is not None or self.outline is not None

    def file(self, name: str) -> Path | None:
        """The file that a column names, or None where it is empty or absent."""
        value = self.fields.get(name)
        return file_of(self.folder, value) if value else None

    def number(self, name: str) -> float | None:
        """A numeric field, or None where it is empty or absent. Raises InputError if it is no number."""
        text = self.fields.get(name, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise InputError(f"row '{self.id}' has {name} '{text}'", "a number, or nothing where it is unknown")
        return value


def read_index(folder: Path, split: str | None = None, name: str = "index.csv") -> list[Row]:
    """The rows of a data set, or of one split of it, whose files are there then.

    Raises:
        InputError: no index, missing columns or values, a row twice, a group in two splits, a split that looks like a
            typing error, a file that is not there, or no row of that split.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"no {name} in {folder}", FOLDER)
    rows = [_row(folder, record) for record in read_table(path, COLUMNS, "id, split, group, image (label, mask)")]
    if not rows:
        raise InputError(f"{path} has no row yet", "a row for each picture, below the header")
    require_splits((row.split for row in rows), str(path))
    _check_once(path, rows)
    check_groups(str(path), ((row.group, row.split) for row in rows))
    chosen = [row for row in rows if split is None or row.split == split_name(split)]
    if not chosen:
        splits = sorted({row.split for row in rows})
        raise InputError(f"{path} has no row of split '{split}'", f"one of {', '.join(splits)}")
    if split is not None:  # those of another split may be left on another machine
        _check_files(path, chosen)
    return chosen


def _row(folder: Path, record: dict[str, str]) -> Row:
    empty = next((name for name in COLUMNS if not record[name]), None)
    if empty is not None:
        found = f"{folder / 'index.csv'}: row '{record['id'] or record['image']}' has no {empty}"
        raise InputError(found, "id, split, group (its own id where it stands alone) and image in every row")
    image, mask = file_of(folder, record["image"]), record.get("mask")
    label, split = record.get("label", ""), split_name(record["split"])
    mask_file = file_of(folder, mask) if mask else None
    return Row(record["id"], split, record["group"], label, image, mask_file, record, folder=folder)


def file_of(folder: Path, name: str) -> Path:
    """A path of the table; one that was written on Windows is read as it was meant there."""
    path = folder / name
    return folder / PureWindowsPath(name).as_posix() if "\\" in name and not path.exists() else path


def _check_once(path: Path, rows: list[Row]) -> None:
    for what, counts in (
        ("id", Counter(row.id for row in rows)),
        ("image", Counter(os.path.normpath(row.image) for row in rows)),
    ):
        doubled = [value for value, count in counts.items() if count > 1]
        if doubled:
            more = f" (and {len(doubled) - 1} more)" if len(doubled) > 1 else ""
            raise InputError(f"{path} has the {what} '{doubled[0]}' {counts[doubled[0]]} times{more}", "each row once")


def check_groups(source: str, rows: Iterable[tuple[str, str]]) -> None:
    """Refuses a patient in two splits, which makes every figure too good, and one that is written in two ways.

    Args:
        source: for the message.
        rows: (group, split) of each.

    Raises:
        InputError: with the first such group.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    spellings: dict[str, set[str]] = defaultdict(set)
    for group, split in rows:
        splits[group].add(split)
        spellings[" ".join(group.split()).casefold()].add(group)
    shared = sorted(group for group, names in splits.items() if len(names) > 1)
    if shared:
        names, more = " and ".join(sorted(splits[shared[0]])), f" (and {len(shared) - 1} more)" if shared[1:] else ""
        raise InputError(f"{source} has the group '{shared[0]}' in {names}{more}", "each group in one split only")
    several = next((sorted(names) for names in spellings.values() if len(names) > 1), None)
    if several is not None:
        raise InputError(f"{source} has groups '{several[0]}' and '{several[1]}'", "one spelling for one group")


def _check_files(path: Path, rows: list[Row]) -> None:
    files = [file for row in rows for file in (row.image, row.mask) if file is not None]
    absent = [file for file in files if not file.is_file()]
    if absent:
        found = f"{path}: {len(absent)} of {len(files)} files are not there, the first is {absent[0]}"
        raise InputError(found, "paths relative to the folder of the table")

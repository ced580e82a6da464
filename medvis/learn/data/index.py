"""A data set folder: index.csv + images/ + masks/, as every split of every task comes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from medvis.errors import InputError
from medvis.learn.data.table import read_table

COLUMNS = ("id", "split", "group", "image")
FOLDER = "a data set folder: index.csv, images/, masks/"


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
        InputError: no index, missing columns, a row twice, a group in two splits, a file that is not there, or no row
            of that split.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"no {name} in {folder}", FOLDER)
    rows = [_row(folder, record) for record in read_table(path, COLUMNS, "id, split, group, image (label, mask)")]
    _check_once(path, rows)
    _check_groups(path, rows)
    chosen = [row for row in rows if split is None or row.split == split]
    if not chosen:
        splits = sorted({row.split for row in rows})
        raise InputError(f"{path} has no row of split '{split}'", f"one of {', '.join(splits)}")
    _check_files(path, chosen)
    return chosen


def _row(folder: Path, record: dict[str, str]) -> Row:
    image, mask = _file(folder, record["image"]), record.get("mask")
    label = record.get("label", "")
    return Row(
        record["id"], record["split"], record["group"], label, image, _file(folder, mask) if mask else None, record
    )


def _file(folder: Path, name: str) -> Path:
    """A path of the table; one that was written on Windows is read as it was meant there."""
    path = folder / name
    return folder / PureWindowsPath(name).as_posix() if "\\" in name and not path.exists() else path


def _check_once(path: Path, rows: list[Row]) -> None:
    for what, counts in (
        ("id", Counter(row.id for row in rows)),
        ("image", Counter(str(row.image) for row in rows)),
    ):
        doubled = [value for value, count in counts.items() if count > 1]
        if doubled:
            more = f" (and {len(doubled) - 1} more)" if len(doubled) > 1 else ""
            raise InputError(f"{path} has the {what} '{doubled[0]}' {counts[doubled[0]]} times{more}", "each row once")


def _check_groups(path: Path, rows: list[Row]) -> None:
    """A patient in train and in test makes every figure too good."""
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.group].add(row.split)
    shared = sorted(group for group, names in splits.items() if len(names) > 1)
    if shared:
        names, more = " and ".join(sorted(splits[shared[0]])), f" (and {len(shared) - 1} more)" if shared[1:] else ""
        raise InputError(f"{path} has the group '{shared[0]}' in {names}{more}", "each group in one split only")


def _check_files(path: Path, rows: list[Row]) -> None:
    files = [file for row in rows for file in (row.image, row.mask) if file is not None]
    absent = [file for file in files if not file.is_file()]
    if absent:
        found = f"{path}: {len(absent)} of {len(files)} files are not there, the first is {absent[0]}"
        raise InputError(found, "paths relative to the folder of the table")

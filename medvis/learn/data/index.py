"""A data set folder: index.csv + images/ + masks/, as every split of every task comes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from medvis.errors import InputError


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

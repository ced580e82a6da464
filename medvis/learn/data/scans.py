"""Folders of labelled scans: one folder a scan, with series.csv beside them that says which split each belongs to.

series.csv has the columns folder, split and complete (1: all lesions of the scan are marked; otherwise a finding beside
the marks may be right), and may have patient (the group for intervals; else the folder) and readers (how many marked
the scan; a pixel is lesion where at least half of them marked it). Without series.csv every folder counts, in any
split, as completely marked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from medvis.errors import InputError

SERIES = "series.csv"
BOXES = "boxes.csv"
MASKS = "masks"
IGNORE = "ignore"


@dataclass(frozen=True)
class LabelledScan:
    """The folder of one scan: NAME.dcm, with masks/NAME.png (and ignore/NAME.png) or boxes.csv.

    Attributes:
        folder: of the slices.
        group: the patient.
        complete: whether all lesions are marked.
        least: from how many readers on a pixel of a mask is lesion; None: as the task has it, the readers are unknown.
    """

    folder: Path
    group: str
    complete: bool = True
    least: int | None = None

    @property
    def boxed(self) -> bool:
        """Whether it is marked with boxes."""
        return (self.folder / BOXES).is_file()

    @property
    def masked(self) -> bool:
        """Whether it is marked with masks, or was read completely without anything to mark."""
        clear = self.complete and self.least is not None and not self.boxed
        return (self.folder / MASKS).is_dir() or clear


def labelled_scans(data: Path, split: str) -> list[LabelledScan]:
    """The scans with masks or boxes at or below `data`, or read completely; the arguments as of `scans_of`."""
    return [scan for scan in scans_of(data, split) if scan.masked or scan.boxed]


def scans_of(data: Path, split: str) -> list[LabelledScan]:
    """The scans at or below `data`, labelled or not.

    Args:
        data: a folder of scans, or one scan's folder; series.csv lies in `data` or, for one scan, beside it.
        split: of series.csv; without meaning where there is none.

    Raises:
        InputError: series.csv cannot be read, or lists nothing of that split.
    """
    known = _known(data, split)
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    scans = [LabelledScan(folder, folder.name) for folder in folders] if known is None else known
    return [scan for scan in scans if any(scan.folder.glob("*.dcm"))]


def _known(data: Path, split: str) -> list[LabelledScan] | None:
    """The scans of a split that series.csv lists; None: no series.csv speaks of this folder."""
    rows = [(row, data) for row in _rows(data / SERIES)]
    if not rows:
        beside = data.resolve().parent
        rows = [(row, beside) for row in _rows(beside / SERIES) if row["folder"] == data.resolve().name]
    if not rows:
        return None
    scans = [_scan(row, root) for row, root in rows if row["split"] == split]
    if not scans:
        splits = sorted({row["split"] for row, _ in rows})
        raise InputError(f"{rows[0][1] / SERIES} has no scan of split '{split}'", f"one of {', '.join(splits)}")
    return scans


def _scan(row: dict[str, str], root: Path) -> LabelledScan:
    readers = row.get("readers") or "0"
    if not readers.isdecimal():
        raise InputError(f"{root / SERIES} has readers '{readers}' for {row['folder']}", "a whole number, or nothing")
    least = (int(readers) + 1) // 2 or None
    return LabelledScan(root / row["folder"], row.get("patient") or row["folder"], row["complete"] == "1", least)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})", "comma-separated values in UTF-8") from error
    if any(row.get(name) is None for row in rows for name in ("folder", "split", "complete")):
        raise InputError(f"{path} lacks a column or a value", "folder, split, complete (readers, patient)")
    return rows

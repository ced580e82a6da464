"""Folders of labelled scans: one folder a scan, with series.csv beside them that says which split each belongs to.

series.csv has the columns folder, split and complete (1: all lesions of the scan are marked; otherwise a finding beside
the marks may be right), and may have patient (the group for intervals; else the folder) and readers (how many marked
the scan; a pixel is lesion where at least half of them marked it). Without series.csv every folder counts, in any
split, as completely marked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from medvis.errors import InputError
from medvis.learn.data.folders import SUFFIXES, visible
from medvis.learn.data.index import check_groups, file_of
from medvis.learn.data.split_names import require_splits, split_name
from medvis.learn.data.table import read_table

SERIES = "series.csv"
BOXES = "boxes.csv"
MASKS = "masks"
IGNORE = "ignore"
COLUMNS = ("folder", "split", "complete")


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
        InputError: series.csv cannot be read, contradicts itself, or lists nothing of that split; a scan that it lists,
            or the slice of a mask, is not there.
    """
    known = _known(data, split)
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    scans = [LabelledScan(folder, folder.name) for folder in folders] if known is None else known
    found = [scan for scan in scans if slices_of(scan.folder)]
    if known is not None and len(found) < len(known):
        absent = next(scan.folder for scan in known if scan not in found)
        raise InputError(f"{SERIES} lists {absent}, where no slice is", "a folder of NAME.dcm for each row")
    for scan in found:
        _require_fitting_masks(scan.folder)
    return found


def slices_of(folder: Path) -> list[Path]:
    """The DICOM files of a folder, by name."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in files if path.suffix.lower() == ".dcm" and visible(path))


def _require_fitting_masks(folder: Path) -> None:
    """Refuses a mask of no slice: a slice whose mask is called otherwise would count as free of lesions."""
    names = {path.stem for path in slices_of(folder)}
    for masks in (folder / MASKS, folder / IGNORE):
        for path in sorted(masks.iterdir()) if masks.is_dir() else ():
            if visible(path) and path.suffix.lower() in SUFFIXES and (path.suffix != ".png" or path.stem not in names):
                raise InputError(f"{path} is the mask of no slice", f"{masks.name}/NAME.png for NAME.dcm")


def _known(data: Path, split: str) -> list[LabelledScan] | None:
    """The scans of a split that series.csv lists; None: no series.csv speaks of this folder."""
    rows = [(row, data) for row in _rows(data / SERIES)]
    if not rows:
        beside = data.resolve().parent
        rows = [(row, beside) for row in _rows(beside / SERIES) if row["folder"] == data.resolve().name]
    if not rows:
        return None
    source = str(rows[0][1] / SERIES)
    require_splits((row["split"] for row, _ in rows), source)
    check_groups(source, ((row.get("patient") or row["folder"], row["split"]) for row, _ in rows))
    doubled = [folder for folder, count in Counter(row["folder"] for row, _ in rows).items() if count > 1]
    if doubled:
        raise InputError(f"{source} has the folder '{doubled[0]}' more than once", "each scan once")
    scans = [_scan(row, root) for row, root in rows if row["split"] == split_name(split)]
    if not scans:
        splits = sorted({row["split"] for row, _ in rows})
        raise InputError(f"{rows[0][1] / SERIES} has no scan of split '{split}'", f"one of {', '.join(splits)}")
    return scans


def _scan(row: dict[str, str], root: Path) -> LabelledScan:
    readers = row.get("readers") or "0"
    if not readers.isdecimal():
        raise InputError(f"{root / SERIES} has readers '{readers}' for {row['folder']}", "a whole number, or nothing")
    least = (int(readers) + 1) // 2 or None
    if row["complete"] not in ("0", "1"):
        raise InputError(f"{root / SERIES} has complete '{row['complete']}' for {row['folder']}", "0 or 1")
    return LabelledScan(
        file_of(root, row["folder"]), row.get("patient") or row["folder"], row["complete"] == "1", least
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    rows = read_table(path, COLUMNS, "columns folder, split, complete (readers, patient)")
    return [{**row, "split": split_name(row["split"])} for row in rows]

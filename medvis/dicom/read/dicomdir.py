"""A DICOMDIR, the index of a medium (PS3.3 F, PS3.10 8): which files it lists, and which of them are there.

`pydicom.fileset` is not used: it takes names as they are written, and so finds no file on a medium whose names were
mounted in lower case or with versions (ISO 9660).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from textwrap import shorten

from pydicom import dcmread
from pydicom.dataset import Dataset

from medvis.core.volumes import Remark
from medvis.dicom.read.values import items, texts
from medvis.errors import InputError

_NAMED = 3


def listed_files(path: Path) -> tuple[list[Path], list[Remark]]:
    """The files that a DICOMDIR refers to, each once, in its order; and a remark on those that are not there.

    Names are looked up without regard to case and to the version that ISO 9660 puts behind them (``IM0001.;1``), since
    that depends on how a medium was mounted. A name that leads out of the DICOMDIR's own folder is not followed.

    Raises:
        InputError: damaged, or no DICOMDIR; or none of its files is there.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = dcmread(path, force=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # pydicom raises whatever the broken bytes happen to lead to
        raise InputError(f"{path} is a corrupt DICOMDIR: {shorten(str(error), 160)}", hint="give its folder") from error
    names = list(dict.fromkeys(_names(ds)))
    if not names:
        raise InputError(f"{path} is a DICOMDIR that lists no file", "an index of files", "give its folder")
    folder = _Folder(path.parent)
    files = {name: folder.find(name) for name in names}
    there = list(dict.fromkeys(file for file in files.values() if file is not None))
    absent = ["/".join(name) for name, file in files.items() if file is None]
    if not there:
        raise InputError(
            f"none of the {len(names)} file(s) that {path} lists is there, e.g. {absent[0]}", "the whole medium"
        )
    what = f"{len(absent)} of {len(names)} file(s) that the DICOMDIR lists are not there"
    return there, [Remark(what, ", ".join(absent[:_NAMED]))] if absent else []


def _names(ds: Dataset) -> Iterator[tuple[str, ...]]:
    """Referenced File ID of every record, as the parts of a path (PS3.10 8.2)."""
    for record in items(ds, "DirectoryRecordSequence"):
        parts = tuple(part for part in texts(record, "ReferencedFileID") if part)
        if parts:
            yield parts


class _Folder:
    """A folder whose files are found whatever the case of their names."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listings: dict[Path, dict[str, Path]] = {}

    def find(self, parts: tuple[str, ...]) -> Path | None:
        path = self._root
        for part in parts:
            if part in (".", "..") or len(PurePosixPath(part.replace("\\", "/")).parts) != 1:
                return None
            below = self._listing(path).get(_plain(part))
            if below is None:
                return None
            path = below
        return path if path.is_file() else None

    def _listing(self, folder: Path) -> dict[str, Path]:
        if folder not in self._listings:
            try:
                self._listings[folder] = {_plain(path.name): path for path in sorted(folder.iterdir())}
            except OSError:
                self._listings[folder] = {}
        return self._listings[folder]


def _plain(name: str) -> str:
    return name.partition(";")[0].rstrip(".").lower()

"""A path to a scan: finds the reader by the first bytes and loads only that one."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from medvis import plugins
from medvis.core.scan import Scan
from medvis.errors import InputError
from medvis.io.magic import files_in, head_of, kind_of, looks_like

_GROUP = "medvis.readers"
_READERS = {
    "dicom": "dicom",
    "nifti": "nifti",
    "png": "raster",
    "jpeg": "raster",
    "tiff": "raster",
    "bmp": "raster",
}
_WANTED = "a DICOM file or series folder, a NIfTI volume, or a PNG, JPEG, TIFF or BMP image"
_ONE_SERIES = "a folder with one DICOM series"


def open_scan(path: str | os.PathLike[str]) -> Scan:
    """Reads whatever is at `path`: a DICOM file, a folder that is one series, a NIfTI volume or an image.

    Raises:
        InputError: absent, empty, unreadable, or of no kind that a reader knows; and what the reader itself raises.
    """
    place = Path(path)
    try:
        name = _of_folder(place) if place.is_dir() else _of_file(place)
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror or error}") from error
    scan: Scan = _reader(name).read(place)
    return scan


def _reader(name: str) -> Any:  # noqa: ANN401 - a Reader, or its class
    found = plugins.load(_GROUP, name)
    return found() if isinstance(found, type) else found


def _of_file(path: Path) -> str:
    """The reader's name for a file."""
    if not path.exists():
        raise InputError(f"{path} does not exist", _WANTED)
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder", _WANTED)
    head = head_of(path)
    if not head:
        raise InputError(f"{path} is empty (0 bytes)", _WANTED)
    name = _READERS.get(kind_of(head) or "") or _other_reader(path)
    if name is None:
        raise InputError(f"{path} is {looks_like(head)}", _WANTED)
    return name


def _of_folder(folder: Path) -> str:
    """The reader's name for a folder."""
    kinds: Counter[str] = Counter()
    for path in files_in(folder):
        kind = kind_of(head_of(path))
        if kind == "dicom":
            return "dicom"
        kinds[kind or "other"] += 1
    name = _other_reader(folder)
    if name is None:
        raise _no_series(folder, kinds)
    return name


def _other_reader(path: Path) -> str | None:
    """The first reader that is not in the table above and claims the path."""
    for name in plugins.names(_GROUP):
        if name not in _READERS.values() and _reader(name).claims(path):
            return name
    return None


def _no_series(folder: Path, kinds: Counter[str]) -> InputError:
    """Why a folder without DICOM cannot be read."""
    images = {kind.upper(): count for kind, count in kinds.items() if kind != "other"}
    if images:
        listed = ", ".join(f"{count} {kind}" for kind, count in images.items())
        return InputError(
            f"{folder} is a folder of images ({listed})", "a folder with one DICOM series", "give the files"
        )
    if kinds:
        return InputError(f"{folder} holds no image ({kinds.total()} other file(s))", "a folder with one DICOM series")
    folders = sum(1 for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if folders:
        return InputError(f"{folder} holds {folders} folder(s), but no file", "the folder of one DICOM series itself")
    return InputError(f"{folder} is an empty folder", _WANTED)

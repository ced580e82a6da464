"""Which reader a file or folder is for, by its first bytes; only that reader is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medvis import plugins
from medvis.core.scan import Scan
from medvis.errors import InputError
from medvis.io.magic import HEAD, head_of, kind_of, looks_like

_GROUP = "medvis.readers"
_READERS = {
    "dicom": "dicom",
    "nifti": "nifti",
    "png": "raster",
    "jpeg": "raster",
    "tiff": "raster",
    "bmp": "raster",
}
WANTED = "a DICOM file, a folder, DICOMDIR or ZIP archive of them, a NIfTI volume, or a PNG, JPEG, TIFF or BMP image"
_MEDIA_DIRECTORY = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
INDEX = "DICOMDIR"


def container_of(path: Path) -> str | None:
    """``folder``, ``zip`` or ``dicomdir`` for what may hold several scans; None for a single file.

    Raises:
        InputError: absent, empty, or neither a file nor a folder. OSError: unreadable.
    """
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise InputError(f"{path} does not exist", WANTED)
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder", WANTED)
    head = head_of(path)
    if not head:
        raise InputError(f"{path} is empty (0 bytes)", WANTED)
    if head.startswith(_ZIP):
        return "zip"
    is_index = _MEDIA_DIRECTORY in head[:HEAD] or (path.name.upper() == INDEX and kind_of(head) == "dicom")
    return "dicomdir" if is_index else None


def read_single(path: Path) -> Scan:
    """The scan in one file. Raises InputError; OSError if it is unreadable."""
    head = head_of(path)
    name = _READERS.get(kind_of(head) or "") or other_reader(path)
    if name is None:
        raise InputError(f"{path} is {looks_like(head)}", WANTED)
    scan: Scan = reader(name).read(path)
    return scan


def reader(name: str) -> Any:  # noqa: ANN401 - a Reader, or its class
    """The reader of that name, ready to use."""
    found = plugins.load(_GROUP, name)
    return found() if isinstance(found, type) else found


def other_reader(path: Path) -> str | None:
    """The first reader that is not in the table above and claims the path."""
    for name in plugins.names(_GROUP):
        if name not in _READERS.values() and reader(name).claims(path):
            return name
    return None


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files in a folder and below it: those of the folder itself first, each level in the order of names.

    Hidden files and folders and DICOMDIRs are left out; links to folders are not followed. Raises OSError.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    yield from (path for path in entries if path.is_file() and path.name.upper() != INDEX)
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path)


def no_scan(folder: Path) -> InputError:
    """Why a folder without DICOM cannot be read."""
    kinds = Counter(kind_of(head_of(path)) or "other" for path in files_below(folder))
    images = {kind.upper(): count for kind, count in kinds.items() if kind != "other"}
    if images:
        listed = ", ".join(f"{count} {kind}" for kind, count in images.items())
        return InputError(f"{folder} is a folder of images ({listed})", "a folder with DICOM files", "give the files")
    if kinds:
        return InputError(f"{folder} holds no image ({kinds.total()} other file(s))", "a folder with DICOM files")
    return InputError(f"{folder} is an empty folder", WANTED)

"""Whatever the user gives, as the volumes that it holds: a file, a folder, a DICOMDIR, a ZIP archive of a study."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from medvis.core.scan import Scan
from medvis.core.volumes import Volume, Volumes, naming
from medvis.errors import InputError
from medvis.io.kinds import container_of, files_below, no_scan, other_reader, read_single, reader
from medvis.io.magic import head_of, kind_of


@contextmanager
def volumes(path: str | os.PathLike[str]) -> Iterator[Volumes]:
    """The volumes of an input, for as long as the block runs.

    A file that is one scan is one volume; an enhanced multi-frame file may hold several. A folder is searched to its
    depth; a DICOMDIR gives the files that it lists; a ZIP archive lies unpacked in a private folder until the block
    ends, so that `Source.path` and `Source.files` of a scan lead to its files inside the block, and inside it only.

    Raises:
        InputError: absent, empty, unreadable, of no kind that is known, without any image, or an archive that is
            refused. Names of the private folder stand in no error that leaves the block: they are those of the archive.
    """
    place = Path(path)
    with ExitStack() as held:
        try:
            found = _opened(place, held)
        except OSError as error:
            raise InputError(f"{place} cannot be read: {error.strerror or error}") from error
        with found.naming():
            yield found


def _opened(path: Path, held: ExitStack) -> Volumes:
    kind = container_of(path)
    if kind is None:
        return _in_file(path)
    if kind == "zip":
        from medvis.io.archive import unpacked  # noqa: PLC0415 - zipfile is for archives only

        folder = held.enter_context(unpacked(path))
        with naming(str(folder), str(path)):
            inside = _in_folder(folder)
        return Volumes(str(path), list(inside), inside.notes, private=str(folder))
    return _in_index(path) if kind == "dicomdir" else _in_folder(path)


def _single(path: Path, read: Callable[[Path], Scan]) -> Volume:
    return Volume(path.name, "one file", (path.name,), None, partial(_readable, read, path))


def _readable(read: Callable[[Path], Scan], path: Path) -> Scan:
    try:
        return read(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _in_file(path: Path) -> Volumes:
    """A file is one scan, but for an enhanced multi-frame one with several stacks, phases or planes."""
    if kind_of(head_of(path)) == "dicom":
        from medvis.dicom.read.study import volumes_inside  # noqa: PLC0415 - a picture needs no pydicom

        inside = volumes_inside(path)
        if inside:
            return Volumes(str(path), inside)
    return Volumes(str(path), [_single(path, read_single)], grouped=False)


def _in_folder(folder: Path) -> Volumes:
    files = list(files_below(folder))
    top = [path for path in files if path.parent == folder]
    if not any(kind_of(head_of(path)) == "dicom" for path in top):
        name = other_reader(folder)
        if name is not None:
            return Volumes(str(folder), [_single(folder, reader(name).read)], grouped=False)
        if not any(kind_of(head_of(path)) == "dicom" for path in files):
            raise no_scan(folder)
    from medvis.dicom.read.study import volumes_in  # noqa: PLC0415 - a picture needs no pydicom

    return volumes_in(folder, files)


def _in_index(path: Path) -> Volumes:
    from medvis.dicom.read.dicomdir import listed_files  # noqa: PLC0415 - a picture needs no pydicom
    from medvis.dicom.read.study import volumes_in  # noqa: PLC0415 - as above

    files, known = listed_files(path)
    found = volumes_in(path.parent, files, known)
    return Volumes(str(path), list(found), found.notes)

"""A path to the one scan that it holds."""

from __future__ import annotations

import os
from dataclasses import replace

from medvis.core.scan import Scan
from medvis.io.inputs import volumes


def open_scan(path: str | os.PathLike[str], series: str | None = None) -> Scan:
    """Reads whatever is at `path`: a DICOM file, NIfTI volume or picture, or a folder, DICOMDIR or ZIP archive.

    The files of an archive are gone when this returns; `medvis.io.inputs.volumes` keeps them for a while.

    Args:
        path: what holds exactly one volume; `medvis.io.inputs.volumes` gives several.
        series: UID, number or label of the series to read, where there are several.

    Raises:
        InputError: absent, empty, unreadable, or of no kind that a reader knows; several volumes, or none that can be
            looked at; and what the reader itself raises.
    """
    with volumes(path) as inside:
        scan = inside.pick(series).single().read()
        if inside.private is None:
            return scan
        return replace(scan, source=replace(scan.source, path=inside.path))

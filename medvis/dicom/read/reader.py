"""The DICOM reader: a file, a multi-frame file, or a folder that holds one volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medvis.core.scan import Scan
from medvis.core.volumes import Volumes
from medvis.dicom.read.file import read_file
from medvis.dicom.read.load import pydicom_notes
from medvis.dicom.read.study import volumes_in, volumes_inside
from medvis.io.kinds import files_below
from medvis.io.magic import head_of, kind_of


class DicomReader:
    """Reads DICOM (PS3.10), with or without preamble and file meta information."""

    name = "dicom"

    def claims(self, path: Path) -> bool:
        """Whether a file is DICOM by its first bytes, or a folder has such a file in it or below it."""
        try:
            if path.is_dir():
                return any(kind_of(head_of(file)) == "dicom" for file in files_below(path))
            return kind_of(head_of(path)) == "dicom"
        except OSError:
            return False

    def read(self, path: Path) -> Scan:
        """The scan, in modality units.

        pixels: float32 [frames, rows, cols, channels]; one channel, or RGB for colour and palettes. Frames are sorted
        along the slice normal. `valid` is False on padding. `source` says which frames of the file they
        are (`frame_numbers`), and which windows and VOI LUTs it has for their display.

        Raises:
            InputError: not an image, corrupt, truncated, of an unsupported transfer syntax, or a folder or enhanced
                file that does not hold exactly one volume.
        """
        if path.is_dir():
            return volumes_in(path, files_below(path)).one().read()
        inside = volumes_inside(path)
        if inside:
            return Volumes(str(path), inside).one().read()
        with pydicom_notes() as warned:
            scan = read_file(path)
        return replace(scan, notes=(*scan.notes, *warned)) if warned else scan

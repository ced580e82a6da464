"""The DICOM reader: a file, a multi-frame file, a DICOMDIR, or the files of a folder. pydicom comes with use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medvis.core.protocols import Listing, Magic, Reader
from medvis.core.scan import Scan
from medvis.core.volumes import Remark, Volume, Volumes
from medvis.dicom.read.magic import is_dicom

_MEDIA_DIRECTORY = b"\x02\x00\x02\x00UI\x14\x001.2.840.10008.1.3.10"  # Media Storage SOP Class UID, PS3.10 7.1
_INDEX = "DICOMDIR"


class DicomReader(Reader):
    """Reads DICOM (PS3.10), with or without preamble and file meta information."""

    name = "dicom"
    title = "DICOM"
    wanted = "a DICOM file, a folder, DICOMDIR or ZIP archive of them"
    magic = (Magic(b"DICM", "dicom", 128),)
    patterns = ("*.dcm", "*.dicom", "*.ima")
    indexes = (_INDEX,)
    rank = 1  # a DICOM preamble may hold another format's magic (PS3.10 7.1)

    def format_of(self, head: bytes, path: Path) -> str | None:
        """``dicom``, also for a file without preamble."""
        del path
        return "dicom" if is_dicom(head) else None

    def listed(self, path: Path, head: bytes) -> Listing | None:
        """The files of a DICOMDIR, known by its SOP class or, where that is absent, its name."""
        if not (_MEDIA_DIRECTORY in head or (path.name.upper() == _INDEX and is_dicom(head))):
            return None
        from medvis.dicom.read.dicomdir import listed_files  # noqa: PLC0415 - pydicom

        return Listing(*listed_files(path))

    def inside(self, path: Path) -> Sequence[Volume]:
        """The volumes of an enhanced multi-frame file with several stacks, phases or planes."""
        from medvis.dicom.read.study import volumes_inside  # noqa: PLC0415 - pydicom

        return volumes_inside(path)

    def volumes(self, folder: Path, files: Sequence[Path], remarks: Sequence[Remark]) -> Volumes:
        """The files grouped into stacks of slices, single images, and what can be neither."""
        from medvis.dicom.read.study import volumes_in  # noqa: PLC0415 - pydicom

        return volumes_in(folder, files, remarks)

    def read(self, path: Path) -> Scan:
        """The scan, in modality units.

        pixels: float32 [frames, rows, cols, channels]; one channel, or RGB for colour and palettes. Frames are sorted
        along the slice normal. `valid` is False on padding. `source` says which frames of the file they
        are (`frame_numbers`), and which windows and VOI LUTs it has for their display.

        Raises:
            InputError: not an image, corrupt, truncated, of an unsupported transfer syntax, or an enhanced file that
                does not hold exactly one volume.
        """
        from medvis.dicom.read.file import read_file  # noqa: PLC0415 - pydicom
        from medvis.dicom.read.load import pydicom_notes  # noqa: PLC0415 - pydicom

        inside = self.inside(path)
        if inside:
            return Volumes(str(path), inside).single().read()
        with pydicom_notes() as warned:
            scan = read_file(path)
        return replace(scan, notes=(*scan.notes, *warned)) if warned else scan

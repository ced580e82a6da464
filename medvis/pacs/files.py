"""DICOM files as they travel: their headers, and the UIDs that they are known by."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.dicom.uids import InstanceUids

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREAMBLE = bytes(128) + b"DICM"
_HEAD_BYTES = 4 << 20
_AFTER_SERIES = 0x0020000E
# 2.25 and a number of our own (PS3.5 B.2); fixed, so that a file does not depend on who wrote it, and when.
IMPLEMENTATION = "2.25.118443908808224087681963898370703405315"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID (PS3.5 9.1); leading zeros, which occur, are let pass."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def file_header(identity: InstanceUids) -> bytes:
    """Preamble and file meta information (PS3.10 7.1), the same for the same instance whoever sent it."""
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415 - 0.2 s, not for --help
    from pydicom.filebase import DicomBytesIO  # noqa: PLC0415 - as above
    from pydicom.filewriter import write_file_meta_info  # noqa: PLC0415 - as above
    from pydicom.uid import UID  # noqa: PLC0415 - as above

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(identity.sop_class)
    meta.MediaStorageSOPInstanceUID = UID(identity.instance)
    meta.TransferSyntaxUID = UID(identity.syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "MEDVIS"
    header = DicomBytesIO()
    write_file_meta_info(header, meta, enforce_standard=True)
    return PREAMBLE + header.getvalue()


def identity_of_data(head: bytes | memoryview, syntax: str) -> InstanceUids:
    """The identity of an encoded data set, from its first elements.

    Args:
        head: at least its first 4 MiB, or all of it.
        syntax: the transfer syntax.

    Raises:
        ValueError: it cannot be parsed that far, or a UID is missing.
    """
    from pydicom.filereader import read_dataset  # noqa: PLC0415 - 0.2 s, not for --help
    from pydicom.uid import UID  # noqa: PLC0415 - as above

    kind = UID(syntax)
    try:
        first = bytes(head[:_HEAD_BYTES])
        if syntax == _DEFLATED:
            first = zlib.decompressobj(-zlib.MAX_WBITS).decompress(first, _HEAD_BYTES)
        dataset = read_dataset(
            BytesIO(first), kind.is_implicit_VR, kind.is_little_endian, stop_when=lambda tag, *_: tag > _AFTER_SERIES
        )
        return _identity(dataset, syntax)
    except Exception as error:  # a hostile data set leads pydicom to any error at all
        raise ValueError(f"no DICOM data set: {type(error).__name__}") from error


def identity_of_file(path: Path) -> InstanceUids:
    """The identity of a DICOM file with file meta information.

    Raises:
        ValueError: it is none, or lacks a UID.
        OSError: it cannot be read.
    """
    from pydicom import dcmread  # noqa: PLC0415 - 0.2 s, not for --help

    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        return _identity(dataset, str(dataset.file_meta.TransferSyntaxUID))
    except OSError:
        raise
    except Exception as error:  # as above
        raise ValueError("no DICOM file with its file meta information") from error


_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def _identity(dataset: Dataset, syntax: str) -> InstanceUids:
    uids = [str(dataset[keyword].value or "").strip() for keyword in _KEYWORDS]
    if not all(is_uid(uid) for uid in uids):
        raise ValueError("a UID is missing or is none")
    study, series, instance, sop_class = uids
    return InstanceUids(study, series, instance, sop_class, syntax)

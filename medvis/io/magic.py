"""What a file is, judged by its first bytes and never by its name. Standard library only, so that it costs nothing."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

HEAD = 1024
Order = Literal["little", "big"]
_NIFTI_HEADER = 352

_RASTERS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"NRRD", "an NRRD volume"),
    (b"GIF8", "a GIF image"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 image"),
    (b"<", "XML or HTML text"),
    (b"{", "JSON text"),
)
_LONG_VR = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VR = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


def head_of(path: Path) -> bytes:
    """The first bytes of a file. Raises OSError."""
    with path.open("rb") as stream:
        return stream.read(HEAD)


def kind_of(head: bytes) -> str | None:
    """``dicom``, ``png``, ``jpeg``, ``tiff``, ``bmp``, ``nifti`` or None, from the first bytes of a file."""
    if head[128:132] == b"DICM":  # first, since a DICOM preamble may hold another format's magic (PS3.10 7.1)
        return "dicom"
    for magic, kind in _RASTERS:
        if head.startswith(magic):
            return kind
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    if _is_nifti(head):
        return "nifti"
    return "dicom" if _is_bare_dicom(head) else None


def looks_like(head: bytes) -> str:
    """What a file that no reader knows seems to be, for an error message."""
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return words
    if not head.strip(b"\x00"):
        return "only zero bytes"
    return "text" if _is_text(head) else "of an unknown format"


def files_in(folder: Path) -> Iterator[Path]:
    """The regular files at the top level of a folder in the order of their names, without hidden ones and DICOMDIR."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name != "DICOMDIR":
            yield path


def _is_text(head: bytes) -> bool:
    """UTF-8 (the last character may be cut) without control characters."""
    try:
        words = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in words)


def _is_nifti(head: bytes) -> bool:
    """NIfTI-1 has its magic at byte 344, NIfTI-2 at byte 4; either may be packed with gzip."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _NIFTI_HEADER)
        except zlib.error:
            return False
    return head[344:348] in (b"n+1\x00", b"ni1\x00") or head[4:8] in (b"n+2\x00", b"ni2\x00")


def _is_bare_dicom(head: bytes) -> bool:
    """Whether a file without preamble starts with a plausible element of group 0002 or 0008 and a second one after it.

    Group 0002 is always little endian; in group 0008 the order of the bytes tells the endianness.
    """
    return _starts_with_elements(head, "little", (0x0002, 0x0008)) or _starts_with_elements(head, "big", (0x0008,))


def _starts_with_elements(head: bytes, order: Order, groups: tuple[int, ...]) -> bool:
    first = _tag(head, 0, order)
    if first is None or first[0] not in groups:
        return False
    second = _tag(head, _end_of_first_element(head, order), order)
    return second is not None and first < second and second[0] <= 0x0018


def _end_of_first_element(head: bytes, order: Order) -> int:
    """Where the second element would start; the first has an explicit or an implicit VR (PS3.5 7.1)."""
    if head[4:6] in _LONG_VR:
        at, size = 8, 4
    elif head[4:6] in _SHORT_VR:
        at, size = 6, 2
    else:
        at, size = 4, 4
    return at + size + int.from_bytes(head[at : at + size], order)


def _tag(head: bytes, at: int, order: Order) -> tuple[int, int] | None:
    if at + 4 > len(head):
        return None
    return int.from_bytes(head[at : at + 2], order), int.from_bytes(head[at + 2 : at + 4], order)

"""The first bytes of a file, by which readers tell what it is, and what they say of a file that no reader knows."""

from __future__ import annotations

import codecs
from pathlib import Path

HEAD = 1024
ZIP = (b"PK\x03\x04", b"PK\x05\x06")

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"NRRD", "an NRRD volume"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF file (a WebP image, or a film)"),
    (b"\xff\x0a", "a JPEG XL codestream"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 image"),
    (b"<", "XML or HTML text"),
    (b"{", "JSON text"),
)


def head_of(path: Path) -> bytes:
    """The first bytes of a file. Raises OSError."""
    with path.open("rb") as stream:
        return stream.read(HEAD)


def looks_like(head: bytes) -> str:
    """What a file that no reader knows seems to be, for an error message."""
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return words
    if not head.strip(b"\x00"):
        return "only zero bytes"
    return "text" if _is_text(head) else "of an unknown format"


def _is_text(head: bytes) -> bool:
    """UTF-8 (the last character may be cut) without control characters."""
    try:
        words = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() for char in words)

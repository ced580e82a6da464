"""multipart/related as DICOMweb uses it (PS3.18 8.6.1.2, RFC 2387): DICOM files in and out, without holding them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 16
_MOST_HEADERS = 1 << 14
_BOUNDARY = re.compile(r'boundary="?([^";\s]+)"?', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart content type; None for any other type."""
    match = _BOUNDARY.search(content_type)
    return match[1].encode() if match and content_type.lower().startswith("multipart/") else None


def copy_first_part(chunks: Iterator[bytes], boundary: bytes, sink: Callable[[bytes], object]) -> None:
    """Hands the body of the first part on, piece by piece.

    Args:
        chunks: the bytes of a multipart message.
        boundary: its boundary.
        sink: takes the pieces.

    Raises:
        ValueError: the message is none, or ends before the part does.
    """
    opening, closing = b"--" + boundary, b"\r\n--" + boundary
    buffer = b""
    started = False
    for chunk in chunks:
        buffer += chunk
        if not started:
            start = _body_start(buffer, opening)
            if start is None:
                continue
            buffer, started = buffer[start:], True
        end = buffer.find(closing)
        if end >= 0:
            sink(buffer[:end])
            return
        keep = len(closing) - 1
        sink(buffer[:-keep])
        buffer = buffer[-keep:]
    raise ValueError("the answer ends within a file" if started else "the answer holds no file")


def _body_start(buffer: bytes, opening: bytes) -> int | None:
    """Where the first part's body starts; None: not there yet."""
    at = buffer.find(opening)
    blank = buffer.find(b"\r\n\r\n", at) if at >= 0 else -1
    if blank < 0:
        if len(buffer) > _MOST_HEADERS:
            raise ValueError("the answer is no multipart message")
        return None
    return blank + 4


class Upload:
    """One DICOM file as a multipart/related message (PS3.18 10.5), read from the disk as it is sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        boundary = secrets.token_hex(16)
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(self._head) + path.stat().st_size + len(self._tail)),
            "Accept": "application/dicom+json",
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as stream:
            yield from _pieces(stream)
        yield self._tail


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_CHUNK):
        yield piece

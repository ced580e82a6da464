"""A DICOM file that is parsed once and hashed once, and carried from grouping to pixels to the writers of results.

The header stays in memory; the pixel data are read when they are asked for, from where the header ends. A file that
somebody has changed in between is an InputError: headers and pixels of two different files are never mixed.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property, lru_cache
from io import BufferedReader
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medvis.dicom.content_digest import header_digest
from medvis.dicom.read.load import PIXEL_KEYWORDS, Loaded, Stamp, changed, load, parsing
from medvis.dicom.read.values import uid

_PIXEL_TAGS = frozenset(Tag(keyword) for keyword in PIXEL_KEYWORDS)


class ParsedFile:
    """The header of a DICOM file, and the way to its pixel data.

    Attributes:
        path: of the file.
        sha256: of its bytes.
        notes: what had to be assumed to parse it.
    """

    def __init__(self, path: Path, loaded: Loaded) -> None:
        self.path, self.sha256, self.notes = path, loaded.sha256, loaded.notes
        self._stamp, self._position = loaded.stamp, loaded.position
        self._header: Dataset | None = loaded.ds

    @cached_property
    def content(self) -> str:
        """SHA-256 of what the header says, however it is encoded (`header_digest`).

        To be asked for first, before anybody looks into a sequence: pydicom converts values in place on access.
        """
        return header_digest(self._parsed())

    def header(self) -> Dataset:
        """The data set without pixel data. The caller may set elements of it, but not inside its sequences."""
        return _copied(self._parsed())

    def with_pixels(self) -> Dataset:
        """The data set with its pixel data and what may follow them, read from the file.

        A deflated data set (PS3.5 A.5) cannot be entered in the middle, so that such a file is parsed once more.

        Raises:
            InputError: unreadable, truncated, or changed since it was parsed.
        """
        header = self._parsed()
        if uid(header.file_meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return self._again(pixels=True)
        ds = _copied(header)
        with parsing(self.path), self.path.open("rb") as stream:
            stamp = Stamp.of(os.fstat(stream.fileno()))
            self._require_unchanged(stream, stamp)
            stream.seek(self._position)
            _read_rest(ds, stream)
            if Stamp.of(os.fstat(stream.fileno())) != stamp:
                raise changed(self.path)
        return ds

    def require_unchanged(self) -> None:
        """Raises InputError if the file is gone, or has other bytes than when it was parsed."""
        with parsing(self.path), self.path.open("rb") as stream:
            self._require_unchanged(stream, Stamp.of(os.fstat(stream.fileno())))

    def release(self) -> None:
        """Forgets the header, for the sake of memory; whoever asks for it next has the file parsed again."""
        self._header = None

    def _parsed(self) -> Dataset:
        return self._again(pixels=False) if self._header is None else self._header

    def _again(self, pixels: bool) -> Dataset:
        loaded = load(self.path, pixels)
        if loaded.sha256 != self.sha256:
            raise changed(self.path)
        return loaded.ds

    def _require_unchanged(self, stream: BufferedReader, stamp: Stamp) -> None:
        """A file that was touched or copied but has the same bytes is the same."""
        if stamp != self._stamp:
            if hashlib.file_digest(stream, "sha256").hexdigest() != self.sha256:
                raise changed(self.path)
            self._stamp = stamp


def parse(path: Path) -> ParsedFile:
    """Hashes a file and parses its header. Raises InputError, as `load` does."""
    return ParsedFile(path, load(path, pixels=False))


def parse_single(path: Path) -> ParsedFile:
    """As `parse`; the last file is remembered for as long as it stays as it is, since it is asked for twice: what is
    inside it, and then its pixels.
    """
    with parsing(path):
        stamp = Stamp.of(path.stat())
    return _parsed(path, stamp)


@lru_cache(maxsize=1)
def _parsed(path: Path, stamp: Stamp) -> ParsedFile:
    del stamp
    return parse(path)


def _copied(header: Dataset) -> Dataset:
    """The same elements in a data set of its own, where they can be replaced."""
    ds = Dataset(dict(header.items()))
    implicit, little = header.original_encoding
    ds.set_original_encoding(implicit, little, header.original_character_set)
    ds.file_meta = header.file_meta
    return ds


def _read_rest(ds: Dataset, stream: BufferedReader) -> None:
    """Adds the elements from here on, in the encoding of those before, if the first of them is pixel data.

    That encoding is the one that pydicom has found, which need not be that of the file's transfer syntax.
    """
    raw = next((element for element in ds.values() if isinstance(element, RawDataElement)), None)
    if raw is None:
        return
    elements = data_element_generator(
        stream, raw.is_implicit_VR, raw.is_little_endian, encoding=ds.original_character_set
    )
    first = next(elements, None)
    if first is None or first.tag not in _PIXEL_TAGS:
        return
    ds[first.tag] = first
    for element in elements:
        ds[element.tag] = element

"""A DICOM file as a data set, hashed and parsed in one go, or an InputError that says what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import BinaryIO, NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from medvis.dicom.read.unknown_vr import read_unknown, with_lengths
from medvis.dicom.read.values import text, uid, whole
from medvis.errors import InputError
from medvis.io import magic

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DICOMDIR = "1.2.840.10008.1.3.10"
_NOTED = (
    (r"excess padding", "the file holds more pixel bytes than its header asks for; the rest was ignored"),
    (r"component IDs|JFIF APP", "the photometric interpretation contradicts the JPEG stream, which was believed"),
    (r"decoding plugin has changed", "frames were decoded by different decoders"),
)
INFLATED, CHUNK = 1 << 30, 1 << 20
_AFTER_META = 144  # preamble, magic, and the group length that counts from here (PS3.10 7.1)
_CUT_OFF = re.compile(r"End of file reached|unexpected end", re.IGNORECASE)


class Stamp(NamedTuple):
    """What the file system says of a file; as long as it is the same, the file is taken to have the same bytes."""

    size: int
    modified: int
    changed: int
    number: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file, from its status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(frozen=True)
class Loaded:
    """A data set and what was found about it while reading.

    Attributes:
        ds: the data set; `ds.file_meta` holds a transfer syntax.
        sha256: of the file's bytes.
        stamp: of the file, before and after it was read.
        position: of the first byte that was not parsed: where the pixel data starts, if they were left out.
        notes: what had to be assumed.
    """

    ds: Dataset
    sha256: str
    stamp: Stamp
    position: int
    notes: tuple[str, ...] = ()


@contextmanager
def pydicom_notes() -> Iterator[list[str]]:
    """Keeps pydicom's warnings from the user; those that bear on the image are sentences in the list afterwards."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    messages = [str(warning.message) for warning in caught]
    notes.extend(note for pattern, note in _NOTED if any(re.search(pattern, message) for message in messages))


def load(path: Path, pixels: bool = True) -> Loaded:
    """Hashes and parses a file.

    Args:
        path: a DICOM file; preamble and file meta information may be missing.
        pixels: whether to read the pixel data as well.

    Raises:
        InputError: unreadable, corrupt, truncated, a DICOMDIR, or changed by somebody in the meantime.
    """
    with parsing(path), path.open("rb") as stream:
        stamp = Stamp.of(os.fstat(stream.fileno()))
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        _refuse_bomb(stream, path)
        ds, position = _parsed(stream, pixels)
        if Stamp.of(os.fstat(stream.fileno())) != stamp:
            raise changed(path)
    if uid(ds.file_meta, "MediaStorageSOPClassUID") == _DICOMDIR:
        raise InputError(f"{path} is a DICOMDIR, an index of other files", "an image file or a series' folder")
    notes = tuple(_with_syntax(ds, path))
    return Loaded(ds, digest, stamp, position, notes)


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """A block that reads a file with pydicom: whatever that raises, or warns of where a file ends too early, becomes
    an InputError.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except InputError:
            raise
        except EOFError as error:
            raise _truncated(path) from error
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # pydicom raises whatever the broken bytes happen to lead to
            reason = shorten(str(error), 160)
            raise InputError(f"{path} is a corrupt DICOM file: {reason}", hint="copy or export it again") from error
    if any(_CUT_OFF.search(str(warning.message)) for warning in caught):
        raise _truncated(path)


def changed(path: Path) -> InputError:
    """The error of a file that is not what it was when it was parsed."""
    return InputError(f"{path} has changed since it was read", "the same file", "run medvis again")


def _truncated(path: Path) -> InputError:
    return InputError(f"{path} is truncated: the file ends within an element", hint="copy or export it again")


def is_image(ds: Dataset) -> bool:
    """Whether the data set describes an image (with or without its pixel data read)."""
    return bool(whole(ds, "Rows") and whole(ds, "Columns"))


def require_image(ds: Dataset, path: Path) -> None:
    """Raises InputError if the data set has no pixels, saying what it is."""
    if is_image(ds) and any(keyword in ds for keyword in PIXEL_KEYWORDS):
        return
    name = object_name(ds)
    if is_image(ds) or "Image" in name:
        raise InputError(
            f"{path} has no pixel data: {name}", "a DICOM image", "it is a header only, or was cut off; export it again"
        )
    raise InputError(f"{path} holds no image: {name}", "a DICOM image")


def object_name(ds: Dataset) -> str:
    """What kind of DICOM object this is, e.g. ``CT Image Storage``."""
    sop_class = uid(ds, "SOPClassUID") or uid(ds.file_meta, "MediaStorageSOPClassUID")
    if sop_class is None:
        return f"an object of modality {text(ds, 'Modality', longest=16) or 'unknown'}"
    name = UID(sop_class).name
    return f"SOP class {name}" if name == sop_class else name


def _parsed(stream: BinaryIO, pixels: bool) -> tuple[Dataset, int]:
    """The data set, and where its parsing ended."""
    head = stream.read(magic.HEAD)
    stream.seek(0)
    mended = with_lengths(stream.read()) if ExplicitVRBigEndian.encode() in head else None
    stream.seek(0)
    source = stream if mended is None else BytesIO(mended)
    ds = dcmread(source, stop_before_pixels=not pixels, force=True)
    if mended is not None:
        read_unknown(ds)
    return ds, source.tell()


def _refuse_bomb(stream: BinaryIO, path: Path) -> None:
    """A deflated data set (PS3.5 A.5) is measured before it is inflated at once; leaves the stream at its start."""
    head = stream.read(magic.HEAD)
    if DeflatedExplicitVRLittleEndian.encode() in head:
        stream.seek(_AFTER_META + int.from_bytes(head[_AFTER_META - 4 : _AFTER_META], "little"))
        inflater, size = zlib.decompressobj(wbits=-zlib.MAX_WBITS), 0
        while size <= INFLATED and (chunk := inflater.unconsumed_tail or stream.read(CHUNK)):
            try:
                size += len(inflater.decompress(chunk, CHUNK))
            except zlib.error:  # said when the data set is parsed
                break
        if size > INFLATED:
            raise InputError(f"{path} inflates to more than {INFLATED >> 20} MiB", "a smaller file")
    stream.seek(0)


def _with_syntax(ds: Dataset, path: Path) -> Iterator[str]:
    """Fills in a transfer syntax where the file names none, and says so."""
    if uid(ds.file_meta, "TransferSyntaxUID") is not None:
        return
    with path.open("rb") as stream:
        bare = stream.read(magic.HEAD)[128:132] != b"DICM"
    implicit, little = ds.original_encoding
    ds.file_meta.TransferSyntaxUID = _native_syntax(implicit, little)
    what = "the file has no preamble and no file meta information" if bare else "the file names no transfer syntax"
    yield f"{what}; read as {UID(ds.file_meta.TransferSyntaxUID).name}"


def _native_syntax(implicit: bool | None, little: bool | None) -> UID:
    if implicit is not False:
        return ImplicitVRLittleEndian
    return UID("1.2.840.10008.1.2.1" if little is not False else "1.2.840.10008.1.2.2")

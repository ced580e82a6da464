"""The directories of a TIFF file: whether all are there, which are full pages, and which of those belong together."""

from __future__ import annotations

import io
import logging
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medvis.errors import InputError

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_METAMORPH = 33629  # UIC2: the planes of a MetaMorph stack
_HINT = "copy or export it again"


@dataclass(frozen=True)
class Stack:
    """Full pages that are one scan: of each frame the pages of its channels, by number from 1."""

    frames: tuple[tuple[int, ...], ...]

    @property
    def label(self) -> str:
        """By its first page."""
        return f"page-{self.frames[0][0]}"


@dataclass(frozen=True)
class Directories:
    """A TIFF file's pages.

    Attributes:
        pages: tifffile's, by number from 1.
        stacks: in the order of the file; at least one.
        notes: on what was left out.
        order: ``<`` or ``>``.
    """

    pages: dict[int, Any]
    stacks: tuple[Stack, ...]
    notes: tuple[str, ...]
    order: str


def directories_of(data: bytes, path: str) -> Directories:
    """The pages of a TIFF file.

    A page is a scan of its own; where the file itself says that pages are slices of a stack or channels of a picture
    (OME-TIFF, ImageJ), these are one scan. Reduced pictures and transparency masks (NewSubfileType) are left out.

    Raises:
        InputError: the chain of directories is broken, or not of the length that the file says; no full page.
    """
    count = _chain(data, path)
    from tifffile import TiffFile, TiffFileError  # noqa: PLC0415 - 0.1 s, only for TIFF

    try:
        with _complaints() as said, TiffFile(io.BytesIO(data)) as file:
            pages = dict(enumerate([page.aspage() for page in file.pages], 1))
            order = file.byteorder
    except (
        TiffFileError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        struct.error,
        OSError,
        ArithmeticError,
    ) as error:
        raise InputError(f"{path} is a TIFF image that is truncated or corrupt: {_line(error)}", hint=_HINT) from error
    if said:
        raise InputError(f"{path} is a TIFF image that is truncated or corrupt: {said[0]}", hint=_HINT)
    if len(pages) != count:
        raise InputError(
            f"{path} is a TIFF image that is truncated or corrupt: {len(pages)} of {count} pages can be read",
            hint=_HINT,
        )
    full, notes = _full_pages(pages, path)
    return Directories(pages, tuple(_stacks(full, pages[1], path)), tuple(notes), order)


def _chain(data: bytes, path: str) -> int:
    """The number of directories in the chain that begins in the header (TIFF 6.0 section 2; BigTIFF)."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    number, size, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    seen: set[int] = set()
    try:
        offset = struct.unpack_from(f"{order}{pointer}", data, 8 if big else 4)[0]
        while offset:
            if offset in seen:
                raise InputError(
                    f"{path} is a TIFF image that is truncated or corrupt: its directories go in a circle", hint=_HINT
                )
            seen.add(offset)
            entries = struct.unpack_from(f"{order}{number}", data, offset)[0]
            after = offset + struct.calcsize(number) + entries * size
            offset = struct.unpack_from(f"{order}{pointer}", data, after)[0]
    except (struct.error, OverflowError) as error:
        found = (
            f"{path} is a TIFF image that is truncated or corrupt: directory {max(len(seen), 1)} lies beyond its end"
        )
        raise InputError(found, hint=_HINT) from error
    return len(seen)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile logs as an error while the block runs: it goes on where a tag or a directory is broken."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                said.append(_line(record.getMessage()))

    logger, listener = logging.getLogger("tifffile"), Listener()
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _line(words: object) -> str:
    return re.sub(r"<[^>]*>\s*|\s+", " ", str(words)).strip()[:120]


def _full_pages(pages: dict[int, Any], path: str) -> tuple[list[int], list[str]]:
    full, reduced, masks = [], 0, 0
    for number, page in pages.items():
        kind = _number(page, 254)
        reduced += bool(kind & _REDUCED) or _number(page, 255) == 2
        masks += bool(kind & _MASK)
        if not kind & (_REDUCED | _MASK) and _number(page, 255) != 2:
            full.append(number)
    inside = sum(_subdirectories(page) for page in pages.values())
    if not full:
        found = f"{path} is a TIFF image without a full page: {reduced} reduced picture(s), {masks} mask(s)"
        raise InputError(found, "a page that is no thumbnail", "export the picture itself")
    counts = ((reduced, "reduced picture(s)"), (masks, "transparency mask(s)"), (inside, "SubIFD picture(s)"))
    return full, [f"{count} {words} of the TIFF file were left out" for count, words in counts if count]


def _subdirectories(page: Any) -> int:  # noqa: ANN401 - tifffile.TiffPage
    value = page.tags[330].value if 330 in page.tags else ()
    return 1 if isinstance(value, int) else len(value)


def _number(page: Any, code: int) -> int:  # noqa: ANN401 - tifffile.TiffPage
    value = page.tags[code].value if code in page.tags else 0
    return int(value) if isinstance(value, int) else 0


def _stacks(full: Sequence[int], first: Any, path: str) -> Iterator[Stack]:  # noqa: ANN401 - tifffile.TiffPage
    """The full pages in stacks, as the description of the first page has it."""
    text = str(first.tags[270].value) if 270 in first.tags else ""
    if '"truncated": true' in text or _METAMORPH in first.tags:
        found = f"{path} is a TIFF image that keeps several pictures behind one directory"
        raise InputError(found, "a directory for each picture", "save it anew, each picture as a page of its own")
    at = 0
    for size in _described(text, len(full), path):
        pages = full[at : at + size.pages]
        at += size.pages
        yield from size.stacks(pages)


@dataclass(frozen=True)
class _Size:
    """Numbers of channels, slices and times of one picture; the axes by name, the fastest first."""

    sizes: dict[str, int]
    axes: str = "CZT"

    @property
    def pages(self) -> int:
        return self.sizes["C"] * self.sizes["Z"] * self.sizes["T"]

    def stacks(self, pages: Sequence[int]) -> Iterator[Stack]:
        """Of each time: its slices, of each the channels."""
        strides: dict[str, int] = {}
        step = 1
        for axis in self.axes:
            strides[axis], step = step, step * self.sizes[axis]
        channels = [number * strides["C"] for number in range(self.sizes["C"])]
        for time in range(self.sizes["T"]):
            starts = [time * strides["T"] + number * strides["Z"] for number in range(self.sizes["Z"])]
            yield Stack(tuple(tuple(pages[start + channel] for channel in channels) for start in starts))


def _described(text: str, count: int, path: str) -> list[_Size]:
    """The sizes of the pictures that a description tells of; where it tells of none, each page is one.

    Raises:
        InputError: it tells of more or fewer pages than there are.
    """
    sizes = _ome(text) if "<OME" in text or "<ome:OME" in text else _imagej(text) if text.startswith("ImageJ=") else []
    if not sizes:
        return [_Size({"C": 1, "Z": 1, "T": 1})] * count
    told = sum(size.pages for size in sizes)
    if told != count:
        kind = "OME-TIFF" if "OME" in text[:4096] else "ImageJ TIFF"
        found = f"{path} is an {kind} that tells of {told} page(s) and has {count}"
        raise InputError(found, "a file with all its pages", "export it again, as one file")
    return sizes


def _ome(text: str) -> list[_Size]:
    """From the attributes of each Pixels element and the samples a page has by its channels (OME schema 2016-06)."""
    sizes = []
    for block in re.findall(r"<(?:\w+:)?Pixels\b.*?(?:</(?:\w+:)?Pixels>|/>|\Z)", text, re.DOTALL):
        head = block.partition(">")[0]
        values = {axis: int(_attribute(head, f"Size{axis}", "1")) for axis in "CZT"}
        samples = [int(number) for number in re.findall(r"<(?:\w+:)?Channel\b[^>]*\bSamplesPerPixel=\"(\d+)\"", block)]
        if samples and sum(samples) == values["C"]:
            values["C"] = len(samples)
        order = _attribute(head, "DimensionOrder", "XYCZT")[2:]
        sizes.append(_Size(values, order if sorted(order) == ["C", "T", "Z"] else "CZT"))
    return sizes


def _attribute(head: str, name: str, default: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', head)
    value = found[1] if found else default
    return value if not name.startswith("Size") or value.isdecimal() else default


def _imagej(text: str) -> list[_Size]:
    """From the lines of the description; the pages are in the order of channels, slices, frames."""
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = ("images", "channels", "slices", "frames")
    images, channels, slices, times = (int(lines[name]) if lines.get(name, "").isdecimal() else 1 for name in names)
    if channels * slices * times != images:  # a plain stack says only how many there are
        channels, slices, times = 1, images, 1
    return [_Size({"C": channels, "Z": slices, "T": times})]

"""Damages DICOM files in every way that disks, networks and bad software do. Seeded: the same number, the same file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import AllTransferSyntaxes

Random = np.random.Generator
_ABSURD = (0, 1, 2, 3, 7, 12, 15, 16, 24, 64, 255, 4097, 32768, 65535)
_PIXEL_TAGS = (0x0002, 0x0006, 0x0008, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103)
_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST TM UC UI UL UN UR US UT XX".split()
_LEAST = 160  # bytes: preamble, magic and a little
_LENGTHS = (0, 1, 3, 0x7FFF, 0xFFFE, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF)
_MARKERS = (0x51, 0x52, 0x5C, 0x90, 0xC0, 0xC1, 0xC3, 0xC4, 0xDA, 0xDB, 0xDD, 0xF7, 0xF8)


@dataclass(frozen=True)
class Whole:
    """An undamaged file: its bytes, where its elements' values start, and where its pixels do."""

    name: str
    syntax: str
    data: bytes
    elements: tuple[int, ...]
    pixels: int


def whole(path: Path) -> Whole | None:
    """The file, or None if it has no pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = dcmread(path, force=True)
            tells = tuple(sorted(tell for tag in sorted(ds.keys()) if isinstance(tell := _tell(ds, tag), int)))
            pixels = next((_tell(ds, tag) for tag in (0x7FE00010, 0x7FE00008, 0x7FE00009) if tag in ds), None)
        except Exception:  # a file that is broken already is no seed
            return None
    if pixels is None or not tells:
        return None
    return Whole(path.name, str(ds.file_meta.get("TransferSyntaxUID", "none")), path.read_bytes(), tells, pixels)


def _tell(ds, tag):
    element = ds.get_item(tag)
    return getattr(element, "value_tell", None) or getattr(element, "file_tell", None)


def mutated(file: Whole, seed: int) -> tuple[str, bytes]:
    """(what was done, the damaged bytes): one to three kinds of damage."""
    random = np.random.default_rng(seed)
    data, done = bytearray(file.data), []
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        if len(data) <= _LEAST:
            break
        damage = DAMAGES[int(random.integers(len(DAMAGES)))]
        damage(data, file, random)
        done.append(damage.__name__)
    return "+".join(done), bytes(data)


def bit_flips(data: bytearray, file: Whole, random: Random) -> None:
    for _ in range(int(random.integers(1, 20))):
        data[int(random.integers(128, len(data)))] ^= 1 << int(random.integers(8))


def header_bytes(data: bytearray, file: Whole, random: Random) -> None:
    end = min(file.pixels, len(data))
    for _ in range(int(random.integers(1, 8))):
        data[int(random.integers(min(132, end - 1), end))] = int(random.integers(256))


def stream_bytes(data: bytearray, file: Whole, random: Random) -> None:
    reach = int(random.choice([16, 64, 256, 4096, len(data)]))
    end = min(file.pixels + reach, len(data))
    for _ in range(int(random.integers(1, 12))):
        if file.pixels < end:
            data[int(random.integers(file.pixels, end))] = int(random.integers(256))


def truncation(data: bytearray, file: Whole, random: Random) -> None:
    start = 140 if random.random() < 0.3 else min(file.pixels, len(data) - 1)
    del data[int(random.integers(min(start, len(data) - 1), len(data))) :]


def wrong_length(data: bytearray, file: Whole, random: Random) -> None:
    """Of an element, in whichever of the two forms its length has."""
    at = int(random.choice(file.elements))
    size = int(random.choice([2, 4]))
    _put(data, at - size, (int(random.choice(_LENGTHS)) & (256**size - 1)).to_bytes(size, "little"))


def wrong_vr(data: bytearray, file: Whole, random: Random) -> None:
    at = int(random.choice([*file.elements, file.pixels, file.pixels]))
    _put(data, at - int(random.choice([4, 8])), _VRS[int(random.integers(len(_VRS)))])


def absurd_size(data: bytearray, file: Whole, random: Random) -> None:
    """A number of the Image Pixel module (group 0028) becomes another."""
    for _ in range(int(random.integers(1, 4))):
        tag = b"\x28\x00" + int(random.choice(_PIXEL_TAGS)).to_bytes(2, "little")
        at = bytes(data).find(tag, 128, file.pixels)
        if at >= 0:
            _put(data, at + 8, int(random.choice(_ABSURD)).to_bytes(2, "little"))


def absurd_frames(data: bytearray, file: Whole, random: Random) -> None:
    at = bytes(data).find(b"\x28\x00\x08\x00", 128, file.pixels)
    if at >= 0:
        digits = [b"0 ", b"-1", b"9 ", b"99", b"1A", b"\\\\", b"\x00\x00", b"1e"]
        _put(data, at + 8, digits[int(random.integers(len(digits)))])


def markers(data: bytearray, file: Whole, random: Random) -> None:
    """The segment behind a marker of a JPEG or JPEG 2000 stream: its length or a parameter."""
    places = [
        at for code in _MARKERS if (at := bytes(data).find(bytes([0xFF, code]), file.pixels, file.pixels + 9999)) >= 0
    ]
    if places:
        at = int(random.choice(places)) + 2 + int(random.integers(0, 24))
        _put(data, at, bytes(random.integers(0, 256, int(random.integers(1, 4)), dtype=np.uint8)))


def other_syntax(data: bytearray, file: Whole, random: Random) -> None:
    """The file meta information names another transfer syntax."""
    old = file.syntax.encode() + b"\x00" * (len(file.syntax) % 2)
    at = bytes(data).find(old, 128, 1024)
    fitting = [uid for uid in AllTransferSyntaxes if len(uid) <= len(old)]
    if at >= 0 and fitting:
        _put(data, at, str(fitting[int(random.integers(len(fitting)))]).encode().ljust(len(old), b"\x00"))


def moved_blocks(data: bytearray, file: Whole, random: Random) -> None:
    """A block is blanked, doubled or taken out."""
    size = int(random.choice([2, 16, 128, 512, 4096]))
    at = int(random.integers(128, max(129, len(data) - size)))
    block = bytes(data[at : at + size])
    choice = int(random.integers(4))
    data[at : at + size] = [b"", block * 2, b"\x00" * len(block), b"\xff" * len(block)][choice]


def _put(data: bytearray, at: int, new: bytes) -> None:
    if at >= 128 and at + len(new) <= len(data):
        data[at : at + len(new)] = new


DAMAGES: tuple[Callable[[bytearray, Whole, Random], None], ...] = (
    bit_flips,
    header_bytes,
    stream_bytes,
    truncation,
    wrong_length,
    wrong_vr,
    absurd_size,
    absurd_frames,
    markers,
    other_syntax,
    moved_blocks,
)

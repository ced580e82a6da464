"""Sequences of VR UN and undefined length in a big endian data set, whose items are in implicit VR little endian.

PS3.5 6.2.2 says so whatever the transfer syntax; pydicom 3.0 reads their items in that of the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from struct import error as StructError
from struct import pack_into, unpack_from

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.uid import ExplicitVRBigEndian

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = 0x7FE0
_META = 132
_MARK = b"UN\0\0\xff\xff\xff\xff"


def with_lengths(data: bytes) -> bytes | None:
    """The bytes of a file with the length of such sequences filled in, at the same positions; None if it has none.

    Args:
        data: a DICOM file from its start, with preamble.
    """
    if data[128:132] != b"DICM" or _MARK not in data or ExplicitVRBigEndian.encode() not in data[:4096]:
        return None
    mended = bytearray(data)
    try:
        for at, size in _unknown(data, _after_meta(data)):
            pack_into(">I", mended, at - 4, size)
    except (StructError, ValueError):  # said when the data set is parsed
        return None
    return bytes(mended)


def read_unknown(ds: Dataset) -> None:
    """Replaces the values of such sequences, left as bytes for `with_lengths`, by their items."""
    for tag in list(ds.keys()):
        raw = ds.get_item(tag)
        if getattr(raw, "VR", None) != "UN" or not isinstance(raw.value, bytes) or raw.value[:4] != b"\xfe\xff\0\xe0":
            continue
        sequence = read_sequence(BytesIO(raw.value), True, True, _UNDEFINED, ds.original_character_set)
        for item in sequence:
            for _ in item.iterall():  # decoded now, for whoever writes them in another byte order
                pass
        ds[tag] = DataElement(tag, "SQ", sequence)


def _after_meta(data: bytes) -> int:
    """File meta information is in explicit VR little endian, group 0002 (PS3.10 7.1)."""
    at = _META
    while data[at : at + 2] == b"\x02\0":
        long = data[at + 4 : at + 6] in _LONG
        at += 12 + unpack_from("<I", data, at + 8)[0] if long else 8 + unpack_from("<H", data, at + 6)[0]
    return at


def _unknown(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where the items of each top-level sequence of VR UN start, and how many bytes they and their end take."""
    while at + 8 <= len(data):
        group, _, vr, length = unpack_from(">HH2sH", data, at)
        if group >= _PIXELS:
            return
        at += 8
        if vr in _LONG:
            length = unpack_from(">I", data, at)[0]
            at += 4
        if length != _UNDEFINED:
            at += length
        elif vr == b"UN":
            end = _end(data, at, _SEQUENCE_END)
            yield at, end - at
            at = end
        else:
            raise ValueError("a sequence of undefined length, which pydicom reads by itself")


def _end(data: bytes, at: int, closing: int) -> int:
    """Behind the delimiter that closes a sequence or an item in implicit VR little endian (PS3.5 7.5)."""
    while True:
        group, element, length = unpack_from("<HHI", data, at)
        tag, at = group << 16 | element, at + 8
        if tag == closing:
            return at
        if length != _UNDEFINED:
            at += length
        else:
            at = _end(data, at, _ITEM_END if tag == _ITEM else _SEQUENCE_END)

"""Whether a file is DICOM, judged by its first bytes and never by its name. Standard library only: it costs nothing."""

from __future__ import annotations

from typing import Literal

Order = Literal["little", "big"]
_LONG_VR = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VR = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


def is_dicom(head: bytes) -> bool:
    """Whether a file of these first bytes is DICOM (PS3.10 7.1), with or without preamble and file meta information."""
    return head[128:132] == b"DICM" or _is_bare_dicom(head)


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

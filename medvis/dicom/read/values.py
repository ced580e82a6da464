"""Values of a data set, or None where the file has none that makes sense. Nothing here raises on a bad file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

_UID = re.compile(r"[0-9.]{1,64}")


def value(ds: Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """The value of an element, or None if it is absent, empty or cannot be converted."""
    try:
        found = ds.get(keyword)
    except Exception:  # pydicom converts on access and raises what the broken bytes happen to lead to
        return None
    return None if found is None or (isinstance(found, str | bytes) and not found) else found


def put(ds: Dataset, keyword: str, new: str | int) -> None:
    """Sets an element, also over one whose bytes cannot be converted."""
    tag = tag_for_keyword(keyword)
    if tag is not None and tag in ds:
        del ds[tag]
    setattr(ds, keyword, new)


def text(ds: Dataset, keyword: str, longest: int = 64) -> str | None:
    """A text value on one line, cut at the length that DICOM allows; several values are joined with a backslash."""
    found = value(ds, keyword)
    if found is None:
        return None
    parts = [found] if isinstance(found, str) or not isinstance(found, Sequence) else list(found)
    joined = "\\".join(str(part) for part in parts)[:longest]
    printable = "".join(char if char.isprintable() else " " for char in joined)
    return " ".join(printable.split()) or None


def uid(ds: Dataset, keyword: str) -> str | None:
    """A UID, or None if the file holds none there that is one."""
    found = text(ds, keyword, longest=128)
    return found if found is not None and _UID.fullmatch(found) else None


def texts(ds: Dataset, keyword: str) -> list[str]:
    """Every value of a multi-valued text element."""
    joined = text(ds, keyword, longest=1024)
    return [] if joined is None else [part.strip() for part in joined.split("\\")]


def numbers(ds: Dataset, keyword: str, count: int | None = None) -> list[float] | None:
    """The finite numbers of an element, or None if one of them is not, or if there are not `count` of them."""
    found = value(ds, keyword)
    if found is None:
        return None
    parts = [found] if isinstance(found, str | bytes) or not isinstance(found, Sequence) else list(found)
    try:
        values = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return None
    fits = count is None or len(values) == count
    return values if values and fits and all(math.isfinite(item) for item in values) else None


def number(ds: Dataset, keyword: str) -> float | None:
    """The first number of an element."""
    found = numbers(ds, keyword)
    return None if found is None else found[0]


def whole(ds: Dataset, keyword: str) -> int | None:
    """The first number of an element, if it is whole."""
    found = number(ds, keyword)
    return int(found) if found is not None and found == int(found) else None


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty if there is none."""
    found = value(ds, keyword)
    if isinstance(found, str | bytes) or not isinstance(found, Sequence):
        return []
    return [item for item in found if isinstance(item, Dataset)]


def first_item(ds: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence."""
    found = items(ds, keyword)
    return found[0] if found else None


class FrameGroups:
    """The functional groups of an enhanced multi-frame object (PS3.3 C.7.6.16); empty for any other."""

    def __init__(self, ds: Dataset) -> None:
        self._own = items(ds, "PerFrameFunctionalGroupsSequence")
        self._shared = first_item(ds, "SharedFunctionalGroupsSequence")

    def get(self, frame: int, keyword: str) -> Dataset | None:
        """A group of one frame: its own, else the one that all frames share."""
        group = first_item(self._own[frame], keyword) if frame < len(self._own) else None
        if group is not None or self._shared is None:
            return group
        return first_item(self._shared, keyword)

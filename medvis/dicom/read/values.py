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
        raw = ds.get(keyword)
    except Exception:  # pydicom converts on access and raises what the broken bytes happen to lead to
        return None
    return None if raw is None or (isinstance(raw, str | bytes) and not raw) else raw


def put(ds: Dataset, keyword: str, new: str | int) -> None:
    """Sets an element, also over one whose bytes cannot be converted."""
    tag = tag_for_keyword(keyword)
    if tag is not None and tag in ds:
        del ds[tag]
    setattr(ds, keyword, new)


def text(ds: Dataset, keyword: str, longest: int = 64) -> str | None:
    """A text value on one line, cut at the length that DICOM allows; several values are joined with a backslash."""
    raw = value(ds, keyword)
    if raw is None:
        return None
    parts = [raw] if isinstance(raw, str) or not isinstance(raw, Sequence) else list(raw)
    joined = "\\".join(str(part) for part in parts)[:longest]
    printable = "".join(char if char.isprintable() else " " for char in joined)
    return " ".join(printable.split()) or None


def uid(ds: Dataset, keyword: str) -> str | None:
    """A UID, or None if the file holds none there that is one."""
    raw = text(ds, keyword, longest=128)
    return raw if raw is not None and _UID.fullmatch(raw) else None


def texts(ds: Dataset, keyword: str) -> list[str]:
    """Every value of a multi-valued text element."""
    joined = text(ds, keyword, longest=1024)
    return [] if joined is None else [part.strip() for part in joined.split("\\")]


def numbers(ds: Dataset, keyword: str, count: int | None = None) -> list[float] | None:
    """The finite numbers of an element, or None if one of them is not, or if there are not `count` of them."""
    raw = value(ds, keyword)
    if raw is None:
        return None
    parts = [raw] if isinstance(raw, str | bytes) or not isinstance(raw, Sequence) else list(raw)
    try:
        values = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return None
    fits = count is None or len(values) == count
    return values if values and fits and all(math.isfinite(item) for item in values) else None


def number(ds: Dataset, keyword: str) -> float | None:
    """The first number of an element."""
    raw = numbers(ds, keyword)
    return None if raw is None else raw[0]


def whole(ds: Dataset, keyword: str) -> int | None:
    """The first number of an element, if it is whole."""
    raw = number(ds, keyword)
    return int(raw) if raw is not None and raw == int(raw) else None


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty if there is none."""
    raw = value(ds, keyword)
    if isinstance(raw, str | bytes) or not isinstance(raw, Sequence):
        return []
    return [item for item in raw if isinstance(item, Dataset)]


def first_item(ds: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence."""
    raw = items(ds, keyword)
    return raw[0] if raw else None


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

"""Whether the images of a folder are one stack of slices; if not, an error that says what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medvis.errors import InputError
from medvis.io.dicom.header import Header
from medvis.io.dicom.stack import SAME_PLACE, common_spacing, misfit, normal_of

_LISTED = 6
_ONE_STACK = "one stack of slices"


def several_series(folder: Path, headers: Sequence[Header]) -> InputError:
    """The error for a mixed folder, listing its series without identity."""
    groups: dict[tuple[str | None, str | None], list[Header]] = {}
    for header in headers:
        groups.setdefault((header.study, header.series), []).append(header)
    lines = [_described(group) for group in groups.values()]
    more = f" and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    studies = len({header.study for header in headers})
    of = f" of {studies} studies" if studies > 1 else ""
    return InputError(
        f"{folder} holds {len(lines)} series{of}: {', '.join(lines[:_LISTED])}{more}",
        "one series",
        "give the folder of one series, or one file",
    )


def drop_copies(headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Leaves out files that are byte for byte the same as an earlier one."""
    unique = list({header.sha256: header for header in reversed(headers)}.values())[::-1]
    copies = len(headers) - len(unique)
    return unique, [f"{copies} file(s) that are copies of others were left out"] if copies else []


def drop_localizers(headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Leaves out the localizers of a series that has other images (Image Type value 3, PS3.3 C.8.2.1.1.1)."""
    others = [header for header in headers if not header.localizer]
    left_out = len(headers) - len(others)
    if not others or not left_out:
        return list(headers), []
    return others, [f"{left_out} localizer image(s) of the series were left out"]


def check_stackable(folder: Path, headers: Sequence[Header]) -> None:
    """Raises InputError unless the images have one size, spacing and orientation, and a position each of their own."""
    if any(header.frames > 1 for header in headers):
        raise InputError(f"{folder} holds {len(headers)} images, some multi-frame", "one multi-frame file", "give one")
    sizes = Counter(f"{header.shape[0]}x{header.shape[1]}x{header.shape[2]}" for header in headers)
    if len(sizes) > 1:
        found = ", ".join(f"{count} of {size}" for size, count in sizes.most_common())
        raise InputError(f"{folder}: images of different sizes in one series: {found}", _ONE_STACK)
    places = [header.place for header in headers]
    problem = misfit(places)
    if problem is not None:
        raise InputError(f"{folder}: {len(headers)} images, but {problem}", _ONE_STACK, "give one of its files")
    spacing = common_spacing(places)
    if spacing.mm is None and len({place.spacing.mm for place in places}) > 1:
        raise InputError(f"{folder}: {spacing.reason}", _ONE_STACK)
    _check_distinct(folder, headers)


def _check_distinct(folder: Path, headers: Sequence[Header]) -> None:
    first = headers[0].place.orientation
    positions = [header.place.position for header in headers if header.place.position is not None]
    if first is None or len(positions) < len(headers):
        return
    distances = np.sort(np.stack(positions) @ normal_of(first))
    distinct = 1 + int((np.diff(distances) >= SAME_PLACE).sum())
    if distinct < len(headers):
        raise InputError(
            f"{folder}: {len(headers)} images at only {distinct} positions (several times, echoes or reconstructions?)",
            _ONE_STACK,
            "give a folder with one image a position",
        )


def _described(group: Sequence[Header]) -> str:
    first = group[0]
    tail = "…" + first.series[-8:] if first.series else "no UID"
    return f"'{first.description}' ({first.modality or 'unknown modality'}, {len(group)} file(s), {tail})"

"""Which images of a study belong together: study → series → frame of reference, plane, size, spacing → one of several
images at each place (acquisition, time, echo …). The frames of an enhanced multi-frame file are such images among
themselves. Nothing is thrown away in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from medvis.core.arrays import Float64s
from medvis.dicom.read.frames_inside import STACK
from medvis.dicom.read.header import Header
from medvis.dicom.read.stack import SAME_PLACE, listed
from medvis.dicom.read.stacks import stacks_of, without_doubles
from medvis.io.describe import plane_of
from medvis.ops.slice_geometry import heights_of, missing_in

_LEAST = 3  # slices that can be seen to be evenly spaced
_MOST_KEYS = 3
_TIMES = ("acquisition", "time", "temporal", "cardiac", "respiratory")
_NO_TIMES = ("echo time", "inversion time")
Headers = tuple[Header, ...]


@dataclass(frozen=True)
class Group:
    """Images that are one volume, or the reason why they are none.

    Attributes:
        headers: in spatial order where they have one.
        name: what tells the group from others of its series, e.g. ``("echo 2",)``.
        why_not: why it is no volume to look at, or None.
        notes: what was left out of the series.
    """

    headers: Headers
    name: tuple[str, ...] = ()
    why_not: str | None = None
    notes: tuple[str, ...] = ()


def groups_of(headers: Sequence[Header]) -> list[Group]:
    """All groups of a folder: by study (the earliest first), Series Number, and size of the group."""
    series: dict[tuple[str | None, str | None], list[Header]] = defaultdict(list)
    for header in sorted(headers, key=lambda header: str(header.path)):
        series[header.study, header.series].append(header)
    ordered = sorted(series.values(), key=_series_order)
    return [group for members in ordered for group in _of_series(members)]


def _series_order(members: Sequence[Header]) -> tuple[str, str, float, str]:
    first = members[0]
    number = float("inf") if first.number is None else first.number
    return first.when, first.study or "", number, first.series or ""


def _of_series(members: Sequence[Header]) -> list[Group]:
    unique, notes = _without_copies(members)
    images = [header for header in unique if not header.localizer]
    if not images:
        return [Group(tuple(unique), ("localizer",), f"{len(unique)} localizer image(s)", tuple(notes))]
    if len(images) < len(unique):
        notes.append(f"{len(unique) - len(images)} localizer image(s) of the series were left out")
    mosaics = tuple(header for header in images if header.mosaic is not None)
    stacks = stacks_of([header for header in images if header.mosaic is None])
    notes += stacks.notes
    groups = [group for alike in stacks.members for group in _of_alike(alike)]
    if mosaics:
        why_not = f"{len(mosaics)} image(s) that are {mosaics[0].mosaic}: many slices in one image"
        groups.append(Group(mosaics, ("mosaic",), why_not))
    return _named(groups, notes)


def groups_of_file(header: Header) -> list[Group]:
    """All groups of an enhanced multi-frame file by itself; one that holds the header if the file is one volume."""
    return _named(_inside(header), [])


def _of_alike(alike: Sequence[Header]) -> list[Group]:
    return _inside(alike[0]) if alike[0].inside else _phases(alike)


def _inside(header: Header) -> list[Group]:
    """The volumes in an enhanced multi-frame file; the file as it is where it is one, or a clip at one place.

    Its stacks (PS3.3 C.7.6.16.2.2.3) are apart even where they continue each other, as the file wants them to be.
    """
    if header.part:
        return _phases([header])
    groups = [
        replace(group, name=(*name, *group.name))
        for name, stack in _stacks(header.inside).items()
        for alike in stacks_of(stack).members
        for group in _phases_inside(alike)
    ]
    if len(groups) == 1 and groups[0].why_not is None:
        return [Group((header,))]
    note = f"the file has {header.frames} frames, of which these are"
    return [replace(group, notes=(f"{note} {len(group.headers)}{_called(group)}",)) for group in groups]


def _called(group: Group) -> str:
    return f": {', '.join(group.name)}" if group.name else ""


def _stacks(frames: Headers) -> dict[tuple[str, ...], Headers]:
    """By Stack ID, unless all are in one, or each in its own, which says nothing."""
    stacks = _split(frames, (STACK,))
    return stacks if 1 < len(stacks) < len(frames) else {(): frames}


def _phases_inside(alike: Sequence[Header]) -> list[Group]:
    """As `_phases`; but frames over time at one place are a clip, and stay together."""
    ordered = _sorted(alike)
    heights = _heights(ordered)
    if len(ordered) == 1 or heights[-1] - heights[0] >= SAME_PLACE:
        return _phases(alike)
    names = dict.fromkeys(name for header in ordered for name in header.phases if not _is_time(name))
    telling = tuple(name for name in names if len({header.phases.get(name) for header in ordered}) > 1)
    return [Group(headers, name) for name, headers in _split(tuple(alike), telling).items()]


def _is_time(name: str) -> bool:
    return name not in _NO_TIMES and any(word in name for word in _TIMES)


def _without_copies(members: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """Leaves out files that are byte for byte the same as an earlier one, or the same instance at the same place."""
    unique = list({header.sha256: header for header in reversed(members)}.values())[::-1]
    copies = len(members) - len(unique)
    notes = [f"{copies} file(s) that are copies of others were left out"] if copies else []
    instances = {_instance(header): header for header in reversed(unique)}
    again = len(unique) - len(instances)
    if again:
        notes.append(f"{again} file(s) with the SOP Instance UID and place of another one were left out")
    return list(instances.values())[::-1], notes


def _instance(header: Header) -> Hashable:
    position = header.plane.position
    if header.uid is None or position is None:
        return header.sha256
    return header.uid, tuple(np.round(position, 3).tolist()), header.shape, header.frames, header.plane.spacing.mm


def _phases(alike: Sequence[Header]) -> list[Group]:
    """One group for each image that there is of every place."""
    if len(alike) == 1:
        part = "one part of a concatenation, which is not put together" if alike[0].part else None
        return [Group(tuple(alike), why_not=part)]
    ordered = _sorted(alike)
    if _distinct(ordered) and _even(ordered):
        return [Group(ordered)]
    single, note = without_doubles(ordered, _heights(ordered))
    if note is not None and _distinct(single):
        return [replace(group, notes=(note, *group.notes)) for group in _phases(single)]
    wanted = _distinct if not _distinct(ordered) else _regular
    best = _best_split(ordered, wanted)
    if best is not None:
        return best
    return [Group(ordered, why_not=None if _distinct(ordered) else _doubled(ordered))]


def _best_split(ordered: Headers, wanted: Callable[[Headers], bool]) -> list[Group] | None:
    """The split into the fewest groups that are all as wanted, by one attribute or else by two or three."""
    names = list(dict.fromkeys(name for header in ordered for name in header.phases))
    values = {name: {header.phases.get(name) for header in ordered} for name in names}
    telling = [name for name in names if len(values[name]) > 1]
    for count in range(1, _MOST_KEYS + 1):
        splits = [_split(ordered, keys) for keys in combinations(telling, count)]
        good = [split for split in splits if all(wanted(headers) for headers in split.values())]
        if good:
            return [Group(headers, name) for name, headers in min(good, key=len).items()]
    return None


def _split(ordered: Headers, keys: tuple[str, ...]) -> dict[tuple[str, ...], Headers]:
    parts: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in ordered:
        parts[tuple(f"{key} {header.phases.get(key, 'unknown')}" for key in keys)].append(header)
    return {name: tuple(part) for name, part in sorted(parts.items(), key=lambda item: _natural(item[0]))}


def _natural(name: tuple[str, ...]) -> list[tuple[float, str]]:
    """Acquisition 10 comes after acquisition 9."""
    keys = []
    for part in name:
        last = part.rpartition(" ")[2]
        keys.append((float(last) if last.replace(".", "", 1).isdigit() else float("inf"), part))
    return keys


def _sorted(headers: Sequence[Header]) -> Headers:
    heights = _heights(headers)
    return tuple(headers[index] for index in np.argsort(heights, kind="stable"))


def _heights(headers: Sequence[Header]) -> Float64s:
    first = headers[0].plane.orientation
    positions = [header.plane.position for header in headers if header.plane.position is not None]
    if first is None or len(positions) < len(headers):
        raise ValueError("heights of images without a place")
    return heights_of(np.stack(positions), first)


def _distinct(headers: Headers) -> bool:
    return len(headers) == 1 or bool(np.diff(np.sort(_heights(headers))).min() >= SAME_PLACE)


def _even(headers: Headers) -> bool:
    return missing_in(_heights(headers)) is not None


def _regular(headers: Headers) -> bool:
    return len(headers) >= _LEAST and _distinct(headers) and _even(headers)


def _doubled(headers: Headers) -> str:
    heights = _heights(headers)
    again = np.flatnonzero(np.diff(heights) < SAME_PLACE)
    return (
        f"{len(headers)} images at only {len(headers) - again.size} positions, and nothing tells them apart"
        f" (twice at {listed(np.unique(np.round(heights[again], 3)))} along the normal)"
    )


def _named(groups: list[Group], notes: Sequence[str]) -> list[Group]:
    """The groups of one series, the largest first, each with all that tells it from the others."""
    groups.sort(key=lambda group: -sum(header.frames for header in group.headers))
    planes = [plane_of(group.headers[0].plane.orientation) for group in groups]
    several = len(set(planes)) > 1
    owns = [(plane.partition(",")[0],) if several and plane is not None else () for plane in planes]
    return [
        replace(group, name=(*own, *group.name), notes=(*notes, *group.notes))
        for group, own in zip(groups, owns, strict=True)
    ]

"""What the volumes of a study are called: by study, Series Number, description, and whatever else tells them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from medvis.core.volumes import LONGEST, slug, unique
from medvis.dicom.read.grouping import Group

NO_DESCRIPTION = "no description"


def labels_of(groups: Sequence[Group]) -> list[str]:
    """A label for each group, as `Volume.label`: the same for the same files, and no two alike.

    The description is without words that stand in identifying attributes (`facts.safe_description`).
    """
    studies = list(dict.fromkeys(group.headers[0].study for group in groups))
    heads = [_head(group, studies) for group in groups]
    alike: dict[str, list[int]] = defaultdict(list)
    for index, (group, head) in enumerate(zip(groups, heads, strict=True)):
        alike[_label(group, head, "")].append(index)
    more = [""] * len(groups)
    for members in alike.values():
        for index, words in zip(members, _telling([groups[index] for index in members]), strict=True):
            more[index] = words
    return list(unique([_label(group, head, words) for group, head, words in zip(groups, heads, more, strict=True)]))


def _head(group: Group, studies: Sequence[str | None]) -> str:
    first = group.headers[0]
    study = f"study {studies.index(first.study) + 1} " if len(studies) > 1 else ""
    return f"{study}series" if first.number is None else f"{study}series {first.number}"


def _label(group: Group, head: str, more: str) -> str:
    """Where it would be too long, the description is cut, not what tells the volume from its neighbours."""
    first = group.headers[0]
    described = first.description != NO_DESCRIPTION
    words = first.description if described else ("" if first.number is not None else first.modality or "")
    tail = slug(*group.name, more)
    room = LONGEST - len(slug(head)) - len(tail) - 2
    middle = slug(words)[: max(room, 0)]
    return slug(head, middle, tail)


def _images(group: Group) -> str:
    count = sum(header.frames for header in group.headers)
    return "1 image" if count == 1 else f"{count} images"


def _instance(group: Group) -> str | None:
    instance = group.headers[0].instance
    return None if len(group.headers) > 1 or instance is None else f"image {instance}"


# What may tell volumes apart that are called alike, the most readable first.
_TELLING: tuple[Callable[[Group], str | None], ...] = (
    lambda group: group.headers[0].modality,
    lambda group: f"{group.headers[0].shape[0]}x{group.headers[0].shape[1]}",
    _images,
    _instance,
)


def _telling(groups: Sequence[Group]) -> list[str]:
    """What tells groups of one label apart; empty texts where nothing does."""
    for attribute in _TELLING if len(groups) > 1 else ():
        values = [attribute(group) for group in groups]
        if None not in values and len(set(values)) == len(groups):
            return [value or "" for value in values]
    return [""] * len(groups)

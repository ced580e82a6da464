"""One volume of an input, before its pixels are read: what it is, what it is called, and how to get it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, overload

from medvis.core.scan import Scan
from medvis.errors import InputError, MedvisError

_LISTED = 6
_LONGEST = 60
_CHOOSE = "give one file or the folder of one series, or choose with --series"


class Remark(NamedTuple):
    """A note on an input. Reports get the text; whoever gave the input is told the files' names as well.

    A folder's files may be named after a patient, and reports are passed on.
    """

    text: str
    names: str = ""

    @property
    def whole(self) -> str:
        """With the names."""
        return f"{self.text}: {self.names}" if self.names else self.text


@dataclass(frozen=True)
class Volume:
    """A file or a stack of files that would be one scan.

    Attributes:
        label: stable and readable: ``series-3-lung``, or the name of a file that is one volume; unique among the
            volumes of an input, also without regard to case, and safe as the name of a folder.
        description: one line for a person.
        files: names below the input's folder, in the order of the frames.
        why_not: why it cannot be looked at, or None.
        facts: what is known of it without its pixels, JSON values only: study (from 1), series_number, series_uid,
            modality, body_part, frames, rows, cols, spacing_mm, slice_spacing_mm, plane, notes.
        sketch: a scan of a single pixel that has modality, body part and channels right, to ask a task about;
            None where only the pixels can tell.
        opener: reads it.
    """

    label: str
    description: str
    files: tuple[str, ...]
    why_not: str | None
    opener: Callable[[], Scan] = field(repr=False, compare=False)
    facts: dict[str, Any] = field(default_factory=dict, compare=False)
    sketch: Scan | None = field(default=None, repr=False, compare=False)

    def read(self) -> Scan:
        """The scan. Its `source.path` is the file or folder that was read, its `source.files` are names below it.

        Raises:
            InputError: `why_not`, or what the reader finds.
        """
        if self.why_not is not None:
            raise self.unusable()
        return self.opener()

    def unusable(self) -> InputError:
        """What `read` raises where there is a `why_not`."""
        return InputError(f"{self.label}: {self.why_not}", "a stack of slices or one image")

    def is_called(self, name: str) -> bool:
        """Whether the name is its Series Instance UID, Series Number or label."""
        known = (self.facts.get("series_uid"), self.facts.get("series_number"), self.label)
        return name in [str(item) for item in known if item is not None]


class Volumes(Sequence[Volume]):
    """The volumes of one input.

    Attributes:
        path: the input as the user gave it.
        notes: on what else is in it: objects that are no images, files that are no DICOM.
        grouped: False where the input is one file that is one scan, as it is.
        private: the folder that an archive lies unpacked in, or None.
    """

    def __init__(
        self,
        path: str,
        volumes: Sequence[Volume],
        notes: Sequence[str] = (),
        grouped: bool = True,
        private: str | None = None,
    ) -> None:
        self.path, self.notes, self.grouped, self.private = path, tuple(notes), grouped, private
        self._volumes = tuple(volumes)

    @overload
    def __getitem__(self, index: int) -> Volume: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Volume, ...]: ...
    def __getitem__(self, index: int | slice) -> Volume | tuple[Volume, ...]:
        """One volume, or some."""
        return self._volumes[index]

    def __len__(self) -> int:
        return len(self._volumes)

    def usable(self) -> tuple[Volume, ...]:
        """Those that can be looked at."""
        return tuple(volume for volume in self if volume.why_not is None)

    def pick(self, series: str | None) -> Volumes:
        """Those of one series, by UID, number or label; all for None. Raises InputError if there is none."""
        if series is None:
            return self
        picked = [volume for volume in self if volume.is_called(series.strip())]
        if not picked:
            raise InputError(f"{self.path} holds no series '{series}'", f"one of {self._listed(self)}")
        return Volumes(self.path, picked, self.notes, self.grouped, self.private)

    def single(self) -> Volume:
        """The only volume that can be looked at. Raises InputError if there is none, or if there are several."""
        usable = self.usable()
        if len(usable) == 1:
            return usable[0]
        if not usable:
            reasons = "; ".join(f"{volume.label}: {volume.why_not}" for volume in self[:_LISTED])
            raise InputError(f"{self.path} holds nothing to look at: {reasons}", "one stack of slices, or one image")
        studies = len({volume.facts.get("study") for volume in usable} - {None})
        of = f" of {studies} studies" if studies > 1 else ""
        raise InputError(f"{self.path} holds {len(usable)} volumes{of}: {self._listed(usable)}", "one", _CHOOSE)

    def public(self, text: str) -> str:
        """A text in which a private folder bears the name of the input."""
        return text if self.private is None else text.replace(self.private, self.path)

    def naming(self) -> AbstractContextManager[None]:
        """A block whose errors name the input instead of a private folder."""
        return nullcontext() if self.private is None else naming(self.private, self.path)

    @staticmethod
    def _listed(volumes: Sequence[Volume]) -> str:
        shown = ", ".join(f"{volume.label} ({volume.description})" for volume in volumes[:_LISTED])
        return f"{shown}{f' and {len(volumes) - _LISTED} more' if len(volumes) > _LISTED else ''}"


def file_volumes(
    folder: Path, files: Sequence[Path], remarks: Sequence[Remark], read: Callable[[Path], Scan]
) -> Volumes:
    """Each file as one volume, labelled by its name; a single one bears the remarks in its scan's notes."""
    notes = [remark.text for remark in remarks] if len(files) == 1 else []
    labels = unique([slug(Path(path.name.removesuffix(".gz")).stem) or "volume" for path in files])
    names = [path.relative_to(folder).as_posix() for path in files]
    volumes = [
        Volume(
            label,
            f"the file {name}",
            (name,),
            None,
            partial(read_file, read, folder / name, notes),
        )
        for label, name in zip(labels, names, strict=True)
    ]
    return Volumes(str(folder), volumes, [remark.whole for remark in remarks])


def read_file(read: Callable[[Path], Scan], path: Path, notes: Sequence[str] = ()) -> Scan:
    """The scan in a file, `notes` before its own. Raises InputError, also where the file cannot be read at all."""
    try:
        scan = read(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    return replace(scan, notes=(*notes, *scan.notes)) if notes else scan


@contextmanager
def naming(private: str, shown: str) -> Iterator[None]:
    """A block in whose errors `shown` stands for the path `private`."""
    try:
        yield
    except MedvisError as error:
        if private not in error.line:
            raise
        parts = (error.found, error.wanted, error.hint)
        found, wanted, hint = (part and part.replace(private, shown) for part in parts)
        raise type(error)(found or "", wanted, hint) from error


def slug(*words: str) -> str:
    """Words as one lower-case name of letters, digits and hyphens; empty if they have none."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:_LONGEST].rstrip("-")


def unique(names: Sequence[str]) -> Iterator[str]:
    """The names, with -2, -3 … behind those that were there before, whatever their case."""
    taken: set[str] = set()
    for name in names:
        number, candidate = 2, name
        while candidate.lower() in taken:
            candidate, number = f"{name}-{number}", number + 1
        taken.add(candidate.lower())
        yield candidate

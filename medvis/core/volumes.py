"""One volume of an input, before its pixels are read: what it is, what it is called, and how to get it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, overload

from medvis.core.scan import Scan
from medvis.core.sizes import with_possible_sizes
from medvis.errors import InputError, MedvisError

_LISTED = 6
LONGEST = 60
"""Characters of a label, but for the number that `unique` may put behind it."""
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
        names_modality: False where its format cannot say its modality, so that no task can be chosen by that.
    """

    label: str
    description: str
    files: tuple[str, ...]
    why_not: str | None
    opener: Callable[[], Scan] = field(repr=False, compare=False)
    facts: dict[str, Any] = field(default_factory=dict, compare=False)
    sketch: Scan | None = field(default=None, repr=False, compare=False)
    names_modality: bool = field(default=True, compare=False)

    def read(self) -> Scan:
        """The scan. Its `source.path` is the file or folder that was read, its `source.files` are names below it.

        Raises:
            InputError: `why_not`, or what the reader finds.
        """
        if self.why_not is not None:
            raise self.unusable()
        return with_possible_sizes(self.opener())

    def unusable(self) -> InputError:
        """What `read` raises where there is a `why_not`."""
        return InputError(f"{self.label}: {self.why_not}", "a stack of slices or one image")

    def is_called(self, name: str) -> bool:
        """Whether the name is its Series Instance UID, Series Number or label."""
        known = (self.facts.get("series_uid"), self.facts.get("series_number"), self.label)
        return name in [str(item) for item in known if item is not None]


class FileReader(Protocol):
    """What `file_volumes` asks of a reader (`medvis.core.protocols.Reader`)."""

    names_modality: ClassVar[bool]

    def inside(self, path: Path) -> Sequence[Volume]:
        """The volumes of a file that is more or less than one scan; none for a file that is one."""

    def read(self, path: Path) -> Scan:
        """The scan in a file."""


class Volumes(Sequence[Volume]):
    """The volumes of one input.

    Attributes:
        path: the input as the user gave it.
        notes: on what else is in it: objects that are no images, files that are no DICOM.
        left_out: on hidden files and the like, for whoever gave the input; no report tells of them.
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
        self.left_out: tuple[str, ...] = ()

    def with_left_out(self, left_out: Sequence[str]) -> Volumes:
        """The same, with what was left out of the input."""
        same = copy(self)
        same.left_out = tuple(left_out)
        return same

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
        return Volumes(self.path, picked, self.notes, self.grouped, self.private).with_left_out(self.left_out)

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


def file_volumes(folder: Path, files: Sequence[Path], remarks: Sequence[Remark], reader: FileReader) -> Volumes:
    """Each file as one volume, or as those inside it; a single one bears the remarks in its scan's notes.

    Labels are the files' names below the folder, so that neither other files nor the order of a search changes them:
    ``left/a.png`` is ``left-a``. Only where two files differ in nothing but their endings, these stand behind.
    """
    names = [path.relative_to(folder).as_posix() for path in files]
    parts = [
        part
        for label, name in zip(_file_labels(names), names, strict=True)
        for part in _parts(folder, name, label, reader)
    ]
    labels = unique([volume.label for volume in parts])
    named = [replace(volume, label=label) for volume, label in zip(parts, labels, strict=True)]
    if len(named) == 1 and remarks:
        notes = [remark.text for remark in remarks]
        named = [replace(named[0], opener=partial(_with_notes, named[0].opener, notes))]
    return Volumes(str(folder), named, [remark.whole for remark in remarks])


def _parts(folder: Path, name: str, label: str, reader: FileReader) -> list[Volume]:
    """What one file of a folder holds. One that is broken is a volume too, so that its error is its own."""
    path = folder / name
    with suppress(InputError, OSError):  # which reading it will raise
        inside = [
            replace(
                volume, label=f"{label}-{volume.label}", description=f"{volume.description}, of the file {name}",
                files=(name,), names_modality=reader.names_modality,
            )
            for volume in reader.inside(path)
        ]  # fmt: skip
        if inside:
            return inside
    opener = partial(read_file, reader.read, path)
    return [Volume(label, f"the file {name}", (name,), None, opener, names_modality=reader.names_modality)]


def _file_labels(names: Sequence[str]) -> list[str]:
    stems = [name.removesuffix(".gz").rpartition(".") for name in names]
    plain = [_tail(before or last) for before, _, last in stems]
    often = Counter(plain)
    return [
        _tail(f"{before or last}-{last if before else ''}") if often[label] > 1 else label
        for label, (before, _, last) in zip(plain, stems, strict=True)
    ]


def _tail(name: str) -> str:
    """As `slug`, but letters of any script stay, and a name that is too long loses its beginning."""
    plain = unicodedata.normalize("NFC", name).lower()
    return re.sub(r"[\W_]+", "-", plain).strip("-")[-LONGEST:].lstrip("-") or "volume"


def _with_notes(opener: Callable[[], Scan], notes: Sequence[str]) -> Scan:
    scan = opener()
    return replace(scan, notes=(*notes, *scan.notes))


def read_file(read: Callable[[Path], Scan], path: Path) -> Scan:
    """The scan in a file. Raises InputError, also where the file cannot be read at all."""
    try:
        return read(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


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
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:LONGEST].rstrip("-")


def unique(names: Sequence[str]) -> Iterator[str]:
    """The names, with -2, -3 … behind those that were there before, whatever their case."""
    taken: set[str] = set()
    for name in names:
        number, candidate = 2, name
        while candidate.casefold() in taken:
            candidate, number = f"{name}-{number}", number + 1
        taken.add(candidate.casefold())
        yield candidate

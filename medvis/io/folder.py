"""The files of a folder, shared out among the readers that take them there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medvis.core.protocols import Reader
from medvis.core.scan import Scan
from medvis.core.volumes import Remark, Volume, Volumes, slug, unique
from medvis.errors import InputError
from medvis.io.magic import head_of
from medvis.io.registry import Match, match, registered, titles, wanted
from medvis.io.search import names_of


def volumes_of(
    folder: Path, files: Iterable[Path], known: Sequence[Remark] = (), left_out: Sequence[str] = ()
) -> Volumes:
    """The volumes that all readers together make of the files of a folder, an archive or an index.

    Args:
        folder: what the files lie in or below.
        files: all of them.
        known: remarks on what is known to be absent.
        left_out: what else is in the folder, in words.

    Raises:
        InputError: a file cannot be read; no reader takes any of them in a folder; or what the only reader that does
            raises.
        SettingsError: no reader takes any of them, and one of the readers cannot be imported.
    """
    sorted_files = _sort(files)
    readers = sorted_files.readers()
    if not readers:
        raise _no_volume(folder, sorted_files, left_out)
    remarks = [*known, *sorted_files.ignored(readers)]
    if len(readers) == 1:
        return readers[0].volumes(folder, sorted_files.claimed[readers[0]], remarks)
    return _joined(folder, [(reader, sorted_files.claimed[reader]) for reader in readers], remarks)


@dataclass
class _Sorted:
    """Files by the reader that claims them, in the order given."""

    files: list[Path] = field(default_factory=list)
    claimed: dict[Reader, list[Path]] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)

    def readers(self) -> list[Reader]:
        """Those whose files count as volumes here."""
        claiming = [reader for reader in registered().readers if reader in self.claimed]
        always = [reader for reader in claiming if reader.in_folders == "always"]
        return always or [reader for reader in claiming if reader.in_folders == "alone"]

    def ignored(self, readers: Sequence[Reader]) -> list[Remark]:
        """A remark on the files that none of these readers takes."""
        taken = {path for reader in readers for path in self.claimed[reader]}
        others = [path for path in self.files if path not in taken]
        if not others:
            return []
        text = f"{len(others)} file(s) that are no {titles(readers)} were ignored"
        return [
            Remark(text, names_of([path.name for path in others])),
            *self._misnamed(others, readers),
            *(Remark(error.found) for error in registered().errors),
        ]

    def _misnamed(self, others: Sequence[Path], readers: Sequence[Reader]) -> list[Remark]:
        """A remark on files that bear the names of these readers' files and are nobody's: empty, cut off, text."""
        endings = tuple(pattern.lower().lstrip("*") for reader in readers for pattern in reader.patterns)
        known = {path for paths in self.claimed.values() for path in paths}
        names = [path.name for path in others if path not in known and path.name.lower().endswith(endings)]
        text = f"{len(names)} of them named like a file that can be read, and empty, damaged or something else"
        return [Remark(text, names_of(names))] if names else []


def _sort(files: Iterable[Path]) -> _Sorted:
    result = _Sorted()
    for path in files:
        claim = _claim(path)
        result.files.append(path)
        if claim is not None:
            result.claimed.setdefault(claim.reader, []).append(path)
            result.formats[claim.format] += 1
    return result


def _claim(path: Path) -> Match | None:
    """The reader for a file. One that cannot be opened counts by its name where each file is a volume by itself."""
    try:
        return match(path, head_of(path))
    except OSError as error:
        for reader in registered().readers:
            endings = tuple(pattern.lower().lstrip("*") for pattern in reader.patterns)
            if reader.in_folders == "alone" and path.name.lower().endswith(endings):
                return Match(reader, "unreadable")
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _joined(folder: Path, claims: Sequence[tuple[Reader, list[Path]]], remarks: Sequence[Remark]) -> Volumes:
    """The volumes of several readers. One that finds none leaves a volume that says why not."""
    volumes: list[Volume] = []
    notes = [remark.whole for remark in remarks]
    errors: list[InputError] = []
    for reader, files in claims:
        try:
            part = reader.volumes(folder, files, ())
        except InputError as error:
            errors.append(error)
            volumes.append(_without(reader, folder, files, error))
            continue
        volumes += part
        notes += part.notes
    if len(errors) == len(claims):
        raise errors[0]
    labels = unique([volume.label for volume in volumes])
    return Volumes(
        str(folder), [replace(volume, label=label) for volume, label in zip(volumes, labels, strict=True)], notes
    )


def _without(reader: Reader, folder: Path, files: Sequence[Path], error: InputError) -> Volume:
    """The files of a reader that found no volume in them. The folder may be private: its name must not be shown."""

    def refuse() -> Scan:
        raise error

    names = tuple(path.relative_to(folder).as_posix() for path in files)
    reason = error.found.replace(f"{folder}{os.sep}", "").replace(str(folder), "the input")
    return Volume(slug(reader.title) or reader.name, f"{len(files)} {reader.title} file(s)", names, reason, refuse)


def _no_volume(folder: Path, sorted_files: _Sorted, left_out: Sequence[str]) -> InputError:
    """Why a folder without a file that counts as a volume cannot be read. Raises SettingsError: a reader is missing."""
    for error in registered().errors:  # the missing reader may be the one for these files
        raise error
    files = f"a folder with {titles([reader for reader in registered().readers if reader.in_folders != 'never'])} files"
    besides = f"; {'; '.join(left_out)}" if left_out else ""
    if sorted_files.formats:
        listed = ", ".join(f"{count} {name.upper()}" for name, count in sorted_files.formats.items())
        return InputError(
            f"{folder} holds no image that is read from a folder ({listed}){besides}", files, "give the files"
        )
    if sorted_files.files:
        return InputError(f"{folder} holds no image ({len(sorted_files.files)} other file(s)){besides}", files)
    return InputError(f"{folder} is an empty folder{besides}", wanted())

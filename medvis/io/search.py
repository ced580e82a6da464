"""The files of a folder and below it, and what is passed over there, so that it can be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medvis.core.volumes import Remark
from medvis.io.registry import index_names

REPORT = "report.json"
PICTURES = frozenset({"heatmap.png", "mask.png", "mask.nii.gz"})
"""Results of medvis that are pictures or volumes themselves. Beside a report they are no input."""
NAMED = 3
"""So many files are named in a remark."""


@dataclass
class Search:
    """What lies in a folder and below it.

    Attributes:
        files: those to be looked at; of the folder itself first, each level in the order of names.
        hidden: names of hidden files and folders (``.DS_Store``, ``._scan.dcm``).
        results: names of medvis' own results of earlier runs.
        links: names of links to folders, which are not followed, and of links that lead nowhere.
    """

    files: list[Path] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def remarks(self) -> list[Remark]:
        """On what may have belonged to the input."""
        text = f"{len(self.links)} link(s) to folders, or to what is not there, were not followed"
        return [Remark(text, names_of(self.links))] if self.links else []

    def left_out(self) -> list[str]:
        """On what nobody would look for in the input, in words for whoever gave it."""
        kinds = (
            ("hidden file(s) or folder(s) were left out", self.hidden),
            ("file(s) that are results of medvis were left out", self.results),
        )
        return [Remark(f"{len(names)} {text}", names_of(names)).whole for text, names in kinds if names]


def search(folder: Path) -> Search:
    """Looks through a folder to its depth. Index files (DICOMDIR) are passed over. Raises OSError."""
    found = Search()
    for level in _levels(folder):
        _sort_in(level, found)
    return found


def names_of(names: Sequence[str]) -> str:
    """The first few names, for a remark."""
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _levels(folder: Path) -> Iterator[list[Path]]:
    """The entries of a folder and of each folder below it, in the order of names."""
    entries = sorted(folder.iterdir())
    yield entries
    for path in entries:
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _levels(path)


def _sort_in(entries: Sequence[Path], found: Search) -> None:
    indexes = index_names()
    own = {REPORT, *PICTURES} if REPORT in {path.name for path in entries} else set()
    for path in entries:
        if path.name.startswith("."):
            found.hidden.append(path.name)
        elif path.is_symlink() and not path.is_file():
            found.links.append(path.name)
        elif path.is_file() and path.name.upper() not in indexes:
            if path.name in own:
                found.results.append(path.name)
            else:
                found.files.append(path)

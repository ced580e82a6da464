"""What DIMSE and DICOMweb have in common when they query and retrieve: levels, matches, file names and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medvis.pacs.peers import RetrieveTarget

Level = Literal["study", "series", "instance"]
"""What one match of a query stands for (PS3.4 C.6.2.1)."""

Match = dict[str, str]
"""One match of a query: keyword → value as text."""

MOST_MATCHES = 20_000
"""Answers to one query that are taken; a peer may give them without end."""


@dataclass
class Pulled:
    """The files that arrived, and why others did not.

    Attributes:
        files: complete files in the peer's order of instances; those that were there before included.
        failures: (what, why), one a missing instance.
    """

    files: list[Path] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


def instance_path(folder: Path, target: RetrieveTarget) -> Path:
    """The file of an instance: FOLDER/SERIES/INSTANCE.dcm.

    UIDs are digits and dots (`RetrieveTarget` checks that), so the path never leaves the folder.
    """
    return folder / str(target.series) / f"{target.instance}.dcm"

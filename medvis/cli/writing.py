"""The option --write: the writers are those that are registered, here and in its help and completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from medvis import plugins
from medvis.cli.options import chosen

if TYPE_CHECKING:
    from medvis.core.protocols import Writer

GROUP = "medvis.writers"
USUAL = ("json", "heatmap", "mask")


def writer_names() -> list[str]:
    """Every registered writer, those that write unless told otherwise first. Imports none of them."""
    return [*USUAL, *(name for name in plugins.names(GROUP) if name not in USUAL)]


def complete_writers(incomplete: str) -> list[str]:
    """The lists that begin so, one name longer."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in writer_names() if name.startswith(last) and name not in taken]


Write = Annotated[
    list[str] | None,
    typer.Option(
        "--write", metavar="LIST", autocompletion=complete_writers,
        help=f"What to write, separated by commas, of: {', '.join(writer_names())}. The DICOM objects (pm evidence,"
        " sc picture, seg outlines, sr report) need DICOM input. May be repeated, which adds up."
        f"  [default: {','.join(USUAL)}]",
    ),
]  # fmt: skip


def names_in(lists: Sequence[str]) -> list[str]:
    """The writers in lists with commas, each once. Raises UsageError if one is not known."""
    return chosen(lists, "--write", writer_names())


def writers(lists: Sequence[str] | None) -> list[Writer]:
    """The writers that ``--write`` names, ready to use."""
    from medvis.core.protocols import Writer

    names = names_in(lists) if lists else USUAL
    return [plugins.create(GROUP, name, Writer) for name in names]  # type: ignore[type-abstract]

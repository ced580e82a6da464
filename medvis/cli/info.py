"""`medvis info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medvis.cli.console import emit, emit_json
from medvis.cli.failures import explain
from medvis.cli.options import Json
from medvis.cli.tables import flat, show_pairs
from medvis.errors import BatchError


def info(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="A DICOM, NIfTI or picture file, or a folder with a series.")
    ],
    json: Json = False,
) -> None:
    """With --json and several paths, one JSON object a line."""
    from medvis.io.describe import describe

    if len(paths) == 1:
        _show(describe(paths[0]), json, first=True)
        return
    codes = []
    for number, path in enumerate(paths):
        try:
            _show(describe(path), json, first=number == 0, compact=True)
        except Exception as error:  # the others are shown all the same
            codes.append(explain(error, str(path)))
    if len(codes) == len(paths) and len(set(codes)) == 1:
        raise typer.Exit(codes[0])
    if codes:
        raise BatchError(f"{len(codes)} of {len(paths)} could not be read")


def _show(facts: dict[str, Any], json: bool, first: bool, compact: bool = False) -> None:
    if json:
        emit_json(facts, indent=None if compact else 2)
        return
    if not first:
        emit("\n")
    show_pairs(flat(facts))

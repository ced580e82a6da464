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
    if len(paths) == 1:
        _show(_facts(paths[0]), json, first=True)
        return
    codes = []
    for number, path in enumerate(paths):
        try:
            _show(_facts(path), json, first=number == 0, compact=True)
        except Exception as error:  # the others are shown all the same
            codes.append(explain(error, str(path)))
    if len(codes) == len(paths) and len(set(codes)) == 1:
        raise typer.Exit(codes[0])
    if codes:
        raise BatchError(f"{len(codes)} of {len(paths)} could not be read")


def _facts(path: Path) -> dict[str, Any]:
    from medvis.io.describe import describe
    from medvis.io.open import open_scan

    return describe(open_scan(path))


def _show(facts: dict[str, Any], json: bool, first: bool, compact: bool = False) -> None:
    if json:
        emit_json(facts, indent=None if compact else 2)
        return
    if not first:
        emit("\n")
    show_pairs(_rows(facts))


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts for a person: the file's own details beside the others, and a reason beside what is unknown."""
    shown = {
        key: value for key, value in facts.items() if key not in ("details", "unknown", "trail", "notes", "windows")
    }
    windows = [_window(window) for window in facts["windows"]]
    shown |= {**facts["details"], "windows": windows, "notes": facts["notes"]}
    reasons = {name.removesuffix("_mm"): reason for name, reason in facts["unknown"].items()}
    rows = flat(shown)
    return [
        (key, f"{value} ({reasons[plain]})" if (plain := key.removesuffix("_mm")) in reasons else value)
        for key, value in rows
    ]


def _window(window: dict[str, Any]) -> str:
    parts = (f"center {window['center']:g}", f"width {window['width']:g}", window["function"], window["explanation"])
    return " ".join(part for part in parts if part)

"""`medvis info`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import emit, emit_json
from medvis.cli.failures import explain, print_error
from medvis.cli.inputs import Inputs, check_paths
from medvis.cli.options import INPUT_HELP, Json, Series
from medvis.cli.tables import flat, show_pairs, show_rows
from medvis.errors import BatchError

if TYPE_CHECKING:
    from medvis.core.volumes import Volume, Volumes

_COLUMNS = ("volume", "modality", "images", "size", "pixel mm", "slice mm", "plane", "remarks")


def info(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help=INPUT_HELP)],
    series: Series = None,
    json: Json = False,
) -> None:
    """Of a path with several volumes, a table of them. With --json and several paths, one JSON object a line."""
    check_paths(paths)
    codes = []
    with Inputs() as inputs:
        if len(paths) == 1:
            _show(inputs.opened(paths[0]), series, json, first=True)
            return
        for number, path in enumerate(paths):
            try:
                _show(inputs.opened(path), series, json, first=number == 0, compact=True)
            except Exception as error:  # the others are shown all the same
                codes.append(explain(error, str(path)))
    if len(codes) == len(paths) and len(set(codes)) == 1:
        raise typer.Exit(codes[0])
    if codes:
        raise BatchError(f"{len(codes)} of {len(paths)} could not be read")


def _show(
    opened: AbstractContextManager[Volumes], series: str | None, json: bool, first: bool, compact: bool = False
) -> None:
    with opened as inside:
        picked = inside.pick(series)
        facts = _facts(inside, picked[0]) if len(picked) == 1 else _listing(picked)
    if json:
        emit_json(facts, indent=None if compact else 2)
        return
    if not first:
        emit("\n")
    if len(picked) == 1:
        show_pairs(_rows(facts))
        return
    show_rows(_COLUMNS, [_row(volume) for volume in picked])
    for note in (*picked.notes, *picked.left_out):
        print_error(f"note: {note}")


def _facts(inside: Volumes, volume: Volume) -> dict[str, Any]:
    """What is known of one volume, with its pixels read."""
    from medvis.io.describe import describe

    facts = describe(volume.read())
    return facts | {"path": inside.public(facts["path"])}


def _listing(inside: Volumes) -> dict[str, Any]:
    """What is known of several volumes without their pixels."""
    listed = [{"label": volume.label, "why_not": volume.why_not, **volume.facts} for volume in inside]
    return {"path": inside.path, "volumes": listed, "notes": [*inside.notes, *inside.left_out]}


def _row(volume: Volume) -> Sequence[str]:
    facts = volume.facts
    if not facts:
        remark = f"no volume: {volume.why_not}" if volume.why_not else volume.description
        return (volume.label, "", "", "", "", "", "", remark)
    spacing = facts["spacing_mm"]
    step = facts["slice_spacing_mm"]
    return (
        volume.label,
        facts["modality"] or "unknown",
        str(facts["frames"]),
        f"{facts['rows']}x{facts['cols']}",
        "unknown" if spacing is None else " x ".join(dict.fromkeys(f"{side:.4g}" for side in spacing)),
        "" if step is None else f"{step:.4g}",
        facts["plane"] or "",
        "; ".join([*([f"no volume: {volume.why_not}"] if volume.why_not else []), *facts["notes"]]),
    )


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts for a person: the file's own details beside the others, and a reason beside what is unknown."""
    apart = ("details", "unknown", "trail", "notes", "windows", "windows_by_frame")
    shown = {key: value for key, value in facts.items() if key not in apart}
    own = ["each frame has its own"] if facts["windows_by_frame"] else None
    windows = own or [_window(window) for window in facts["windows"]]
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

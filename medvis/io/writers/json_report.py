"""report.json: the report as JSON, the same text that ``--json`` prints, and its published schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.report import SCHEMA_VERSION, Report

_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SPREAD_OUT = re.compile(rf"\[\s*\n\s*({_NUMBER}(?:,\s*\n\s*{_NUMBER})*)\s*\n\s*\]")


def report_text(report: Report) -> str:
    """The report as indented JSON with a final newline (RFC 8259); keys in the order of the model.

    Lists of plain numbers (a contour's points, a spacing) stay on one line. A number that is not finite is null.
    Equal reports give equal texts.
    """
    return _SPREAD_OUT.sub(_on_one_line, report.model_dump_json(indent=2)) + "\n"


def report_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the report as it is written: every field is there, unknown ones are null."""
    body = Report.model_json_schema(mode="serialization")
    for model in (body, *body["$defs"].values()):
        model["required"] = list(model["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:medvis:schema:report:{SCHEMA_VERSION}",
        **body,
        "title": f"medvis report {SCHEMA_VERSION}",
    }


class JsonWriter(Writer):
    """Writes the report as UTF-8 JSON."""

    name = "json"

    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """Always ``report.json``."""
        del outcome_frames
        return ("report.json",)

    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes it; an OSError is the publisher's to explain."""
        path = folder / "report.json"
        path.write_bytes(report_text(outcome.report).encode())
        return [path]


def _on_one_line(match: re.Match[str]) -> str:
    """JSON strings hold no raw line break, so what matches is never inside one."""
    return f"[{', '.join(part.strip() for part in match[1].split(','))}]"

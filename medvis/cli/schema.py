"""`medvis schema`."""

from __future__ import annotations

from medvis.cli.console import emit_json


def schema() -> None:
    """Unknown values are null in a report; its field `unknown` says why."""
    from medvis.io.writers.json_report import report_schema

    emit_json(report_schema(), indent=2)

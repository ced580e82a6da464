"""A report as HTML for a notebook: verdict with its reasons, table of findings, picture. All text is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from medvis.core.wording import decimal, percent, slice_of

if TYPE_CHECKING:
    from medvis.core.report import Finding, Report

_COLOURS = {"positive": "#b3267a", "negative": "#1a7f37", "refer": "#9a6700"}
_MOST = 20  # findings in the table


def report_html(report: Report, png: bytes = b"") -> str:
    """One ``<div>`` that needs no style sheet and no network.

    Args:
        report: what is shown.
        png: the picture, as a PNG file; empty: without one.
    """
    verdict = report.verdict
    parts = [
        f"<b>{escape(report.title)}</b> &middot; {escape(report.scan.path)}",
        f'<b style="color:{_COLOURS[verdict.decision]}">{escape(verdict.decision.upper())}</b> '
        f"{escape('; '.join(verdict.reasons))}",
    ]
    html = "".join(f'<p style="margin:0.3em 0">{part}</p>' for part in parts)
    html += _classes(report) + _findings(report) + _notes([*report.scan.notes, *report.notes])
    if png:
        html += f'<img alt="heatmap" style="max-width:100%" src="data:image/png;base64,{b64encode(png).decode()}">'
    return f'<div>{html}<p style="margin:0.3em 0"><small>{escape(report.notice)}</small></p></div>'


def _classes(report: Report) -> str:
    if not report.classes:
        return ""
    listed = ", ".join(f"{escape(reading.name)} {escape(percent(reading.probability))}" for reading in report.classes)
    return f'<p style="margin:0.3em 0">classes: {listed}</p>'


def _findings(report: Report) -> str:
    if not report.findings:
        return ""
    names = ("#", "finding", "probability", "longest", "slice", "row, col")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(f"<tr>{_cells(finding, report.scan.frames)}</tr>" for finding in report.findings[:_MOST])
    more = len(report.findings) - _MOST
    below = f"<p>and {more} more in the report</p>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


def _cells(finding: Finding, frames: int) -> str:
    length = finding.longest_diameter_mm
    texts = (
        str(finding.id),
        finding.name,
        decimal(finding.probability),
        f"{finding.longest_diameter_px:.1f} px" if length is None else f"{length:.1f} mm",
        slice_of(finding.key_frame, finding.first_frame, finding.last_frame, frames),
        f"{finding.centroid[1]:.0f}, {finding.centroid[2]:.0f}",
    )
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _notes(notes: Sequence[str]) -> str:
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<ul>{listed}</ul>" if notes else ""

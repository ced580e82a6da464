"""What a person reads on stderr after a case: verdict, findings, files. All numbers are those of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.cli.console import console
from medvis.cli.failures import printable
from medvis.core.report import Finding, Report
from medvis.core.wording import decimal, over_views, percent, size_of, slice_of, spacing_of

if TYPE_CHECKING:
    from rich.table import Table

MOST, MOST_CLASSES = 12, 4
UNKNOWN = "?"
_STYLES = {"positive": "bold magenta", "negative": "bold green", "refer": "bold yellow"}


def show(report: Report, files: Sequence[Path], seconds: float) -> None:
    """The summary of one case."""
    from rich.padding import Padding
    from rich.text import Text

    screen = console()
    title = Text(printable(report.scan.path), "bold")
    title.append(f"  {_scan(report)}", "not bold dim")
    screen.print(title, soft_wrap=True)
    verdict = Text.assemble((report.verdict.decision.upper(), _STYLES[report.verdict.decision]), "  ")
    verdict.append("; ".join(report.verdict.reasons))
    screen.print(Padding(verdict, (0, 0, 0, 2), expand=False))
    if report.classes:
        screen.print(Padding(Text(_classes(report), "dim"), (0, 0, 0, 2), expand=False))
    if report.findings:
        screen.print(Padding(_table(report), (0, 0, 0, 2), expand=False))
    if len(report.findings) > MOST:
        screen.print(f"  and {len(report.findings) - MOST} more in the report")
    for note in (*report.scan.notes, *report.notes):
        screen.print(Padding(Text(f"note: {printable(note)}", "yellow"), (0, 0, 0, 2), expand=False))
    wrote = f"wrote {', '.join(printable(str(path)) for path in files)}" if files else "nothing written"
    screen.print(Text(f"  {wrote}  ({seconds:.1f} s)"), soft_wrap=True)
    screen.print(Padding(Text(report.notice, "dim"), (0, 0, 0, 2), expand=False))


def _classes(report: Report) -> str:
    """The classes of the whole image, likeliest first, and how far the views differ on the first."""
    words = [f"{printable(reading.name)} {percent(reading.probability)}" for reading in report.classes[:MOST_CLASSES]]
    if len(report.classes) > MOST_CLASSES:
        words.append(f"{len(report.classes) - MOST_CLASSES} more")
    spread = report.uncertainty.class_spread
    return f"classes: {', '.join(words)}" + ("" if spread is None else over_views(spread))


def _scan(report: Report) -> str:
    scan = report.scan
    frames = f"{scan.frames} frames of " if scan.frames > 1 else ""
    kind = " ".join(part for part in (scan.modality, scan.body_part) if part) or scan.format
    return f"{kind}, {frames}{size_of(scan.rows, scan.cols)}, {spacing_of(scan.spacing_mm)}"


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    findings = report.findings
    columns: dict[str, list[str]] = {"#": [str(finding.id) for finding in findings]}
    if len({finding.name for finding in findings}) > 1:
        columns["finding"] = [printable(finding.name) for finding in findings]
    columns["probability"] = [decimal(finding.probability) for finding in findings]
    columns["longest"] = [_length(finding) for finding in findings]
    if report.scan.frames > 1:
        columns["slice"] = [
            slice_of(finding.key_frame, finding.first_frame, finding.last_frame, report.scan.frames)
            for finding in findings
        ]
    columns["row, col"] = [f"{finding.centroid[1]:.0f}, {finding.centroid[2]:.0f}" for finding in findings]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="")
    if any(finding.malignancy is not None for finding in findings):
        of_image = bool(report.classes)
        columns["malignant*" if of_image else "rated malignant*"] = [_malignancy(finding) for finding in findings]
        basis = "the class of the whole image" if of_image else "as readers would rate it"
        table.caption, table.caption_justify = f"* {basis}; not pathology", "left"
    for name in columns:
        table.add_column(name, justify="left" if name in ("finding", "slice", "row, col") else "right", no_wrap=True)
    for cells in list(zip(*columns.values(), strict=True))[:MOST]:
        table.add_row(*cells)
    return table


def _length(finding: Finding) -> str:
    longest = finding.longest_diameter_mm
    return f"{finding.longest_diameter_px:.0f} px" if longest is None else f"{longest:.1f} mm"


def _malignancy(finding: Finding) -> str:
    return UNKNOWN if finding.malignancy is None else decimal(finding.malignancy)

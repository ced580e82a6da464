"""What a person reads on stderr after a case: verdict, findings, files. All numbers are those of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.cli.console import console
from medvis.cli.failures import printable
from medvis.core.report import Finding, Report

if TYPE_CHECKING:
    from rich.table import Table

MOST = 12
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
    screen.print(Padding(verdict, (0, 0, 0, 2)))
    if report.findings:
        screen.print(Padding(_table(report), (0, 0, 0, 2)))
    if len(report.findings) > MOST:
        screen.print(f"  and {len(report.findings) - MOST} more in the report")
    for note in (*report.scan.notes, *report.notes):
        screen.print(Padding(Text(f"note: {printable(note)}", "yellow"), (0, 0, 0, 2)))
    wrote = f"wrote {', '.join(printable(str(path)) for path in files)}" if files else "nothing written"
    screen.print(Text(f"  {wrote}  ({seconds:.1f} s)"), soft_wrap=True)
    screen.print(Padding(Text(report.notice, "dim"), (0, 0, 0, 2)))


def _scan(report: Report) -> str:
    scan = report.scan
    frames = f"{scan.frames} frames of " if scan.frames > 1 else ""
    spacing = f"{scan.spacing_mm[0]:.3g} x {scan.spacing_mm[1]:.3g} mm" if scan.spacing_mm else "spacing unknown"
    kind = " ".join(part for part in (scan.modality, scan.body_part) if part) or scan.format
    return f"{kind}, {frames}{scan.rows} x {scan.cols} px, {spacing}"


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    rated = any(finding.malignancy is not None for finding in report.findings)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="")
    table.add_column("#", justify="right")
    table.add_column("finding")
    table.add_column("probability", justify="right")
    table.add_column("longest", justify="right")
    table.add_column("where")
    if rated:
        table.add_column("rated malignant*", justify="right")
        table.caption, table.caption_justify = "* as readers would rate it; not pathology", "left"
    for finding in report.findings[:MOST]:
        cells = [str(finding.id), finding.name, _probability(finding), _length(finding), _where(finding, report)]
        table.add_row(*cells, *([_malignancy(finding)] if rated else []))
    return table


def _probability(finding: Finding) -> str:
    spread = "" if finding.spread is None else f" ± {finding.spread:.2f}"
    return f"{finding.probability:.2f}{spread}"


def _length(finding: Finding) -> str:
    if finding.longest_diameter_mm is None:
        return f"{finding.area_px} px"
    return f"{finding.longest_diameter_mm:.1f} mm"


def _where(finding: Finding, report: Report) -> str:
    place = f"row {finding.centroid[1]:.0f}, col {finding.centroid[2]:.0f}"
    if report.scan.frames == 1:
        return place
    span = "" if finding.first_frame == finding.last_frame else f" ({finding.first_frame}-{finding.last_frame})"
    return f"frame {finding.key_frame}{span}, {place}"


def _malignancy(finding: Finding) -> str:
    return UNKNOWN if finding.malignancy is None else f"{finding.malignancy:.2f}"

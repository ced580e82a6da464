"""The column beside the pictures: the verdict, the findings one by one, and what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvis.core.report import Finding, Report
from medvis.core.wording import decimal, over_views
from medvis.io.colours import CONTOUR, LINE, MUTED, SURFACE, TEXT, VERDICTS
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.classes import draw_classes
from medvis.io.picture.panel import draw_findings, draw_slice, draw_tag
from medvis.io.picture.slices import Slices, laid_over
from medvis.io.picture.text import fitted, wrapped

WIDTH = 420
_INSET, _HIGHEST = 132, 2000
_SMALL, _PLAIN = Style(14, MUTED), Style(16)


def draw_sidebar(report: Report, slices: Slices, insets: int) -> Canvas:
    """The whole column, [height, WIDTH]; the first `insets` findings with a close-up."""
    column = Canvas(WIDTH, _HIGHEST)
    y = _verdict(column, report)
    if report.classes:
        y = _heading(column, y, "Classes of the whole image")
        y = draw_classes(column, y, report.classes, report.uncertainty.get("class_spread"))
    if slices.case.findings is not None or report.findings:  # else the task outlines nothing
        y = _findings(column, y, report, slices, insets)
    y = _legend(column, y, slices, report)
    y = _notes(column, y, report.notes)
    column.pixels = column.pixels[:y].copy()
    return column


def facts(finding: Finding, of_image: bool = False) -> list[str]:
    """What is known of a finding, a line each; what is not is said. `of_image`: its rating is the image's."""
    lines = [
        f"probability {decimal(finding.probability)}{over_views(finding.spread)}",
        f"diameter {_diameter(finding)}",
    ]
    if finding.volume_mm3 is not None:
        lines.append(f"volume {finding.volume_mm3:.0f} mm3")
    if finding.longest_diameter_mm is None and "longest_diameter_mm" in finding.unknown:
        lines.append(finding.unknown["longest_diameter_mm"])
    if finding.malignancy is not None:
        words = "malignant (whole image)" if of_image else "would be rated malignant"
        lines.append(f"{words}: {decimal(finding.malignancy)}")
    # What is absent needs no room here: the report lists it.
    there = [f"{item.name} {item.value}" for item in finding.attributes if item.value not in ("none", "absent")]
    if there:
        lines.append(", ".join(there))
    return lines


def _diameter(finding: Finding) -> str:
    longest, across = finding.longest_diameter_mm, finding.perpendicular_diameter_mm
    if longest is None:
        return f"{finding.longest_diameter_px:.0f} x {finding.perpendicular_diameter_px:.0f} px"
    return f"{longest:.1f} mm" if across is None else f"{longest:.1f} x {across:.1f} mm"


def _heading(column: Canvas, y: int, text: str) -> int:
    column.text(0, y + 13, text.upper(), Style(13, MUTED))
    column.fill(Rect(0, y + 20, WIDTH, 1), LINE)
    return y + 30


def _verdict(column: Canvas, report: Report) -> int:
    verdict = report.verdict
    y = _heading(column, 0, "Verdict")
    column.fill(Rect(0, y, 5, 42), VERDICTS[verdict.decision])
    column.text(18, y + 32, verdict.decision.capitalize(), Style(32, VERDICTS[verdict.decision]))
    chance = "unknown" if verdict.probability is None else decimal(verdict.probability)
    column.text(WIDTH, y + 30, f"probability {chance}", Style(16, align="right"))
    y += 64
    shown = verdict.reasons[:2]
    for reason in shown:  # why a person must look is not cut short, unless it is very long
        for line in wrapped(reason, 15, WIDTH, 6 if len(shown) == 1 else 3):
            column.text(0, y, line, Style(15, MUTED))
            y += 20
    return y + 6


def _findings(column: Canvas, y: int, report: Report, slices: Slices, insets: int) -> int:
    findings = report.findings
    y = _heading(column, y, f"Findings ({len(findings)})")
    if not findings:
        column.text(0, y + 18, "no finding", _PLAIN)
        return y + 40
    cards = insets or 6
    for finding in findings[:cards]:
        y = _card(column, y, finding, facts(finding, bool(report.classes)), slices if insets else None)
    rest = findings[cards:]
    listed = len(rest) if len(rest) <= 4 else 3
    for finding in rest[:listed]:
        size = _diameter(finding).removeprefix("unknown, ")
        line = f"{finding.id}: {finding.name}, probability {decimal(finding.probability)}, {size}"
        column.text(0, y + 14, line, Style(15), WIDTH)
        y += 22
    if listed < len(rest):
        column.text(0, y + 14, f"and {len(rest) - listed} more in report.json", _SMALL)
        y += 22
    return y + 8


def _card(column: Canvas, y: int, finding: Finding, lines: list[str], slices: Slices | None) -> int:
    x = 14 if slices is None else _INSET + 14
    lines = [part for line in lines for part in wrapped(line, 15, WIDTH - x - 8, 2)]
    height = max(46 + 21 * len(lines), 0 if slices is None else _INSET)
    column.fill(Rect(0, y, WIDTH, height), SURFACE)
    if slices is not None:
        view = slices.fit(slices.around(finding), Rect(0, y, _INSET, _INSET))
        draw_slice(column, slices, finding.key_frame, view, overlay=False)
        draw_findings(column, slices, finding.key_frame, view, [finding])
    draw_tag(column, Rect(x, y + 9, 11 + 9 * len(str(finding.id)), 20), finding.id)
    start = x + 20 + 9 * len(str(finding.id))
    column.text(start, y + 25, finding.name.capitalize(), Style(17), WIDTH - start - 8)
    for index, line in enumerate(lines):
        column.text(x, y + 50 + 21 * index, line, Style(15, TEXT if index < 2 else MUTED), WIDTH - x - 8)
    return y + height + 10


def _legend(column: Canvas, y: int, slices: Slices, report: Report) -> int:
    findings = report.findings
    y = _heading(column, y, "How to read it")
    if slices.case.evidence is None:
        column.text(0, y + 14, "no evidence map was made", _SMALL)
        y += 26
    else:
        ramp = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (16, 1))
        column.paste(0, y, laid_over(np.full((16, WIDTH, 3), 96, np.uint8), ramp))
        column.text(0, y + 34, "0", _SMALL)
        words = f"evidence for {slices.case.evidence_of or 'a finding'} (model activation)"
        column.text(WIDTH // 2, y + 34, fitted(words, 14, WIDTH - 40), Style(14, MUTED, "centre"))
        column.text(WIDTH, y + 34, "1", Style(14, MUTED, "right"))
        y += 46
    if findings:
        ring = np.array([(16 + 12 * np.cos(turn), y + 11 + 8 * np.sin(turn)) for turn in np.arange(0, 6.28, 0.2)])
        column.outline(ring, CONTOUR, 2)
        column.text(44, y + 16, "outline of a finding (a ring if it is tiny) and its number", _SMALL)
        y += 30
    if any(finding.malignancy is not None for finding in findings):
        words = "by the image's class, not" if report.classes else "as readers would rate it, not as"
        column.text(0, y + 12, f"malignant: {words} proven by pathology", _SMALL, WIDTH)
        y += 24
    return y + 8


def _notes(column: Canvas, y: int, notes: Sequence[str]) -> int:
    if not notes:
        return y
    y = _heading(column, y, "Notes")
    for note in notes[:3]:
        for line in wrapped(note, 14, WIDTH, 2):
            column.text(0, y + 12, line, _SMALL)
            y += 19
    return y + 4

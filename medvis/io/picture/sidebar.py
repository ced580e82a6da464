"""The column beside the pictures: the verdict, the findings one by one, and what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvis.core.report import Finding, Report
from medvis.core.wording import decimal, over_views
from medvis.io.colours import LINE, MUTED, PREDICTION, SURFACE, VERDICTS
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.classes import draw_classes
from medvis.io.picture.explanations import explanations, is_coloured
from medvis.io.picture.panel import TAG, draw_tag, tag_width
from medvis.io.picture.slices import FADE_FROM, VISIBLE_FROM, Slices, laid_over
from medvis.io.picture.text import LINE_HEIGHT, READABLE, width_of, wrapped

WIDTH = 440
_HIGHEST, _PAD = 5000, 14
_CARDS, _LISTED, _NOTES = 3, 4, 3
_PLAIN, _QUIET = Style(), Style(colour=MUTED)


def draw_sidebar(report: Report, slices: Slices, frames: Sequence[int]) -> Canvas:
    """The whole column, [height, WIDTH]; `frames` are those that the page shows with the evidence."""
    column = Canvas(WIDTH, _HIGHEST)
    y = _verdict(column, report)
    if report.classes:
        y = _heading(column, y, "Classes of the whole image")
        y = draw_classes(column, y, report.classes, report.uncertainty.class_spread)
    if slices.case.findings is not None or report.findings:  # else the task outlines nothing
        y = _findings(column, y, report)
    for sentence in explanations(report, slices.case, frames):
        y = _paragraph(column, y, sentence, _PLAIN, 4) + 6
    y = _legend(column, y + 4, slices, report, is_coloured(slices.case, frames))
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


def _paragraph(column: Canvas, y: int, text: str, style: Style, lines: int) -> int:
    """A text over the column's width, in at most that many lines. Returns the next y."""
    for line in wrapped(text, style.size, WIDTH, lines):
        column.text(0, y + 20, line, style)
        y += LINE_HEIGHT
    return y


def _heading(column: Canvas, y: int, text: str) -> int:
    column.text(0, y + 18, text.upper(), _QUIET)
    column.fill(Rect(0, y + 26, WIDTH, 1), LINE)
    return y + 34


def _verdict(column: Canvas, report: Report) -> int:
    verdict = report.verdict
    y = _heading(column, 0, "Verdict")
    column.fill(Rect(0, y + 2, 6, 44), VERDICTS[verdict.decision])
    column.text(18, y + 37, verdict.decision.capitalize(), Style(36, VERDICTS[verdict.decision]))
    if verdict.probability is not None or report.findings:
        chance = "unknown" if verdict.probability is None else decimal(verdict.probability)
        column.text(WIDTH, y + 35, f"probability {chance}", Style(align="right"))
    y += 54
    shown = verdict.reasons[:2]
    for reason in shown:  # why a person must look is not cut short, unless it is very long
        y = _paragraph(column, y, reason, _QUIET, 8 if len(shown) == 1 else 5) + 2
    return y + 12


def _findings(column: Canvas, y: int, report: Report) -> int:
    findings = report.findings
    y = _heading(column, y, f"Findings ({len(findings)})")
    if not findings:
        return _paragraph(column, y, "no finding", _PLAIN, 1) + 10
    for finding in findings[:_CARDS]:
        y = _card(column, y, finding, facts(finding, bool(report.classes)))
    rest = findings[_CARDS:]
    listed = len(rest) if len(rest) <= _LISTED else _LISTED - 1
    for finding in rest[:listed]:
        line = f"{finding.id}: {finding.name}, probability {decimal(finding.probability)}, {_diameter(finding)}"
        y = _paragraph(column, y, line, _PLAIN, 3) + 4
    if listed < len(rest):
        y = _paragraph(column, y, f"and {len(rest) - listed} more in report.json", _QUIET, 1)
    return y + 10


def _card(column: Canvas, y: int, finding: Finding, lines: list[str]) -> int:
    start = _PAD + tag_width(finding.id) + 10
    name = wrapped(finding.name.capitalize(), READABLE, WIDTH - start - _PAD, 2)
    parts = [(part, index < 2) for index, line in enumerate(lines) for part in _lines_of(line)]
    height = 18 + LINE_HEIGHT * (len(name) + len(parts)) + 12
    column.fill(Rect(0, y, WIDTH, height), SURFACE)
    draw_tag(column, Rect(_PAD, y + 11, tag_width(finding.id), TAG), finding.id)
    base = y + 32
    for line in name:
        column.text(start, base, line, _PLAIN)
        base += LINE_HEIGHT
    for line, important in parts:
        column.text(_PAD, base + 4, line, _PLAIN if important else _QUIET)
        base += LINE_HEIGHT
    return y + height + 10


def _lines_of(text: str) -> list[str]:
    return wrapped(text, READABLE, WIDTH - 2 * _PAD, 6)


def _legend(column: Canvas, y: int, slices: Slices, report: Report, coloured: bool) -> int:
    y = _heading(column, y, "How to read it")
    y = _colours(column, y, slices) if coloured else _paragraph(column, y, _no_colours(slices), _QUIET, 3) + 6
    if report.findings:
        ring = np.array([(16 + 12 * np.cos(turn), y + 14 + 9 * np.sin(turn)) for turn in np.arange(0, 6.28, 0.2)])
        column.outline(ring, PREDICTION, 2)
        words = "outline of a finding (a ring if it is tiny) and its number, where there is room for one"
        for line in wrapped(words, READABLE, WIDTH - 44, 4):
            column.text(44, y + 20, line, _QUIET)
            y += LINE_HEIGHT
        y += 6
    for sentence in _hints(slices, report):
        y = _paragraph(column, y, sentence, _QUIET, 4) + 6
    return y + 10


def _colours(column: Canvas, y: int, slices: Slices) -> int:
    ramp = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (22, 1))
    column.paste(0, y + 4, laid_over(np.full((22, WIDTH, 3), 96, np.uint8), ramp))
    low = f"{FADE_FROM:g}"
    column.text(0, y + 48, "0", _QUIET)
    column.text(max(round(WIDTH * FADE_FROM) - width_of(low, READABLE) // 2, 24), y + 48, low, _QUIET)
    column.text(WIDTH, y + 48, "1", Style(colour=MUTED, align="right"))
    words = f"evidence for {slices.case.evidence_of or 'a finding'} (model activation); below {low} no colour"
    return _paragraph(column, y + 54, words, _QUIET, 4) + 6


def _no_colours(slices: Slices) -> str:
    if slices.case.evidence is None:
        return "no evidence map was made"
    return f"no colours: the evidence for {slices.case.evidence_of or 'a finding'} is below {VISIBLE_FROM:g} here"


def _hints(slices: Slices, report: Report) -> list[str]:
    """What else a reader must know of these pictures, a sentence each."""
    hints = []
    if any(finding.malignancy is not None for finding in report.findings):
        words = "by the image's class, not" if report.classes else "as readers would rate it, not as"
        hints.append(f"malignant: {words} proven by pathology")
    part, (rows, cols) = slices.shown, slices.scan.shape
    if part != slices.whole:
        hints.append(
            f"cropped to what was searched: columns {part.col0 + 1}-{part.col1} of {cols}, rows {part.row0 + 1}-"
            f"{part.row1} of {rows}"
        )
    method = slices.scan.fact("enhance", "method")
    if method not in (None, "none"):
        how = "local contrast enhanced (CLAHE)" if method == "clahe" else "noise removed"
        hints.append(f"not shown: the model saw it with {how}")
    return hints


def _notes(column: Canvas, y: int, notes: Sequence[str]) -> int:
    if not notes:
        return y
    y = _heading(column, y, "Notes")
    for note in notes[:_NOTES]:
        y = _paragraph(column, y, note, _QUIET, 4) + 6
    if len(notes) > _NOTES:
        y = _paragraph(column, y, f"and {len(notes) - _NOTES} more in report.json", _QUIET, 1)
    return y + 4

"""The classes of a whole image as a list of bars: length and number say the same, no colour is needed to read them."""

from __future__ import annotations

from collections.abc import Sequence

from medvis.core.report import Reading
from medvis.core.wording import over_views, percent
from medvis.io.colours import CONTOUR, LINE, MUTED, SURFACE, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style

MOST = 8
_ROW, _NUMBER, _GAP = 25, 46, 12


def draw_classes(column: Canvas, y: int, classes: Sequence[Reading], spread: float | None) -> int:
    """The likeliest classes from `y` on, over the column's width, and the spread of the first. Returns the next y."""
    width = column.size[0]
    named, start = width * 3 // 5, width * 3 // 5 + _GAP
    longest = width - start - _NUMBER - _GAP
    for index, reading in enumerate(classes[:MOST]):
        base, first = y + 17, index == 0
        column.text(0, base, reading.name, Style(15, TEXT if first else MUTED), named)
        column.fill(Rect(start, y + 5, longest, 14), SURFACE)
        column.fill(Rect(start, y + 5, round(longest * reading.probability), 14), CONTOUR if first else MUTED)
        column.fill(Rect(start, y + 5, 1, 14), LINE)
        column.text(width, base, percent(reading.probability), Style(15, TEXT if first else MUTED, "right"))
        y += _ROW
    if len(classes) > MOST:
        column.text(0, y + 14, f"and {len(classes) - MOST} less likely ones in report.json", Style(14, MUTED), width)
        y += 22
    if spread is not None:
        column.text(0, y + 14, f"likeliest class{over_views(spread)}", Style(14, MUTED), width)
        y += 22
    return y + 10

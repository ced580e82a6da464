"""The classes of a whole image as a list of bars: length and number say the same, no colour is needed to read them."""

from __future__ import annotations

from collections.abc import Sequence

from medvis.core.report import Reading
from medvis.core.wording import over_views, percent
from medvis.io.colours import LINE, MUTED, PREDICTION, SURFACE, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.text import LINE_HEIGHT, READABLE, wrapped

MOST = 8
_BAR, _NUMBER, _GAP = 16, 62, 12


def draw_classes(column: Canvas, y: int, classes: Sequence[Reading], spread: float | None) -> int:
    """The likeliest classes from `y` on, over the column's width, and the spread of the first. Returns the next y."""
    width = column.size[0]
    longest = width - _NUMBER - _GAP
    for index, reading in enumerate(classes[:MOST]):
        shade, base = (TEXT, PREDICTION) if index == 0 else (MUTED, MUTED)
        for line in wrapped(reading.name, READABLE, width, 2):
            column.text(0, y + 20, line, Style(colour=shade))
            y += LINE_HEIGHT
        column.fill(Rect(0, y + 2, longest, _BAR), SURFACE)
        column.fill(Rect(0, y + 2, round(longest * reading.probability), _BAR), base)
        column.fill(Rect(0, y + 2, 1, _BAR), LINE)
        column.text(width, y + 17, percent(reading.probability), Style(colour=shade, align="right"))
        y += LINE_HEIGHT
    more = [f"and {len(classes) - MOST} less likely ones in report.json"] * (len(classes) > MOST)
    more += [f"likeliest class{over_views(spread)}"] * (spread is not None)
    for line in (part for text in more for part in wrapped(text, READABLE, width, 2)):
        column.text(0, y + 20, line, Style(colour=MUTED))
        y += LINE_HEIGHT
    return y + 12

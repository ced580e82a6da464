"""The overview of a series: small pictures of its frames, those with a finding framed."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from medvis.core.report import Finding
from medvis.io.colours import BLACK, LINE, MUTED, PREDICTION, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.panel import draw_findings, draw_slice
from medvis.io.picture.slices import Slices
from medvis.io.picture.text import LINE_HEIGHT, READABLE, fitted, wrapped

MOST_FRAMES, FRAMES_A_ROW = 18, 7
_GAP = 16


def draw_overview(slices: Slices, findings: Sequence[Finding], wide: int) -> Canvas:
    """Up to 18 frames with evidence and outlines, above each its number (from 1) and those of its findings."""
    frames = overview_frames(slices.scan.frames, [item.key_frame for item in findings])
    columns = ceil(len(frames) / ceil(len(frames) / FRAMES_A_ROW))
    width = min((wide - (columns - 1) * _GAP) // columns, 190)
    height = round(min(max(width / slices.shape_ratio(), 40), 1.5 * width))
    some = "all" if len(frames) == slices.scan.frames else f"{len(frames)} of"
    framed = "; framed: with a finding, its number above" if findings else ""
    title = wrapped(f"Overview, {some} {slices.scan.frames} slices{framed}", READABLE, wide, 2)
    above = LINE_HEIGHT * len(title) + 4
    pitch = LINE_HEIGHT + height + _GAP
    page = Canvas(wide, above + ceil(len(frames) / columns) * pitch - _GAP)
    for index, line in enumerate(title):
        page.text(0, LINE_HEIGHT * index + 20, line, Style(colour=MUTED))
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        box = Rect(column * (width + _GAP), above + row * pitch + LINE_HEIGHT, width, height)
        _thumbnail(page, slices, frame, box, findings)
    return page


def _thumbnail(page: Canvas, slices: Slices, frame: int, box: Rect, findings: Sequence[Finding]) -> None:
    page.fill(box, BLACK)
    view = slices.fit(slices.shown, box)
    draw_slice(page, slices, frame, view, overlay=True)
    marks = draw_findings(page, slices, frame, view, findings)
    page.frame(box, PREDICTION if marks else LINE, 3 if marks else 1)
    base = box.y - 7
    used = page.text(box.x, base, str(frame + 1), Style(colour=TEXT))
    numbers = ", ".join(str(number) for number, _ in marks)
    page.text(box.right, base, fitted(numbers, READABLE, box.width - used - 8), Style(colour=PREDICTION, align="right"))


def overview_frames(frames: int, wanted: Sequence[int]) -> list[int]:
    """Up to MOST_FRAMES frames, evenly spread, with those that are wanted among them."""
    if frames <= MOST_FRAMES:
        return list(range(frames))
    keys = sorted(set(wanted))[:MOST_FRAMES]
    spread = np.linspace(0, frames - 1, MOST_FRAMES).round().astype(int).tolist()
    for key in keys:
        others = [frame for frame in spread if frame not in keys]
        if key not in spread:
            spread[spread.index(min(others, key=lambda frame: abs(frame - key)))] = key
    return sorted(spread)

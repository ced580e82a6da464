"""The pictures of a page: a slice with and without the evidence, or tiles of findings, and an overview of a series.

A page is rows of titled panels, one below the other, so that nothing can lie on anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from medvis.core.report import Finding
from medvis.io.colours import BLACK, MUTED, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.explanations import is_coloured
from medvis.io.picture.overview import draw_overview, overview_frames
from medvis.io.picture.panel import draw_findings, draw_numbers, draw_scale, draw_sides, draw_slice
from medvis.io.picture.region import Region
from medvis.io.picture.slices import Slices
from medvis.io.picture.text import LINE_HEIGHT, READABLE, wrapped

WIDTH, GAP = 780, 16
HALF = (WIDTH - GAP) // 2
TOMOGRAPHY = frozenset({"CT", "MR", "PT", "NM"})
MOST_FINDINGS, LARGE_TILES, CLOSE_UPS = 6, 3, 3
_WIDE, _HIGHEST, _LOWEST = 1.75, 640, 60
_CLOSER = 0.5  # a close-up of more than this share of the picture would show the same once more


@dataclass(frozen=True)
class Shot:
    """What a panel shows: a region of a frame, with or without the evidence, and which findings are marked."""

    frame: int
    region: Region
    overlay: bool = False
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Panel:
    """A picture with its title, and its size in px without that."""

    title: str
    shot: Shot
    width: int
    height: int


def drawn_frames(slices: Slices, findings: Sequence[Finding]) -> list[int]:
    """The frames that the page shows with the evidence."""
    if slices.scan.frames == 1:
        return [0]
    keys = {item.key_frame for item in findings[:MOST_FINDINGS]} or {slices.brightest_frame()}
    return sorted(keys | set(overview_frames(slices.scan.frames, [item.key_frame for item in findings])))


def single_page(slices: Slices, findings: Sequence[Finding]) -> Canvas:
    """One slice: large with evidence and outlines, then plain, and close-ups of findings. A series' frames below."""
    frame = findings[0].key_frame if findings else slices.brightest_frame()
    ratio, place = slices.shape_ratio(), _place(slices, frame)
    height = min(max(round(WIDTH / ratio), _LOWEST), _HIGHEST)
    plain = f"{place}, {slices.grey_words}{_cropped(slices)}"
    coloured = is_coloured(slices.case, [frame])
    if not coloured and not findings:
        large = Panel(f"{plain}; nothing is coloured or outlined", Shot(frame, slices.shown), WIDTH, height)
        small = []
    else:
        of = f" for {slices.case.evidence_of}" if slices.case.evidence_of else ""
        shown = [f"evidence{of} (coloured)"] * coloured + ["findings (outlined)"] * bool(findings)
        words = f"{place}: {' and '.join(shown)}{_cropped(slices)}"
        large = Panel(words, Shot(frame, slices.shown, True, findings), WIDTH, height)
        wide = WIDTH if ratio >= _WIDE else HALF
        same = Panel(plain, Shot(frame, slices.shown), wide, min(max(round(wide / ratio), _LOWEST), HALF))
        small = [same, *(_close_up(slices, item, HALF) for item in findings[:CLOSE_UPS] if _is_closer(slices, item))]
    rows = [_row(slices, [large], WIDTH), *_rows(slices, small)]
    if slices.scan.frames > 1:
        rows.append(draw_overview(slices, findings, WIDTH))
    return _stacked(rows)


def series_page(slices: Slices, findings: Sequence[Finding]) -> Canvas:
    """The key slice and a close-up of up to six findings, and an overview of the frames."""
    shown = findings[:MOST_FINDINGS]
    across, width = (1, WIDTH) if len(shown) <= LARGE_TILES else (2, HALF)
    tiles = [_tile(slices, finding, findings, width) for finding in shown]
    rows = [_beside(tiles[first : first + across]) for first in range(0, len(tiles), across)]
    return _stacked([*rows, draw_overview(slices, findings, WIDTH)])


def _tile(slices: Slices, finding: Finding, findings: Sequence[Finding], width: int) -> Canvas:
    first, last = finding.first_frame + 1, finding.last_frame + 1
    span = ", on this slice only" if first == last else f", seen on {first} to {last}"
    words = f"Finding {finding.id}: slice {finding.key_frame + 1} of {slices.scan.frames}{span}"
    ratio = min(max(slices.shape_ratio(), 0.7), 2.0)
    side = round((width - GAP) / (1 + ratio))  # of the close-up: both panels are equally high
    coloured = is_coloured(slices.case, [finding.key_frame])
    marked = "Evidence and outlines" if coloured else "Outlines, no evidence"
    own_first = [finding, *(other for other in findings if other.id != finding.id)]  # its number gets its room first
    shot = Shot(finding.key_frame, slices.shown, True, own_first)
    close_up = Shot(finding.key_frame, slices.around(finding), False, [finding])
    panels = [
        Panel(marked + _cropped(slices), shot, width - GAP - side, side),
        Panel(f"Close-up, {slices.grey_words}", close_up, side, side),
    ]
    return _stacked([_heading(words, width), _row(slices, panels, width)], gap=0)


def _close_up(slices: Slices, finding: Finding, side: int) -> Panel:
    words = f"Close-up of finding {finding.id}, {slices.grey_words}"
    return Panel(words, Shot(finding.key_frame, slices.around(finding), False, [finding]), side, side)


def _is_closer(slices: Slices, finding: Finding) -> bool:
    (rows, cols), (high, wide) = slices.shown.shape, slices.around(finding).shape
    return high * wide <= _CLOSER * rows * cols


def _place(slices: Slices, frame: int) -> str:
    kind = "Slice" if slices.scan.modality in TOMOGRAPHY else "Image"
    return kind if slices.scan.frames == 1 else f"{kind} {frame + 1} of {slices.scan.frames}"


def _cropped(slices: Slices) -> str:
    return "" if slices.shown == slices.whole else ", cropped"


def _heading(text: str, width: int) -> Canvas:
    lines = wrapped(text, READABLE, width, 3)
    canvas = Canvas(width, LINE_HEIGHT * len(lines))
    for index, line in enumerate(lines):
        canvas.text(0, LINE_HEIGHT * index + 20, line, Style(colour=TEXT))
    return canvas


def _rows(slices: Slices, panels: Sequence[Panel]) -> list[Canvas]:
    """Panels from left to right, as many in a row as there is room for."""
    rows: list[list[Panel]] = []
    for panel in panels:
        if rows and sum(other.width + GAP for other in rows[-1]) + panel.width <= WIDTH:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return [_row(slices, row, WIDTH) for row in rows]


def _row(slices: Slices, panels: Sequence[Panel], width: int) -> Canvas:
    titles = []
    for panel in panels:
        flat = slices.is_stretched(panel.shot.region, Rect(0, 0, panel.width, panel.height))
        titles.append(wrapped(panel.title + ", drawn thicker than it is" * flat, READABLE, panel.width, 4))
    above = LINE_HEIGHT * max(map(len, titles)) + 4
    canvas = Canvas(width, above + max(panel.height for panel in panels))
    x = 0
    for panel, lines in zip(panels, titles, strict=True):
        for index, line in enumerate(lines):
            canvas.text(x, LINE_HEIGHT * index + 20, line, Style(colour=MUTED))
        _picture(canvas, slices, panel.shot, Rect(x, above, panel.width, panel.height))
        x += panel.width + GAP
    return canvas


def _picture(canvas: Canvas, slices: Slices, shot: Shot, box: Rect) -> None:
    canvas.fill(box, BLACK)
    view = slices.fit(shot.region, box)
    draw_slice(canvas, slices, shot.frame, view, shot.overlay)
    marks = draw_findings(canvas, slices, shot.frame, view, shot.findings)
    taken = draw_scale(canvas, slices, view, box)
    taken += draw_sides(canvas, slices.scan.geometry, view.rect, [*taken, *(bounds for _, bounds in marks)])
    draw_numbers(canvas, box, marks, taken)


def _beside(tiles: Sequence[Canvas]) -> Canvas:
    canvas = Canvas(WIDTH, max(tile.size[1] for tile in tiles))
    for index, tile in enumerate(tiles):
        canvas.paste(index * ceil((WIDTH + GAP) / 2), 0, tile.pixels)
    return canvas


def _stacked(rows: Sequence[Canvas], gap: int = GAP) -> Canvas:
    canvas = Canvas(max(row.size[0] for row in rows), sum(row.size[1] + gap for row in rows) - gap)
    y = 0
    for row in rows:
        canvas.paste(0, y, row.pixels)
        y += row.size[1] + gap
    return canvas

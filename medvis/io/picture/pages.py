"""The pictures of a page: two panels for one slice, a grid of key slices and an overview for a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from medvis.core.report import Finding
from medvis.io.colours import BLACK, CONTOUR, LINE, MUTED, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.panel import draw_findings, draw_numbers, draw_scale, draw_sides, draw_slice, shadowed
from medvis.io.picture.slices import Region, Slices


@dataclass(frozen=True)
class Shot:
    """What a panel shows: a region of a frame, with or without the evidence, and which findings are marked."""

    frame: int
    region: Region
    overlay: bool = False
    findings: Sequence[Finding] = ()


SIDE, GAP, CAPTION = 680, 16, 26
TOMOGRAPHY = frozenset({"CT", "MR", "PT", "NM"})
MOST_SLICES, MOST_FRAMES, FRAMES_A_ROW = 6, 24, 12


def single_page(slices: Slices, findings: Sequence[Finding]) -> Canvas:
    """One slice, plain and overlaid: side by side, or one above the other if it is wide. A series' frames below."""
    frame = findings[0].key_frame if findings else slices.brightest_frame()
    width, height, stacked = _panel_size(slices.shape_ratio())
    across, down = (1, 2) if stacked else (2, 1)
    wide = across * width + (across - 1) * GAP
    page = Canvas(wide, down * (height + CAPTION) + (down - 1) * GAP)
    kind = "Slice" if slices.scan.modality in TOMOGRAPHY else "Image"
    position = "" if slices.scan.frames == 1 else f" {frame + 1} of {slices.scan.frames}"
    of = f" for {slices.case.evidence_of}" if slices.case.evidence_of else ""
    second = f"Evidence{of} and findings" if findings else f"Evidence{of}"
    for index, title in enumerate((f"{kind}{position}", second)):
        x, y = (0, index * (height + CAPTION + GAP)) if stacked else (index * (width + GAP), 0)
        box = Rect(x, y + CAPTION, width, height)
        page.text(x, y + 16, title, Style(16, MUTED), width)
        _panel(page, slices, Shot(frame, slices.whole, bool(index), findings if index else ()), box)
    return page if slices.scan.frames == 1 else _above(page, _overview(slices, findings, wide))


def series_page(slices: Slices, findings: Sequence[Finding]) -> Canvas:
    """The key slice and a close-up of up to six findings, and an overview of the frames."""
    shown = findings[:MOST_SLICES]
    columns = 1 if len(shown) <= 2 else 2
    panels = 3 if columns == 1 else 2
    wide = 2 * SIDE + GAP
    tile = (wide - (columns - 1) * 2 * GAP) // columns
    side = (tile - (panels - 1) * GAP) // panels
    page = Canvas(wide, ceil(len(shown) / columns) * (side + CAPTION + GAP))
    for index, finding in enumerate(shown):
        row, column = divmod(index, columns)
        _tile(page, slices, finding, findings, (column * (tile + 2 * GAP), row * (side + CAPTION + GAP), side, panels))
    return _above(page, _overview(slices, findings, wide))


def _tile(
    page: Canvas, slices: Slices, finding: Finding, findings: Sequence[Finding], corner: tuple[int, int, int, int]
) -> None:
    x, y, side, panels = corner
    frame = finding.key_frame
    first, last = finding.first_frame + 1, finding.last_frame + 1
    span = ", on this slice only" if first == last else f", seen on {first} to {last}"
    page.text(x, y + 16, f"Finding {finding.id}: slice {frame + 1} of {slices.scan.frames}{span}", Style(16, MUTED))
    boxes = [Rect(x + index * (side + GAP), y + CAPTION, side, side) for index in range(panels)]
    if panels == 3:
        _panel(page, slices, Shot(frame, slices.whole), boxes[0])
    _panel(page, slices, Shot(frame, slices.whole, True, findings), boxes[-2])
    _panel(page, slices, Shot(frame, slices.around(finding), False, [finding]), boxes[-1])


def _panel(page: Canvas, slices: Slices, shot: Shot, box: Rect) -> None:
    page.fill(box, BLACK)
    view = slices.fit(shot.region, box)
    draw_slice(page, slices, shot.frame, view, shot.overlay)
    marks = draw_findings(page, slices, shot.frame, view, shot.findings)
    taken = [*draw_scale(page, slices, view), *draw_sides(page, slices.scan.geometry, view.rect)]
    draw_numbers(page, view.rect, marks, taken)


def _overview(slices: Slices, findings: Sequence[Finding], wide: int) -> Canvas:
    frames = overview_frames(slices.scan.frames, [item.key_frame for item in findings])
    rows = ceil(len(frames) / FRAMES_A_ROW)
    columns = ceil(len(frames) / rows)
    width = min((wide - (columns - 1) * 8) // columns, 190)
    height = round(min(max(width / slices.shape_ratio(), 40), 1.5 * width))
    page = Canvas(wide, CAPTION + rows * (height + 8))
    some = "all" if len(frames) == slices.scan.frames else f"{len(frames)} of"
    framed = "; framed: with a finding" if findings else ""
    page.text(0, 16, f"Overview, {some} {slices.scan.frames} slices{framed}", Style(16, MUTED))
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        box = Rect(column * (width + 8), CAPTION + row * (height + 8), width, height)
        _thumbnail(page, slices, frame, box, findings)
    return page


def _thumbnail(page: Canvas, slices: Slices, frame: int, box: Rect, findings: Sequence[Finding]) -> None:
    page.fill(box, BLACK)
    view = slices.fit(slices.whole, box)
    draw_slice(page, slices, frame, view, overlay=True)
    marks = draw_findings(page, slices, frame, view, findings)
    page.frame(box, CONTOUR if marks else LINE, 2 if marks else 1)
    shadowed(page, box.x + 6, box.y + 17, str(frame + 1), Style(13, TEXT))
    if marks:
        numbers = ", ".join(str(number) for number, _ in marks)
        shadowed(page, box.right - 7, box.y + 17, numbers, Style(13, CONTOUR, "right"))


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


def _above(upper: Canvas, lower: Canvas) -> Canvas:
    page = Canvas(upper.size[0], upper.size[1] + GAP + lower.size[1])
    page.paste(0, 0, upper.pixels)
    page.paste(0, upper.size[1] + GAP, lower.pixels)
    return page


def _panel_size(ratio: float) -> tuple[int, int, bool]:
    """Width and height of a panel, and whether the two are stacked, for a slice of that width over height."""
    if ratio > 1.6:
        width = min(max(round(430 * ratio), SIDE), 2 * SIDE)
        return width, min(max(round(width / ratio), 160), 430), True
    height = min(round(SIDE / ratio), SIDE + 80)
    return min(max(round(height * ratio), 320), SIDE), height, False

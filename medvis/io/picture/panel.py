"""One slice on the canvas: the picture, the findings' outlines and numbers, a scale bar, and the patient's sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from medvis.core.arrays import Float64s
from medvis.core.geometry import Geometry
from medvis.core.report import Finding
from medvis.io.colours import BLACK, CONTOUR, DARK, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.slices import Slices, View
from medvis.io.picture.text import width_of

_TAG, _TINY, _LARGE = 20, 16.0, 60.0
_SIDES = (("R", "L"), ("A", "P"), ("F", "H"))  # towards − and + of the LPS axes: right/left, front/back, feet/head


def draw_slice(canvas: Canvas, slices: Slices, frame: int, view: View, overlay: bool) -> None:
    """The picture alone."""
    canvas.paste(view.rect.x, view.rect.y, (slices.overlaid if overlay else slices.plain)(frame, view))


def draw_findings(
    canvas: Canvas, slices: Slices, frame: int, view: View, findings: Iterable[Finding]
) -> list[tuple[int, Rect]]:
    """Outlines of the findings on this frame, cut at the picture's edge. Returns each one's number and bounds.

    The smaller a finding is on the canvas, the thinner its outline; what would be hidden by it gets a ring instead.
    """
    edge = view.rect
    inside = Canvas(1, 1)
    inside.pixels = canvas.pixels[edge.y : edge.bottom, edge.x : edge.right]
    bounds = []
    for finding in findings:
        outline = slices.outline(finding, frame)
        if outline is not None:
            points = _ringed(view.at(outline))
            rim = 1 if np.ptp(points, axis=0).min() < _LARGE else 2
            inside.outline(points - (edge.x, edge.y), CONTOUR, 2, rim)
            bounds.append((finding.id, _bounds(points)))
    return bounds


def draw_numbers(canvas: Canvas, edge: Rect, marks: Sequence[tuple[int, Rect]], taken: Iterable[Rect] = ()) -> None:
    """The number of each finding beside its outline, where it hides neither an outline nor another number."""
    used = [*taken, *(bounds for _, bounds in marks)]
    for number, bounds in marks:
        if not bounds.overlaps(edge):
            continue
        wide = _TAG + 9 * (len(str(number)) - 1)
        tag = _tag_position(bounds, wide, edge, used)
        used.append(tag)
        draw_tag(canvas, tag, number)


def draw_tag(canvas: Canvas, tag: Rect, number: int) -> None:
    """A finding's number, dark on the colour of the outlines."""
    canvas.fill(Rect(tag.x - 1, tag.y - 1, tag.width + 2, tag.height + 2), DARK)
    canvas.fill(tag, CONTOUR)
    canvas.text(tag.x + tag.width // 2, tag.bottom - 5, str(number), Style(15, DARK, "centre"))


def draw_scale(canvas: Canvas, slices: Slices, view: View) -> list[Rect]:
    """A bar of a round length in mm; none where the spacing is unknown. Returns the place it takes, if any."""
    spacing = slices.scan.geometry.spacing
    if spacing is None:
        return []
    per_unit = view.px_per_col / spacing[1]
    amount = _round_length(0.28 * view.rect.width / per_unit)
    wide = max(1, round(amount * per_unit))
    x, y = view.rect.x + 14, view.rect.bottom - 16
    label = f"{amount:g} mm"
    plate = Rect(x - 8, y - 25, max(wide, width_of(label, 14)) + 16, 35)
    canvas.dim(plate)
    canvas.text(x, y - 8, label, Style(14))
    canvas.fill(Rect(x, y, wide, 3), TEXT)
    return [plate]


def draw_sides(canvas: Canvas, geometry: Geometry, edge: Rect) -> list[Rect]:
    """Which side of the patient each edge of the picture shows (PS3.3 C.7.6.1.1.1), unless unknown or too small."""
    if geometry.orientation is None or min(edge.width, edge.height) < 5 * _TAG:
        return []
    left, right = side_names(geometry.orientation[:3])
    top, bottom = side_names(geometry.orientation[3:])
    middle_x, middle_y = edge.x + edge.width // 2, edge.y + edge.height // 2 + 6
    shadowed(canvas, edge.x + 10, middle_y, left, Style(17))
    shadowed(canvas, edge.right - 10, middle_y, right, Style(17, align="right"))
    shadowed(canvas, middle_x, edge.y + 24, top, Style(17, align="centre"))
    shadowed(canvas, middle_x, edge.bottom - 10, bottom, Style(17, align="centre"))
    near = [(edge.x, middle_y - 18), (edge.right - 30, middle_y - 18)]
    near += [(middle_x - 15, edge.y), (middle_x - 15, edge.bottom - 30)]
    return [Rect(x, y, 30, 30) for x, y in near]


def side_names(direction: np.ndarray) -> tuple[str, str]:
    """Where a direction (cosines in LPS) comes from and goes to, e.g. ("R", "L"); up to two letters if oblique."""
    order = sorted(range(3), key=lambda axis: -abs(float(direction[axis])))
    main = [axis for axis in order if abs(float(direction[axis])) > 0.25][:2]
    ends = ["".join(_SIDES[axis][int((direction[axis] > 0) == ahead)] for axis in main) for ahead in (False, True)]
    return ends[0], ends[1]


def shadowed(canvas: Canvas, x: int, base: int, text: str, style: Style) -> None:
    """A text that stays readable on any picture: with a dark rim."""
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1)):
        canvas.text(x + right, base + down, text, Style(style.size, BLACK, style.align))
    canvas.text(x, base, text, style)


def _ringed(points: Float64s) -> Float64s:
    """The outline or, if it is too small for a line around it, a ring that leaves room."""
    low, high = points.min(axis=0), points.max(axis=0)
    if (high - low).max() >= _TINY:
        return points
    turns = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = max(float((high - low).max()) / 2 + 4, 6.0)
    return np.asarray((low + high) / 2 + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1))


def _bounds(points: Float64s) -> Rect:
    low, high = np.floor(points.min(axis=0)).astype(int) - 3, np.ceil(points.max(axis=0)).astype(int) + 4
    return Rect(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def _tag_position(bounds: Rect, wide: int, edge: Rect, used: Sequence[Rect]) -> Rect:
    """The first of eight places around `bounds` that is free and inside; else the nearest inside."""
    gap = 3
    lefts = (bounds.right + gap, bounds.x - wide - gap, bounds.x + (bounds.width - wide) // 2)
    tops = (bounds.y - _TAG - gap, bounds.bottom + gap, bounds.y + (bounds.height - _TAG) // 2)
    sides = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 0), (2, 1)]
    tags = [Rect(lefts[across], tops[down], wide, _TAG) for across, down in sides]
    free = (tag for tag in tags if edge.holds(tag) and not any(tag.overlaps(other) for other in used))
    fallback = Rect(
        min(max(tags[0].x, edge.x), edge.right - wide), min(max(tags[0].y, edge.y), edge.bottom - _TAG), wide, _TAG
    )
    return next(free, fallback)


def _round_length(most: float) -> float:
    """The greatest of 1, 2, 5 · 10ⁿ that is not above `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))

"""One slice on the canvas: the picture, the findings' outlines and numbers, a scale bar, and the patient's sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from medvis.core.arrays import Float64s
from medvis.core.geometry import Geometry
from medvis.core.report import Finding
from medvis.io.colours import BLACK, DARK, PREDICTION, TEXT
from medvis.io.picture.canvas import Canvas, Rect, Style
from medvis.io.picture.slices import Slices, View
from medvis.io.picture.text import READABLE, width_of

TAG, _TINY, _LARGE = 26, 16.0, 60.0
_LETTER = 34  # px that the letters of a side take
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
            inside.outline(points - (edge.x, edge.y), PREDICTION, 2, rim)
            bounds.append((finding.id, _bounds(points)))
    return bounds


def draw_numbers(canvas: Canvas, edge: Rect, marks: Sequence[tuple[int, Rect]], taken: Iterable[Rect] = ()) -> None:
    """The number of each finding beside its outline; left out where it would hide an outline or another number."""
    used = [*taken, *(bounds for _, bounds in marks)]
    for number, bounds in marks:
        if not bounds.overlaps(edge):
            continue
        wide = tag_width(number)
        tag = _tag_position(bounds, wide, edge, used)
        if tag is not None:
            used.append(Rect(tag.x - 1, tag.y - 1, tag.width + 2, tag.height + 2))
            draw_tag(canvas, tag, number)


def tag_width(number: int) -> int:
    """Width in px of the tag with a finding's number."""
    return max(TAG, width_of(str(number), READABLE) + 12)


def draw_tag(canvas: Canvas, tag: Rect, number: int) -> None:
    """A finding's number, dark on the colour of the outlines."""
    canvas.fill(Rect(tag.x - 1, tag.y - 1, tag.width + 2, tag.height + 2), DARK)
    canvas.fill(tag, PREDICTION)
    canvas.text(tag.x + tag.width // 2, tag.bottom - 5, str(number), Style(READABLE, DARK, "centre"))


def draw_scale(canvas: Canvas, slices: Slices, view: View, box: Rect) -> list[Rect]:
    """A bar of a round length in mm, in the corner of the picture or, if that is too small, of the panel `box`.

    None where the spacing is unknown, or not even the panel has room. Returns the place it takes, if any.
    """
    spacing = slices.scan.geometry.spacing
    if spacing is None:
        return []
    per_unit = view.px_per_col / spacing[1]
    amount = _round_length(0.28 * view.rect.width / per_unit)
    wide, label = max(1, round(amount * per_unit)), f"{amount:g} mm"
    size = Rect(0, 0, max(wide, width_of(label, READABLE)) + 16, 44)
    edge = view.rect if size.width <= view.rect.width and size.height <= view.rect.height else box
    if size.width > edge.width or size.height > edge.height:
        return []
    inset = min(6, edge.width - size.width, edge.height - size.height)
    plate = Rect(edge.x + inset, edge.bottom - size.height - inset, size.width, size.height)
    canvas.dim(plate)
    canvas.text(plate.x + 8, plate.bottom - 17, label, Style())
    canvas.fill(Rect(plate.x + 8, plate.bottom - 9, wide, 3), TEXT)
    return [plate]


def draw_sides(canvas: Canvas, geometry: Geometry, edge: Rect, taken: Sequence[Rect] = ()) -> list[Rect]:
    """Which side of the patient each edge of the picture shows (PS3.3 C.7.6.1.1.1), unless unknown or too small.

    A letter that would lie on what is `taken` is left out. Returns the places of the others.
    """
    if geometry.orientation is None or min(edge.width, edge.height) < 5 * TAG:
        return []
    left, right = side_names(geometry.orientation[:3])
    top, bottom = side_names(geometry.orientation[3:])
    across, down = edge.x + (edge.width - _LETTER) // 2, edge.y + (edge.height - _LETTER) // 2
    places = []
    for name, x, y in (
        (left, edge.x, down),
        (right, edge.right - _LETTER, down),
        (top, across, edge.y),
        (bottom, across, edge.bottom - _LETTER),
    ):
        place = Rect(x, y, _LETTER, _LETTER)
        if name and not any(place.overlaps(other) for other in taken):
            shadowed(canvas, x + _LETTER // 2, y + _LETTER - 9, name, Style(align="centre"))
            places.append(place)
    return places


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


def _tag_position(bounds: Rect, wide: int, edge: Rect, used: Sequence[Rect]) -> Rect | None:
    """The first of eight places around `bounds`, the nearest ones first, that is free and inside; None: none is."""
    sides = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 0), (2, 1)]
    for gap in (3, 12, 24):
        lefts = (bounds.right + gap, bounds.x - wide - gap, bounds.x + (bounds.width - wide) // 2)
        tops = (bounds.y - TAG - gap, bounds.bottom + gap, bounds.y + (bounds.height - TAG) // 2)
        tags = [Rect(lefts[across], tops[down], wide, TAG) for across, down in sides]
        free = [tag for tag in tags if edge.holds(tag) and not any(tag.overlaps(other) for other in used)]
        if free:
            return free[0]
    return None


def _round_length(most: float) -> float:
    """The greatest of 1, 2, 5 · 10ⁿ that is not above `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))

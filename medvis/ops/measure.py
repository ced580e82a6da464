"""Measurements of labelled findings: size, position, outline and intensity. Unknown is None, and `reasons` says why.

Lengths run between outer pixel edges, see `medvis.ops.diameters`. scikit-image's `regionprops` would give area, box and
centroid, each one line here; importing it takes 0.4 s, on the way of every diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import dist

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s, Float64s, Indices, Labels, Uint8s
from medvis.ops.diameters import Axis, Diameters, Point, axis_between, diameters

NO_SPACING = "the image does not tell the size of its pixels"
ONE_FRAME = "a single frame has no depth"
NO_DEPTH = "the distance between the frames is not known"
AS_DRAWN = (
    "sizes follow the outline as the model drew it; how far off they are was measured for edges at half contrast only"
)


# The field that says how far off a size may be → that size's field.
RANGES = {"longest_diameter_range_mm": "longest_diameter_mm", "volume_range_mm3": "volume_mm3"}


@dataclass(frozen=True)
class Statistics:
    """Of the pixel values inside a finding, over all its frames; `sd` is that of the population."""

    mean: float
    sd: float
    min: float
    max: float


@dataclass(frozen=True)
class Measurement:
    """One finding. Rows and columns are 0-based pixels, a whole number being a pixel's centre.

    Attributes:
        number: its value in the labels.
        key_frame: the frame with its largest area, the first of equal ones.
        first_frame, last_frame: the frames it spans.
        box: half-open (row0, col0, row1, col1) on the key frame.
        centroid: (frame, row, col) over all its pixels.
        contour: the corners of the outline through the outermost pixel centres of its largest part on the key frame,
            as (row, col), closed without repeating the first.
        area_px, area_mm2: on the key frame.
        pixels: over all frames.
        longest_diameter_mm, perpendicular_diameter_mm: of the largest part on the key frame.
        longest_axis, perpendicular_axis: where these run, from (row, col) to (row, col); in the pixel grid if the
            spacing is not known.
        volume_mm3: sum over the frames of area times distance between frames.
        longest_range_mm, volume_range_mm3: between which the true size lies; None of an outline as drawn.
        intensity: in the unit of the pixels.
        frame_pixels: (frame, pixels on it) for all frames that have some.
        reasons: name of a field that is None → why.
    """

    number: int
    key_frame: int
    first_frame: int
    last_frame: int
    box: tuple[int, int, int, int]
    centroid: tuple[float, float, float]
    contour: tuple[Point, ...]
    area_px: int
    area_mm2: float | None
    pixels: int
    longest_diameter_mm: float | None
    perpendicular_diameter_mm: float | None
    longest_axis: Axis
    perpendicular_axis: Axis
    volume_mm3: float | None
    intensity: Statistics
    frame_pixels: tuple[tuple[int, int], ...]
    reasons: dict[str, str] = field(default_factory=dict)
    longest_range_mm: tuple[float, float] | None = None
    volume_range_mm3: tuple[float, float] | None = None

    @property
    def longest_diameter_px(self) -> float:
        """The length of the longest axis in the pixel grid."""
        return dist(*self.longest_axis)

    @property
    def perpendicular_diameter_px(self) -> float:
        """The length of the perpendicular axis in the pixel grid."""
        return dist(*self.perpendicular_axis)


def measure(
    labels: Labels,
    pixels: Float32s,
    spacing: tuple[float, float] | None = None,
    slice_spacing: float | Float64s | None = None,
) -> tuple[Measurement, ...]:
    """Measures every finding, in the order of their numbers.

    Args:
        labels: int32 [frames, rows, cols], 0 or the number of the finding; gone through frame by frame.
        pixels: float32 [frames, rows, cols], modality units.
        spacing: (row, column) in mm, or None if unknown.
        slice_spacing: distance between frames in mm; of uneven frames how much of the volume each stands for, float64
            [frames]; None if unknown.

    Raises:
        ValueError: the arrays are not [frames, rows, cols] of one shape.
    """
    if labels.ndim != 3 or labels.shape != pixels.shape:
        shapes = f"labels {list(labels.shape)} on pixels {list(pixels.shape)}"
        raise ValueError(f"{shapes}; wanted: [frames, rows, cols] for both")
    depth = slice_spacing if labels.shape[0] > 1 else None
    reasons = _reasons(labels.shape[0], spacing, slice_spacing)
    return tuple(
        _measurement(number, at, pixels[tuple(at.T)].astype(np.float64), (spacing, depth), reasons)
        for number, at in _coordinates(labels)
    )


def _coordinates(labels: Labels) -> Iterator[tuple[int, Indices]]:
    """Number → intp [n, 3] of its pixels, in reading order."""
    at = np.concatenate([_with_frame(frame, plane) for frame, plane in enumerate(labels)])
    numbers = np.concatenate([plane[plane != 0] for plane in labels])
    order = np.argsort(numbers, kind="stable")
    values, starts = np.unique(numbers[order], return_index=True)
    for value, part in zip(values, np.split(order, starts[1:]), strict=False):
        yield int(value), at[part]


def _with_frame(frame: int, plane: Labels) -> Indices:
    at = np.argwhere(plane)
    return np.insert(at, 0, frame, axis=1)


def _measurement(
    number: int,
    at: Indices,
    values: Float64s,
    steps: tuple[tuple[float, float] | None, float | Float64s | None],
    reasons: dict[str, str],
) -> Measurement:
    frames, counts = np.unique(at[:, 0], return_counts=True)
    key = int(frames[np.argmax(counts)])
    plane = _plane(at[at[:, 0] == key][:, 1:], steps[0])
    return Measurement(
        number=number,
        key_frame=key,
        first_frame=int(frames[0]),
        last_frame=int(frames[-1]),
        box=plane.box,
        centroid=_triple(at.mean(axis=0)),
        contour=plane.contour,
        area_px=int(counts.max()),
        area_mm2=_product(int(counts.max()), plane.pixel_mm2),
        pixels=len(at),
        longest_diameter_mm=None if plane.pixel_mm2 is None else plane.size.longest,
        perpendicular_diameter_mm=None if plane.pixel_mm2 is None else plane.size.perpendicular,
        longest_axis=plane.size.longest_axis,
        perpendicular_axis=plane.size.perpendicular_axis,
        volume_mm3=_volume(frames, counts, plane.pixel_mm2, steps[1]),
        intensity=Statistics(float(values.mean()), float(values.std()), float(values.min()), float(values.max())),
        frame_pixels=tuple(zip(frames.tolist(), counts.tolist(), strict=True)),
        reasons=dict(reasons),
    )


@dataclass(frozen=True)
class _Plane:
    """What the key frame alone tells."""

    box: tuple[int, int, int, int]
    contour: tuple[Point, ...]
    size: Diameters
    pixel_mm2: float | None


def _plane(at: Indices, spacing: tuple[float, float] | None) -> _Plane:
    corner, end = at.min(axis=0), at.max(axis=0) + 1
    local = np.zeros(tuple(end - corner), dtype=np.uint8)
    local[tuple((at - corner).T)] = 1
    outline, part = _outline(local)
    size = diameters(part, spacing or (1.0, 1.0))
    return _Plane(
        box=(int(corner[0]), int(corner[1]), int(end[0]), int(end[1])),
        contour=tuple((float(row), float(col)) for row, col in outline + corner),
        size=replace(
            size,
            longest_axis=axis_between(np.asarray(size.longest_axis) + corner),
            perpendicular_axis=axis_between(np.asarray(size.perpendicular_axis) + corner),
        ),
        pixel_mm2=None if spacing is None else spacing[0] * spacing[1],
    )


def _reasons(
    frames: int, spacing: tuple[float, float] | None, slice_spacing: float | Float64s | None
) -> dict[str, str]:
    names = ("area_mm2", "longest_diameter_mm", "perpendicular_diameter_mm", "volume_mm3")
    reasons = dict.fromkeys(names, NO_SPACING) if spacing is None else {}
    if frames == 1:
        reasons["volume_mm3"] = ONE_FRAME
    elif slice_spacing is None:
        reasons.setdefault("volume_mm3", NO_DEPTH)
    for name, size in RANGES.items():
        reasons[name] = reasons.get(size, AS_DRAWN)
    return reasons


def _outline(mask: Uint8s) -> tuple[Indices, Bools]:
    """(row, col) corners of the largest part's outline, intp [n, 2], and that part with its holes as bool."""
    _, labels, table, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    part = labels == 1 + int(np.argmax(table[1:, cv2.CC_STAT_AREA]))
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return contours[0][:, 0, ::-1].astype(np.intp), np.asarray(part, dtype=np.bool_)


def _product(count: int, *sizes: float | None) -> float | None:
    """`count` times all sizes; None if one of them is not known."""
    out = float(count)
    for size in sizes:
        if size is None:
            return None
        out *= size
    return out


def _volume(frames: Indices, counts: Indices, pixel_mm2: float | None, depth: float | Float64s | None) -> float | None:
    """Areas times depths; None if one of them is not known."""
    if not isinstance(depth, np.ndarray):
        return _product(int(counts.sum()), pixel_mm2, depth)
    return None if pixel_mm2 is None else float(counts @ depth[frames]) * pixel_mm2


def _triple(values: Float64s) -> tuple[float, float, float]:
    frame, row, col = values.tolist()
    return frame, row, col

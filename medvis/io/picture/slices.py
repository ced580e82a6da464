"""A scan's slices as pictures: in the display window, plain or with the evidence laid over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s, Float64s, Uint8s
from medvis.core.case import Case
from medvis.core.display import Display
from medvis.core.report import Box, Finding
from medvis.core.scan import DisplayWindow, Scan, VoiLut
from medvis.io.picture.canvas import Rect
from medvis.io.picture.region import Region, searched_part
from medvis.ops.window import FUNCTIONS, voi_lut, window

THIN = 24  # px that a panel shows of the thinnest picture
FADE_FROM, STRONGEST = 0.2, 0.62  # evidence below the first is not shown; the overlay's greatest opacity
VISIBLE_FROM = 0.3  # there the overlay is a tenth opaque: what is weaker, an eye does not see


@dataclass(frozen=True)
class View:
    """A region of a slice shown in a rectangle of the canvas."""

    region: Region
    rect: Rect

    def at(self, points: Float64s) -> Float64s:
        """Canvas positions [n, 2] (x, y) of pixel centres [n, 2] (row, col); in cv2's sense, of the pixels' centres."""
        rows, cols = self.region.shape
        x = (points[:, 1] + 0.5 - self.region.col0) * self.rect.width / cols + self.rect.x - 0.5
        y = (points[:, 0] + 0.5 - self.region.row0) * self.rect.height / rows + self.rect.y - 0.5
        return np.stack([x, y], axis=1)

    @property
    def px_per_col(self) -> float:
        """Canvas px per image column."""
        return self.rect.width / self.region.shape[1]


class Slices:
    """Makes pictures of one case's slices. Reads the case only.

    Args:
        case: with `evidence` float32 [frames, rows, cols] in 0…1, or None: then there is nothing to lay over.
        display: the task's window in the scan's unit, and its name. Where it has none (None), each slice is shown in
            the window that its file gives for it, else through the first VOI LUT of the file (the two are alternatives,
            PS3.3 C.11.2.1.1); where the file gives neither, from the least to the greatest pixel that is not padding.
    """

    def __init__(self, case: Case, display: Display) -> None:
        self.case, self.scan = case, case.scan
        self._named = display.name or "of the task"
        center, width = display.center, display.width
        self._task: DisplayWindow | None = None
        if center is not None and width is not None:
            self._task = DisplayWindow(center, max(width, 1e-6), "LINEAR_EXACT")
        grey = self.scan.channels == 1  # colours have no VOI window, PS3.3 C.11.2.1.2
        self._by_file = self.scan.windows if grey else ()
        self._by_frame = self.scan.source.windows_by_frame if grey else ()
        self._luts = self.scan.source.voi_luts if grey else ()

    @cached_property
    def as_stored(self) -> bool:
        """Whether this is a picture of at most 8 bits that is shown as it is: black is 0, white the greatest value."""
        given = self._task is not None or self._by_frame or self._by_file or self._luts
        if given or self.scan.unit == "HU" or self.scan.bits > 8:
            return False
        low, high = _range(self.scan)
        return low >= 0 and high < 2**self.scan.bits

    def window(self, frame: int) -> DisplayWindow:
        """What a slice is shown in where `lut` has nothing, width above 0."""
        if self._task is not None:
            return self._task
        own = self._by_frame[frame] if self._by_frame else self._by_file
        return own[0] if own else self._everything

    def lut(self, frame: int) -> VoiLut | None:
        """The VOI LUT that a slice is shown through; None where there is a window for it, or no LUT."""
        own = self._by_frame[frame] if self._by_frame else self._by_file
        return self._luts[0] if self._luts and not own and self._task is None else None

    @property
    def window_words(self) -> str:
        """The window for a heading; empty where there is nothing to say."""
        if self.as_stored:
            return ""
        shown = self.window(0)
        if self._task is None and self._by_frame:
            return "window of each slice by the file"
        if self.lut(0) is not None:
            return "VOI LUT of the file"
        if self._task is None and not self._by_file:
            return f"window full range: {shown.center - shown.width / 2:g} to {shown.center + shown.width / 2:g}"
        name = self._named if self._task is not None else "of the file"
        return f"window {name}: center {shown.center:g}, width {shown.width:g}"

    @property
    def grey_words(self) -> str:
        """What the grey values or colours of a panel are, for its title."""
        if self.as_stored:
            shown = "as stored"
        elif self._task is not None:
            shown = f"{self._named} window"
        elif self.lut(0) is not None:
            shown = "the file's VOI LUT"
        else:
            shown = "the file's window" if self._by_frame or self._by_file else "full range"
        return f"{shown}, not enhanced"

    @cached_property
    def _everything(self) -> DisplayWindow:
        low, high = (0.0, 2.0**self.scan.bits - 1) if self.as_stored else _range(self.scan)
        return DisplayWindow((low + high) / 2, max(high - low, 1e-6), "LINEAR_EXACT")

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width, from the spacing; 1 where unknown, and never beyond 1:8."""
        spacing = self.scan.geometry.spacing
        return 1.0 if spacing is None else float(np.clip(spacing[0] / spacing[1], 0.125, 8))

    @property
    def whole(self) -> Region:
        """The whole slice."""
        return Region(0, 0, *self.scan.shape)

    @cached_property
    def shown(self) -> Region:
        """What the panels show of each slice: what was searched on any, and around; the whole if that is most of it."""
        return searched_part(self.case) or self.whole

    def shape_ratio(self) -> float:
        """Width over height of `shown`."""
        rows, cols = self.shown.shape
        return cols / (rows * self.aspect)

    def is_stretched(self, region: Region, box: Rect) -> bool:
        """Whether `fit` draws the region thicker than it is, since it would hardly be seen."""
        rows, cols = region.shape
        scale = min(box.width / cols, box.height / (rows * self.aspect))
        return min(cols, rows * self.aspect) * scale < min(THIN, box.width, box.height) - 0.5

    def around(self, finding: Finding) -> Region:
        """A square (in mm) about a finding on its key frame, inside the image, with its surroundings."""
        rows, cols = self.scan.shape
        box = finding.box
        extent = max((box.row1 - box.row0) * self.aspect, box.col1 - box.col0)
        side = max(2.6 * extent, 40.0, 0.08 * cols)
        row0, row1 = _span((box.row0 + box.row1) / 2, side / self.aspect, rows)
        col0, col1 = _span((box.col0 + box.col1) / 2, side, cols)
        return Region(row0, col0, row1, col1)

    def fit(self, region: Region, box: Rect) -> View:
        """The region as large as it goes in the middle of `box`; its shape is kept down to 24 px across."""
        rows, cols = region.shape
        scale = min(box.width / cols, box.height / (rows * self.aspect))
        width, height = max(THIN, round(cols * scale)), max(THIN, round(rows * self.aspect * scale))
        width, height = min(width, box.width), min(height, box.height)
        return View(region, Rect(box.x + (box.width - width) // 2, box.y + (box.height - height) // 2, width, height))

    def plain(self, frame: int, view: View) -> Uint8s:
        """The region in the slice's window, uint8 [height, width, 3] RGB; MONOCHROME1 inverted, padding black."""
        area = _cut(view.region)
        shown = self._shown(frame, self.scan.pixels[frame][area])
        if self.scan.inverted:
            np.subtract(1, shown, out=shown)
        if self.scan.valid is not None:
            shown[~self.scan.valid[frame][area]] = 0
        grey: Uint8s = np.round(shown * 255).astype(np.uint8)
        grey = _resized(grey, view.rect)
        return grey if grey.ndim == 3 else cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)

    def _shown(self, frame: int, pixels: Float32s) -> Float32s:
        """Grey values 0…1, black to white before any inversion."""
        table = self.lut(frame)
        if table is not None:
            return voi_lut(pixels, table.data, table.first, table.bits)
        chosen = self.window(frame)
        function = chosen.function if chosen.function in FUNCTIONS else "LINEAR_EXACT"
        return window(pixels, chosen.center, chosen.width, function)

    def overlaid(self, frame: int, view: View) -> Uint8s:
        """As `plain`, with the evidence over it."""
        picture = self.plain(frame, view)
        if self.case.evidence is None:
            return picture
        evidence = np.nan_to_num(self.case.evidence[frame][_cut(view.region)])
        size = (view.rect.width, view.rect.height)
        return laid_over(picture, cv2.resize(evidence, size, interpolation=cv2.INTER_LINEAR))

    def outline(self, finding: Finding, frame: int) -> Float64s | None:
        """The finding's outline on a frame, [n, 2] (row, col); None where it is not on that frame."""
        if frame == finding.key_frame and len(finding.contour) >= 3:
            return np.array(finding.contour, np.float64)
        if self.case.mask is None:
            return _corners(finding.box) if frame == finding.key_frame else None
        return _traced(self.case.mask[frame] == finding.id)

    def brightest_frame(self) -> int:
        """The frame with the strongest evidence; the middle one if there is none."""
        evidence = self.case.evidence
        return self.scan.frames // 2 if evidence is None else int(evidence.max(axis=(1, 2)).argmax())


def laid_over(picture: Uint8s, evidence: Float32s) -> Uint8s:
    """The evidence 0…1 as a perceptually uniform colour map (inferno), more opaque the stronger it is.

    What is weak leaves the image as it is, so that the anatomy stays readable.
    """
    level: Uint8s = np.round(np.clip(evidence, 0, 1) * 255).astype(np.uint8)
    colours, clear = _tables()
    levels = cv2.merge([level, level, level])
    kept = cv2.multiply(picture, cv2.LUT(levels, clear), scale=1 / 255)
    return np.asarray(cv2.add(kept, cv2.LUT(levels, colours)), np.uint8)


def _tables() -> tuple[Uint8s, Uint8s]:
    """For each level 0…255 the colour times its opacity, and 255 times what stays of the image: uint8 [1, 256, 3]."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    opacity = STRONGEST * np.clip((ramp - FADE_FROM) / (1 - FADE_FROM), 0, 1)[:, None] ** 0.85
    levels = np.round(30 + 225 * ramp).astype(np.uint8)  # inferno's first tenth is black: it would hide, not show
    colours = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1] * opacity
    clear = np.repeat(255 * (1 - opacity), 3, axis=1)
    return np.round(colours[None]).astype(np.uint8), np.round(clear[None]).astype(np.uint8)


def _range(scan: Scan) -> tuple[float, float]:
    if scan.valid is None or not scan.valid.any():
        return float(scan.pixels.min()), float(scan.pixels.max())
    shown = scan.valid[..., None]  # `where` spares a copy of the volume
    return float(scan.pixels.min(where=shown, initial=np.inf)), float(scan.pixels.max(where=shown, initial=-np.inf))


def _cut(region: Region) -> tuple[slice, slice]:
    return slice(region.row0, region.row1), slice(region.col0, region.col1)


def _span(middle: float, length: float, limit: int) -> tuple[int, int]:
    whole = min(max(round(length), 1), limit)
    first = min(max(round(middle - whole / 2), 0), limit - whole)
    return first, first + whole


def _resized(picture: Uint8s, rect: Rect) -> Uint8s:
    smaller = rect.height * rect.width < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[..., 0]
    return np.asarray(cv2.resize(picture, (rect.width, rect.height), interpolation=how), np.uint8)


def _traced(inside: Bools) -> Float64s | None:
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    return np.asarray(max(contours, key=len)[:, 0, ::-1], np.float64)


def _corners(box: Box) -> Float64s:
    rows, cols = (box.row0, box.row1 - 1), (box.col0, box.col1 - 1)
    return np.array([(rows[0], cols[0]), (rows[0], cols[1]), (rows[1], cols[1]), (rows[1], cols[0])], np.float64)

"""The model looks at a volume on another grid, of equal steps in mm; what it says is brought back to the scan's own.

The scan itself stays as it was read: findings, masks and the evidence are in the frames and pixels of the source, and
nobody who reads the report needs to know of the other grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medvis.core.arrays import Bools, Float32s, Float64s, Indices
from medvis.core.case import Candidates, Prediction
from medvis.core.frames import lazy_stack, packed_stack
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan
from medvis.errors import InputError
from medvis.ops.resample import Axis, Resampler
from medvis.ops.slice_geometry import UNEVEN, heights_of, normal_of, usual_step

LONGEST = 4096  # px a side; what is larger is a mistake in the spacing
LEAST_SIDE = 32  # px; the network's coarsest map would be empty
SEEN = 1e-3  # share of a pixel that must have been searched on the other grid for its logits to count
_SIDEWAYS = 0.01  # of the usual step; more is a tilt


class ResampleSettings(BaseModel):
    """The grid that the model looks at a volume on.

    Attributes:
        spacing_mm: distance of its frames, rows and columns in mm; None: the scan's own grid.
        order: of the interpolation there; what the model says comes back linearly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spacing_mm: float | None = Field(default=None, ge=0.001, le=100, allow_inf_nan=False)
    order: Literal["linear", "cubic"] = "linear"


@dataclass(frozen=True)
class Regrid:
    """The way to the other grid, and back.

    Attributes:
        axes: where the other grid's frames, rows and columns lie on the scan's.
        there, back: make the frames of either grid from those of the other.
        frames: intp [frames of the scan], the nearest frame of the other grid.
    """

    axes: tuple[Axis, Axis, Axis]
    there: Resampler
    back: Resampler
    frames: Indices

    @classmethod
    def of(cls, scan: Scan, settings: ResampleSettings) -> Regrid | None:
        """None where nothing is to be resampled. Raises InputError where the scan's own grid is unknown or uneven."""
        if settings.spacing_mm is None:
            return None
        depth, (rows, cols) = _spacing(scan, settings.spacing_mm)
        counts = (scan.frames, *scan.shape)
        frame, row, col = (
            Axis.between(count, mm, settings.spacing_mm) for count, mm in zip(counts, (depth, rows, cols), strict=True)
        )
        sides = len(row.positions), len(col.positions)
        if not LEAST_SIDE <= min(sides) <= max(sides) <= LONGEST:
            raise InputError(
                f"{scan.source.path} would be {sides[0]}×{sides[1]} pixels of {settings.spacing_mm:g} mm",
                f"{LEAST_SIDE} to {LONGEST} a side",
                "set stages.infer.resample.spacing_mm",
            )
        back = frame.back(), row.back(), col.back()
        nearest = np.rint(back[0].positions).astype(np.intp)
        return cls((frame, row, col), Resampler((frame, row, col), settings.order), Resampler(back), nearest)

    def view(self, view: Float32s) -> Float32s:
        """A view [frames, rows, cols, channels] in 0…1 on the other grid."""
        channels = view.shape[3]
        stack = lazy_stack(lambda index: view[index].transpose(2, 0, 1), (len(view), channels, *view.shape[1:3]))

        def frame(index: int) -> Float32s:
            return np.clip(self.there.plane(stack, index), 0, 1).transpose(1, 2, 0)

        return lazy_stack(frame, (*self.there.shape, channels))

    def region(self, region: Bools) -> Bools:
        """A region [frames, rows, cols] on the other grid."""
        return packed_stack(self.there.plane(region, index) >= 0.5 for index in range(self.there.shape[0]))

    def prediction(self, given: Prediction, searched: tuple[Bools, Bools] | None) -> Prediction:
        """A prediction on the other grid, on the scan's.

        Args:
            given: of a view and a region on the other grid.
            searched: the region on the other grid and on the scan's; None: everywhere.
        """
        frames = range(self.back.shape[0])
        return replace(
            given,
            mask_logits=packed_stack(
                (self._logits(given.mask_logits, searched, index) for index in frames), Prediction.OUTSIDE
            ),
            spread=packed_stack(self.back.plane(given.spread, index) for index in frames),
            evidence=packed_stack(self.back.plane(given.evidence, index) for index in frames),
            candidates=None if given.candidates is None else self._candidates(given.candidates),
        )

    def _logits(self, logits: Float32s, searched: tuple[Bools, Bools] | None, index: int) -> Float32s:
        """Outside the region there is no opinion that could be mixed in."""
        if searched is None:
            return self.back.plane(logits, index)
        values, seen = self.back.masked(logits, searched[0], index, SEEN)
        return np.where(seen & searched[1][index], values, np.float32(Prediction.OUTSIDE))

    def _candidates(self, given: Candidates) -> Candidates:
        """The candidates of a frame are those of the nearest one on the other grid."""
        pairs = [(frame, row) for frame, near in enumerate(self.frames) for row in np.flatnonzero(given.frame == near)]
        rows = np.array([row for _, row in pairs], np.intp)
        edges = given.box[rows].astype(np.float64).reshape(-1, 2, 2) - 0.5
        return Candidates(
            frame=np.array([frame for frame, _ in pairs], np.int32),
            box=np.rint(self.to_scan(edges) + 0.5).astype(np.int32).reshape(-1, 4),
            center=self.to_scan(given.center[rows][:, None].astype(np.float64))[:, 0].astype(np.float32),
            logits=given.logits[rows],
            spread=given.spread[rows],
            embedding=given.embedding[rows],
            views=given.views[rows],
        )

    def to_scan(self, points: Float64s) -> Float64s:
        """Points (row, col) float64 [..., 2] of the other grid in pixels of the scan."""
        starts = np.array([axis.positions[0] for axis in self.axes[1:]])
        steps = np.array([np.diff(axis.positions[:2])[0] for axis in self.axes[1:]])
        return np.asarray(starts + points * steps, np.float64)


def _spacing(scan: Scan, wanted: float) -> tuple[float, tuple[float, float]]:
    """The distance of frames (of one alone: the wanted one), and the spacing, in mm. Raises InputError."""
    geometry, aim = scan.geometry, f"a volume of known, even spacing, to look at it in steps of {wanted:g} mm"
    if geometry.spacing is None:
        raise InputError(f"{scan.source.path} has no spacing: {geometry.reasons.get('spacing', 'not given')}", aim)
    if scan.frames == 1:
        return wanted, geometry.spacing
    if geometry.slice_spacing is None:
        reason = geometry.reasons.get("slice_spacing", "not given")
        raise InputError(f"{scan.source.path} has no distance of slices: {reason}", aim)
    crooked = _crooked(geometry)
    if crooked is not None:
        raise InputError(f"{scan.source.path} {crooked}", aim)
    return geometry.slice_spacing, geometry.spacing


def _crooked(geometry: Geometry) -> str | None:
    """Why the frames are no box of even steps; None if they are."""
    if geometry.positions is None or geometry.orientation is None:
        return None
    heights = heights_of(geometry.positions, geometry.orientation)
    usual = usual_step(heights)
    steps = np.abs(np.diff(heights))
    if (np.abs(steps - usual) > UNEVEN * usual).any():
        return f"has slices {steps.min():.4g} to {steps.max():.4g} mm apart"
    moved = geometry.positions - geometry.positions[0]
    along = np.outer(heights - heights[0], normal_of(geometry.orientation))
    if float(np.linalg.norm(moved - along, axis=1).max()) > _SIDEWAYS * usual * len(heights):
        return "has slices that are shifted sideways (gantry tilt)"
    return None

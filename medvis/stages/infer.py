"""The model's view → prediction. A whole view at once, or tiles and then each candidate in a crop of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from medvis.core.arrays import Bools, Float32s, Float64s
from medvis.core.case import CandidateRow, Case, Prediction, require
from medvis.core.frames import PackedFrames, packed_stack
from medvis.core.scan import Step
from medvis.errors import SettingsError
from medvis.ops.chest.lungs import lung_field
from medvis.preprocess.depth import SLICES, Neighbours
from medvis.preprocess.regrid import Regrid
from medvis.preprocess.upright import Upright
from medvis.preprocess.window import in_unit_of
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.input_contract import IGNORED, check_case, reason
from medvis.stages.slice_geometry import slice_geometry_of
from medvis.stages.views.candidate_views import CandidateViews, candidates_of
from medvis.stages.views.settings import InferSettings
from medvis.stages.views.tiled import FirstPass
from medvis.stages.views.whole import predict_whole

ALONE = "The distance between the slices is not known; each was looked at without the slices below and above it."
FALLBACK = "No lung field was found ({}); the whole {} was searched."


class Infer(BaseStage):
    """Fills `prediction` and, for a tiled task, `region`."""

    name: ClassVar[str] = "infer"
    Settings: ClassVar[type[StageSettings]] = InferSettings
    needs: ClassVar[tuple[str, ...]] = ("view",)
    gives: ClassVar[tuple[str, ...]] = ("prediction",)

    def __call__(self, case: Case) -> Case:
        """The case with its prediction.

        Raises:
            SettingsError: the view is not what the model has learned to look at, and nobody said that this is meant.
        """
        view = require(case.view, self.name, "view", "window")
        ignored = check_case(self.context, case)
        if ignored:
            text = reason(ignored)
            case = replace(case, notes=(*case.notes, f"{text[0].upper()}{text[1:]}."))
        turn, grid = Upright.of(case.scan.geometry), Regrid.of(case.scan, self.settings.resample)
        seen = view if grid is None else grid.view(view)
        if self.context.task.kind == "whole":
            self._require_no_depth()
            prediction = turn.prediction(predict_whole(turn.images(seen), self.context.predictor, self.settings))
            prediction = prediction if grid is None else grid.prediction(prediction, None)
            return case.derive(self._step(prediction, ignored), prediction=prediction)
        region, note = self._region(case, turn)
        searched = region if grid is None else grid.region(region)
        neighbours = self._neighbours(case, grid, len(seen))
        prediction = self._tiled(_Shown(seen, turn, neighbours), searched)
        prediction = prediction if grid is None else grid.prediction(prediction, (searched, region))
        alone = ALONE if neighbours is not None and not neighbours.known and len(seen) > 1 else None
        notes = (*case.notes, *(text for text in (note, alone) if text is not None))
        step = self._step(prediction, ignored, region_found=note is None)
        return case.derive(step, prediction=prediction, region=region, notes=notes)

    def _neighbours(self, case: Case, grid: Regrid | None, frames: int) -> Neighbours | None:
        """The planes that are shown with each frame; None where the model looks at the frames alone."""
        distance = self.settings.depth_mm
        if distance is None or _in_depth(case):
            return None
        if grid is not None and self.settings.resample.spacing_mm is not None:
            heights: Float64s | None = np.arange(frames, dtype=np.float64) * self.settings.resample.spacing_mm
        else:
            slices = slice_geometry_of(case.scan.geometry, frames)
            heights = None if slices is None else slices.heights
        return Neighbours.of(heights, frames, distance)

    def _require_no_depth(self) -> None:
        if self.settings.depth_mm is not None:
            raise SettingsError(
                "stages.infer.depth_mm is set for a task of kind 'whole'", "a tiled task, or no depth_mm"
            )

    def _tiled(self, views: _Shown, region: Bools) -> Prediction:
        view, turn = views.view, views.turn
        predictor, tick = self.context.predictor, self.context.tick
        first, candidate_views = FirstPass(predictor, self.settings), CandidateViews(predictor, self.settings)
        shape, masks = (view.shape[1], view.shape[2]), len(predictor.card.masks)
        logits, spread, evidence = PackedFrames(Prediction.OUTSIDE), PackedFrames(), PackedFrames()
        candidates: list[CandidateRow] = []
        searched = 0
        for frame in range(len(view)):
            if tick is not None:
                tick(frame, len(view))
            outlined = np.full((masks, *shape), Prediction.OUTSIDE, np.float32)
            deviation, shown = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            if region[frame].any():
                image = views.image(frame)
                outlined, shown = first(image, turn.planes(region[frame]))
                candidates += [
                    turn.candidate(crop.summary(frame), shape) for crop in candidate_views(image, outlined, deviation)
                ]
                searched += 1
            for stack, plane in ((logits, outlined), (spread, deviation), (evidence, shown)):
                stack.add(turn.planes(plane))
        return Prediction(
            mask_logits=logits.stack(),
            spread=spread.stack(),
            evidence=evidence.stack(),
            labels=tuple(label.name for label in predictor.card.labels),
            candidates=candidates_of(candidates, predictor.card),
            views=searched + sum(candidate.views for candidate in candidates),
        )

    def _region(self, case: Case, turn: Upright) -> tuple[Bools, str | None]:
        scan, _ = in_unit_of(case.scan, self.context.task.accepts.units)
        everything = np.ones(scan.pixels.shape[:3], bool) if scan.valid is None else scan.valid
        if self.settings.region == "all":
            return everything, None
        valid = None if scan.valid is None else turn.stack(scan.valid)
        field = lung_field(turn.stack(scan.pixels[..., 0]), valid, scan.geometry.spacing)
        return packed_stack(turn.stack(field.mask)), None if field.found else FALLBACK.format(
            field.reason, field.searched
        )

    def input_contract(self, settings: Any) -> dict[str, Any]:  # noqa: ANN401 - an instance of self.Settings
        """See `BaseStage.input_contract`."""
        return {"views": settings.contract(self.context.task.kind)}

    def _step(self, prediction: Prediction, ignored: list[str], **facts: bool) -> Step:
        more = {IGNORED: ignored} if ignored else {}
        return self.step(views=prediction.views, model=self.context.card.model.sha256, **facts, **more)


@dataclass(frozen=True)
class _Shown:
    """What a tiled task's model is shown of each frame."""

    view: Float32s
    turn: Upright
    neighbours: Neighbours | None

    def image(self, frame: int) -> Float32s:
        """Float32 [channels, rows, cols], upright: the view, or its slice below, at and above."""
        if self.neighbours is None:
            return np.ascontiguousarray(self.turn.planes(self.view[frame].transpose(2, 0, 1)))
        planes = self.neighbours.planes(self.view, frame)[..., 0]
        # Head up, whichever way the normal of the file's slices points.
        return np.ascontiguousarray(self.turn.planes(planes[::-1] if self.turn.rows != self.turn.cols else planes))


def _in_depth(case: Case) -> bool:
    """Whether the view of a grey scan holds the slices below and above already."""
    return case.scan.channels == 1 and case.view is not None and case.view.shape[3] == SLICES

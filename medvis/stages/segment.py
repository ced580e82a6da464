"""Probabilities → numbered findings: hysteresis, components, minimum size, score, links across frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from medvis.core.arrays import Bools, Float32s, Labels
from medvis.core.case import Case, Score, require
from medvis.core.frames import packed_stack
from medvis.core.logits import sigmoid
from medvis.errors import StageError
from medvis.ops.components import hysteresis, label_frames, link
from medvis.stages.base import BaseStage, StageSettings
from medvis.stages.lesion_scores import score_lesions
from medvis.stages.persistence import likeliest, persistence
from medvis.stages.slice_geometry import slice_geometry_of

# Components of fewer pixels are noise, where neither settings nor card say otherwise.
LEAST = 4


class SegmentSettings(StageSettings):
    """Thresholds that are None come from the model's card, where they were fitted on val.

    Attributes:
        high: mask probability that a component must reach once.
        low: mask probability down to which it grows.
        finding: calibrated probability below which a component is dropped.
        min_pixels: smallest component; 4 px where neither says.
        min_diameter_mm: smallest diameter of a component, as the disc of equal area.
        link_mm: in-plane distance of centres up to which components of neighbouring frames are one finding.
        lasting: a finding of a series is kept only if its mean probability over the slices that a sphere of its size
            would cross reaches `finding`; needs spacings in mm.
        series: calibrated probability that a finding of a series must reach on one of its slices; `finding` where
            that is set here, or neither says. A nodule has a chance on every slice that it crosses, and a series has
            many more pixels to err on.
    """

    high: float | None = Field(default=None, gt=0, lt=1)
    low: float | None = Field(default=None, gt=0, lt=1)
    finding: float | None = Field(default=None, ge=0, lt=1)
    min_pixels: int | None = Field(default=None, ge=1, le=1_000_000)
    min_diameter_mm: float | None = Field(default=None, gt=0, le=1000)
    link_mm: float | None = Field(default=None, gt=0, le=1000)
    lasting: bool = False
    series: float | None = Field(default=None, ge=0, lt=1)


class Segment(BaseStage):
    """Fills `mask`."""

    name: ClassVar[str] = "segment"
    Settings: ClassVar[type[StageSettings]] = SegmentSettings
    needs: ClassVar[tuple[str, ...]] = ("prediction",)
    gives: ClassVar[tuple[str, ...]] = ("mask", "scores")

    def __call__(self, case: Case) -> Case:
        """The case with its label mask, 0 where there is no finding, and the scores of the findings.

        Raises:
            StageError: the model outlines nothing.
        """
        prediction = require(case.prediction, self.name, "prediction", "infer")
        if prediction.mask_logits.shape[1] == 0:
            raise StageError(
                "stage 'segment' has nothing to outline: the model gives classes only",
                hint=f"take 'segment' and 'measure' out of the stages of task '{self.context.task.task}'",
            )
        used = self._thresholds()
        components = packed_stack(self._components(prediction.mask_logits, used, case.scan.geometry.spacing))
        scores = score_lesions(prediction, components, self.context.card, case.scan)
        mask = self._findings(case, components, scores, used)
        # Where nothing is found, the report tells how near it came.
        nearest = max((round(score.probability, 4) for score in scores), default=None)
        facts = {} if mask.any() else {"left_out": nearest}
        final = score_lesions(prediction, mask, self.context.card, case.scan)
        return case.derive(self.step(**used, **facts), mask=mask, scores=tuple(final))

    def _components(
        self, logits: Float32s, used: dict[str, float], spacing: tuple[float, float] | None
    ) -> Iterator[Labels]:
        """The components of each frame, numbered through."""
        count = 0
        for maps in logits:
            outlined = hysteresis(sigmoid(maps.max(0))[None], used["high"], used["low"])
            plane = label_frames(outlined, int(used["min_pixels"]), self.settings.min_diameter_mm, spacing)[0]
            plane[plane > 0] += count
            count = max(count, int(plane.max()))
            yield plane

    def _findings(self, case: Case, components: Labels, scores: list[Score], used: dict[str, float]) -> Labels:
        """The components that are likely enough, linked across frames and numbered."""
        spacing, slices = case.scan.geometry.spacing, slice_geometry_of(case.scan.geometry, len(components))
        moves = None if slices is None else slices.moves
        kept = np.zeros(int(components.max()) + 1, bool)
        kept[[score.label for score in scores if score.probability >= used["finding"]]] = True
        components = _only(kept, components)
        linked = link(components, 1, self.settings.link_mm, spacing, moves)
        if slices is None:
            return linked
        own = [score for score in scores if kept[score.label]]
        stays = likeliest(own, components, linked) >= used["series"]
        if self.settings.lasting and spacing is not None:
            stays &= persistence(own, components, linked, spacing, slices.heights) >= used["finding"]
        return link(_only(stays, linked), 1, None, spacing, moves)

    def _thresholds(self) -> dict[str, float]:
        fitted = self.context.card.thresholds
        own = {"high": self.settings.high, "low": self.settings.low, "finding": self.settings.finding}
        used = {name: fitted.get(name, 0.5) if value is None else value for name, value in own.items()}
        least = self.settings.min_pixels or fitted.get("min_pixels", LEAST)
        series = self.settings.series
        if series is None:
            series = used["finding"] if own["finding"] is not None else fitted.get("series", used["finding"])
        return {**used, "low": min(used["low"], used["high"]), "min_pixels": least, "series": series}


def _only(kept: Bools, labels: Labels) -> Labels:
    """The labels whose number is kept; the others are 0."""
    return packed_stack(np.where(kept[plane], plane, 0).astype(np.int32) for plane in labels)

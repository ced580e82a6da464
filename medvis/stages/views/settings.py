"""Settings of the views in which a model sees an image."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from medvis.preprocess.regrid import ResampleSettings
from medvis.stages.base import StageSettings

_Scale = Annotated[float, Field(ge=0.1, le=4)]
_Weight = Annotated[float, Field(gt=0, le=1000)]


class CandidateSettings(StageSettings):
    """What counts as a candidate, and when no further view of it is needed.

    Attributes:
        probability: of the first pass, above which a connected region is a candidate.
        most: candidates a frame at the most, the likeliest first.
        crop: side in px of a candidate's crop (more, where the candidate itself is larger).
        reject: probability of a true finding under which a candidate is given up after two views.
        agree: spread of the probability under which four views are enough.
    """

    probability: float = Field(default=0.15, gt=0, lt=1)
    most: int = Field(default=12, ge=1, le=1000)
    crop: int = Field(default=96, ge=32, le=4096)
    reject: float = Field(default=0.08, ge=0, le=1)
    agree: float = Field(default=0.02, ge=0, le=1)


class InferSettings(StageSettings):
    """The views of a task.

    Attributes:
        region: where a tiled task searches.
        tile, overlap: it does so in tiles of that side in px, and steps of `tile` less `overlap`.
        scales: scale → weight.
        flips: the views at each scale.
        resample: the grid on which it looks.
        depth_mm: of a tiled task, distance of the planes below and above each slice that the model is shown with it;
            None: the slice alone.
        agree: spread of the probabilities of class and mask under which a whole task takes no further scale; 0: all.
    """

    region: Literal["lung", "all"] = "all"
    tile: int = Field(default=192, ge=32, le=4096, multiple_of=32)
    overlap: int = Field(default=32, ge=0, lt=4096)
    scales: dict[_Scale, _Weight] = Field(default={0.5: 1.0, 0.75: 1.0, 1.0: 1.0, 1.25: 1.0}, min_length=1)
    flips: list[Literal["none", "horizontal", "vertical", "both"]] = Field(default=["none", "horizontal"], min_length=1)
    agree: float = Field(default=0.0, ge=0, lt=1)
    candidate: CandidateSettings = CandidateSettings()
    resample: ResampleSettings = ResampleSettings()
    depth_mm: float | None = Field(default=None, gt=0, le=20)

    @model_validator(mode="after")
    def _tiles_go_on(self) -> InferSettings:
        if self.overlap >= self.tile:
            raise ValueError(f"an overlap of {self.overlap} px leaves no step between tiles of {self.tile} px")
        return self

    def contract(self, kind: str) -> dict[str, Any]:
        """What of these settings the model was calibrated with, as `medvis.model.contract.LearnedViews` has it."""
        views = {"scales": self.scales, "flips": list(self.flips), "spacing_mm": self.resample.spacing_mm}
        if kind == "whole":
            return views
        if self.depth_mm is not None:
            views["depth_mm"] = self.depth_mm
        return {**views, "tile": self.tile, "overlap": self.overlap, "candidate_crop": self.candidate.crop}

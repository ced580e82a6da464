"""What a task says about showing and storing its results. No diagnosis depends on it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Display(BaseModel):
    """How a slice is shown to a person: the window of the heatmap's grey image, in the scan's unit.

    Attributes:
        center, width: of the window; without them the full range is shown.
        name: what the window is called in the picture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    center: float | None = Field(default=None, ge=-1e6, le=1e6, allow_inf_nan=False)
    width: float | None = Field(default=None, gt=0, le=1e7, allow_inf_nan=False)
    name: str = "full range"


class DicomResults(BaseModel):
    """How results become DICOM objects (`--write seg`).

    Attributes:
        segmentation: type of the SEG: ``binary``; ``fractional``, the probability of each pixel; or ``labelmap``, which
            few viewers can read as yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    segmentation: Literal["binary", "fractional", "labelmap"] = "binary"

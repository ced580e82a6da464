"""Contrast enhancement and denoising of what the model sees. Training and inference call the same function."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from medvis.core.arrays import Bools, Float32s
from medvis.core.frames import lazy_stack
from medvis.core.scan import Scan
from medvis.ops.clahe import clahe, denoise
from medvis.preprocess.upright import Upright

_Tiles = Annotated[int, Field(gt=0, le=64)]


class EnhanceSettings(BaseModel):
    """What is done to contrast and noise.

    Attributes:
        method: ``clahe``: contrast limited adaptive histogram equalisation; ``denoise``: a filter that keeps edges.
        clip: of CLAHE: limit of a bin, as a multiple of the mean one.
        tiles: of CLAHE: how many down and across.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: Literal["clahe", "denoise", "none"] = "clahe"
    clip: float = Field(default=2.0, gt=0, le=1000)
    tiles: tuple[_Tiles, _Tiles] = (8, 8)
    strength: float = Field(
        default=0.05, gt=0, le=1, description="Noise sd to remove, as a fraction of the view's range"
    )

    def contract(self) -> dict[str, Any]:
        """What of these settings bears on the pixels, as `medvis.model.contract.LearnedEnhancement` has it."""
        used = {"clahe": ("clip", "tiles"), "denoise": ("strength",), "none": ()}[self.method]
        return {"method": self.method, **{name: getattr(self, name) for name in used}}


def enhanced(view: Float32s, scan: Scan, settings: EnhanceSettings) -> Float32s:
    """The view with its contrast enhanced or its noise removed; padding is left out of it.

    Args:
        view: float32 [frames, rows, cols, channels] in 0…1, of the scan.
        scan: where its padding is, and how its frames lie: tiles are counted from the upright image's corner.
        settings: the method.

    Returns:
        float32 of the same shape; the same object where the method is ``none``.
    """
    if settings.method == "none":
        return view
    return lazy_stack(partial(_frame, view, scan.valid, Upright.of(scan.geometry), settings), view.shape)


def _frame(view: Float32s, padding: Bools | None, turn: Upright, settings: EnhanceSettings, index: int) -> Float32s:
    valid = None if padding is None else turn.planes(padding[index])
    frame = turn.images(view[index])
    if settings.method == "clahe":
        out = np.asarray(clahe(frame, settings.clip, settings.tiles, valid), np.float32)
    else:
        out = np.asarray(denoise(frame, settings.strength, valid), np.float32)
    return turn.images(out)

"""What each part of the loss weighs: read from a task's YAML, so that this file does without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

Weight = Annotated[float, Field(ge=0, le=1000)]


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part; 0 switches it off.

    Attributes:
        dice: soft Dice of the mask.
        bce: binary cross entropy of the mask, pixel by pixel.
        tversky: focal Tversky loss of the mask.
        deep: the decoder's heads on the way, judged as the final one is.
        classes: of the labels.
        evidence: of the evidence map, cell by cell.
    """

    # In a task's YAML a weight that does not exist is an error, as every setting is.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    dice: Weight = 1.0
    bce: Weight = 10.0
    tversky: Weight = 0.0
    deep: Weight = 0.3
    classes: Weight = 1.0
    evidence: Weight = 0.5

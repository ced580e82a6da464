"""What each part of the loss weighs: read from a task's YAML, so that this file does without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part; 0 switches it off. `deep` heads are judged as the final one is."""

    # In a task's YAML a weight that does not exist is an error, as every setting is.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    dice: float = 1.0
    bce: float = 10.0
    tversky: float = 0.0
    deep: float = 0.3
    classes: float = 1.0
    evidence: float = 0.5

"""What the class logits of a model mean: its labels, how they are read together, and the probabilities of an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medvis.core.arrays import Float32s
from medvis.core.logits import sigmoid, softmax


class Label(BaseModel):
    """One class logit. `kind` says how to read it.

    * ``binary``: a probability of its own. Platt scaling (a, b) calibrates it: sigmoid(a · z + b).
    * ``rating``: a position on the readers' scale, low + (high − low) · sigmoid(z).
    * ``class``: one of several that exclude each other: the softmax over all of them of z / temperature, with
      `Card.calibration["temperature"]`. `normal` marks the class that says: there is nothing to find.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["binary", "rating", "class"]
    normal: bool = False
    low: float = 0.0
    high: float = 1.0
    platt: tuple[float, float] = (1.0, 0.0)


@dataclass(frozen=True)
class LabelProbability:
    """A label, its index among those of the model, and its calibrated probability."""

    index: int
    label: Label
    probability: float


@dataclass(frozen=True)
class ClassDistribution:
    """Calibrated probabilities of the labels that speak of a whole image.

    Attributes:
        ranked: at least one, the likeliest first; of equal ones the model's order decides.
        exclusive: whether they are classes of which one is right, so that their probabilities sum to 1.
    """

    ranked: tuple[LabelProbability, ...]
    exclusive: bool

    def __post_init__(self) -> None:
        if not self.ranked:
            raise ValueError("a distribution has at least one label")

    @property
    def has_normal(self) -> bool:
        """Whether one of the labels says that there is nothing to find."""
        return any(entry.label.normal for entry in self.ranked)

    @property
    def leading(self) -> LabelProbability:
        """The likeliest label that is not normal; the likeliest of all if every one is."""
        return next((entry for entry in self.ranked if not entry.label.normal), self.ranked[0])

    @property
    def abnormal(self) -> float:
        """Probability that there is something to find: of all classes but the normal ones.

        Where no class is normal, that of the likeliest label.
        """
        if not self.has_normal:
            return self.ranked[0].probability
        return min(1.0, sum(entry.probability for entry in self.ranked if not entry.label.normal))

    @property
    def by_name(self) -> dict[str, float]:
        """Name of the label → its probability, the likeliest first."""
        return {entry.label.name: entry.probability for entry in self.ranked}

    def among_abnormal(self, name: str) -> float | None:
        """Probability of a class given that the image is not normal; None where it is normal beyond doubt."""
        abnormal = [entry for entry in self.ranked if not entry.label.normal]
        total = sum(entry.probability for entry in abnormal)
        own = sum(entry.probability for entry in abnormal if entry.label.name == name)
        return own / total if total > 0 else None


@dataclass(frozen=True)
class LabelSet:
    """The labels of a model, in the order of its class logits.

    Attributes:
        labels: as on the card.
        outlines: whether the model gives masks as well.
        temperature: what the logits of exclusive classes are divided by (Guo et al., ICML 2017).
    """

    labels: tuple[Label, ...]
    outlines: bool
    temperature: float = 1.0

    @property
    def exclusive(self) -> bool:
        """Whether the labels are classes of which one is right."""
        return any(label.kind == "class" for label in self.labels)

    @cached_property
    def image_level(self) -> list[int]:
        """Indices of the labels that speak of the whole image: classes; without any, binary ones; without, all."""
        for kind in ("class", "binary"):
            indices = [index for index, label in enumerate(self.labels) if label.kind == kind]
            if indices:
                return indices
        return list(range(len(self.labels)))

    @property
    def pooled(self) -> bool:
        """Whether the logits of the classes are the mean over the cells of the evidence, which no mask has taught."""
        return self.exclusive and len(self.image_level) > 1 and not self.outlines

    def probabilities(self, logits: NDArray[np.floating], axis: int = -1) -> Float32s:
        """Logits of the `image_level` labels → calibrated probabilities.

        Args:
            logits: [...], with the image-level labels along `axis`.
            axis: of the labels.

        Returns:
            float32 of the same shape: classes sum to 1 along `axis`; a rating gives its position between low and high.
        """
        values = np.moveaxis(np.asarray(logits, np.float32), axis, -1)
        if self.exclusive:
            probabilities = softmax(values / np.float32(self.temperature))
        else:
            slope, shift = np.array([self.labels[index].platt for index in self.image_level], np.float32).T
            probabilities = sigmoid(values * slope + shift)
        return np.asarray(np.moveaxis(probabilities, -1, axis), np.float32)

    def distribution(self, logits: NDArray[np.floating]) -> ClassDistribution:
        """The probabilities of an image from the logits [k] of all labels."""
        values = self.probabilities(logits[self.image_level])
        entries = [
            LabelProbability(index, self.labels[index], float(value))
            for index, value in zip(self.image_level, values, strict=True)
        ]
        return ClassDistribution(tuple(sorted(entries, key=lambda entry: -entry.probability)), self.exclusive)

"""The model card: what a bundle is, what it expects, how well it does, and on what. Read from card.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from medvis.core.labels import Label, LabelSet
from medvis.model.contract import InputContract

# What every graph gives, in this order.
OUTPUTS = ("class_logits", "mask_logits", "evidence", "embedding")


class _CardModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_CardModel):
    """The weights and what they must hash to."""

    file: str = "model.onnx"
    sha256: str
    precision: Literal["fp32", "fp16", "int8"]
    bytes: int


class Figure(_CardModel):
    """One measured number with its interval, its bar and its baseline; `data` names the data set and split."""

    name: str
    value: float
    ci95: tuple[float, float] | None = None
    n: int | None = None
    baseline: str | None = None
    bar: str | None = Field(default=None, description="What must be reached: a sign, ≥ or ≤, and a number")
    data: str | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the value reaches the bar; None where there is none."""
        if self.bar is None:
            return None
        sign, _, number = self.bar.partition(" ")
        return self.value >= float(number) if sign == "≥" else self.value <= float(number)


class DatasetReference(_CardModel):
    """One set of data the model was trained or tested on."""

    name: str
    licence: str
    citation: str
    used_for: str


class Worst(_CardModel):
    """One of the test cases that the model did worst on.

    Attributes:
        id: of the case within `data`.
        score: what it was ranked by; 0 is worst.
        description: what was measured there.
        data: name of the data set and split.
        seen: what a person saw who looked at it, or None if nobody has.
    """

    id: str
    score: float
    description: str
    data: str | None = None
    seen: str | None = None


class Difference(_CardModel):
    """A figure less that of another model on the same data, with the interval of the paired bootstrap by group."""

    name: str
    value: float
    ci95: tuple[float, float] | None = None


class Ablated(_CardModel):
    """One variant of the model, trained and measured as the others but for what its name says."""

    variant: str
    parameters: int | None = None
    figures: list[Figure]
    differences: list[Difference] = Field(default=[], description="From the first variant, where it can be paired")


class Ablation(_CardModel):
    """What each part of the model is worth. All variants had the same budget, which need not be the shipped model's."""

    data: str = Field(description="Data set and split that were measured on")
    epochs: int | None = Field(default=None, description="Of every training; null: the recipe's own")
    settings: dict[str, Any] = Field(default={}, description="Changes to the task that all variants had")
    variants: list[Ablated] = Field(min_length=1, description="The full model first")

    @property
    def how(self) -> str:
        """How each variant was trained, in words."""
        budget = "the recipe's epochs" if self.epochs is None else f"{self.epochs} epochs"
        return ", ".join([budget, *(f"{name} {value}" for name, value in self.settings.items())])


class WrittenCard(BaseModel):
    """What a task's YAML must say under `card:`, since nothing measures it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    summary: str
    intended_use: str
    not_for: list[str]
    data: list[DatasetReference]
    known_failures: list[str]
    ablation: Ablation | None = None
    worst: list[Worst] = []


class Card(_CardModel):
    """The whole card. `thresholds` and `calibration` were fitted on val, never on test."""

    task: str
    version: str
    summary: str
    intended_use: str
    not_for: list[str]
    model: ModelFile
    weights: ModelFile | None = Field(default=None, description="The same network for the torch backend")
    input: InputContract
    labels: list[Label]
    masks: list[str]
    thresholds: dict[str, float]
    calibration: dict[str, Any] = {}
    parity: dict[str, Any] = {}
    data: list[DatasetReference]
    figures: list[Figure]
    measured_by: str
    training: dict[str, Any] = {}
    known_failures: list[str]
    ablation: Ablation | None = None
    worst: list[Worst] = []

    @property
    def label_set(self) -> LabelSet:
        """What the class logits mean, calibrated."""
        return LabelSet(tuple(self.labels), bool(self.masks), float(self.calibration.get("temperature", 1.0)))

    def index(self, label: str) -> int | None:
        """Position of a class logit, or None."""
        names = [item.name for item in self.labels]
        return names.index(label) if label in names else None

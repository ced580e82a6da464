"""What an evaluation says: figures with their intervals, baselines and bars, as lines or JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medvis.core.card import Figure


@dataclass(frozen=True)
class Evaluation:
    """The figures of one task on one split.

    Attributes:
        task, model: what was measured.
        data: name of the data set and split, without its place on this machine.
        figures: the numbers.
        facts: counts and settings behind them.
    """

    task: str
    model: str
    data: str
    figures: list[Figure]
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        figures = [figure.model_dump(mode="json") for figure in self.figures]
        return {"task": self.task, "model": self.model, "data": self.data, "figures": figures, "facts": self.facts}

    def lines(self) -> list[tuple[str, str]]:
        """(name, value with interval, baseline and bar) of every figure."""
        return [(figure.name, _text(figure)) for figure in self.figures]


def _text(figure: Figure) -> str:
    parts = [f"{figure.value:.3f}"]
    if figure.ci95 is not None:
        parts.append(f"[{figure.ci95[0]:.3f}, {figure.ci95[1]:.3f}]")
    if figure.n is not None:
        parts.append(f"n={figure.n}")
    if figure.bar is not None:
        parts.append(f"bar {figure.bar}")
    if figure.baseline is not None:
        parts.append(f"baseline: {figure.baseline}")
    return "  ".join(parts)

"""What an evaluation says: figures with their intervals, baselines and bars, as lines or JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from scipy.special import gammaincinv

from medvis.core.arrays import Indices
from medvis.errors import SettingsError
from medvis.learn.figures.metrics import bootstrap, interval, share_interval
from medvis.model.card import Figure, Worst
from medvis.settings import Measured

# Key of every figure that a bar or a baseline in a task's YAML may name → whether more is better.
KEYS = {
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "auc": True,
    "abnormal_auc": True,
    "sensitivity": True,
    "specificity": True,
    "abnormal_sensitivity": True,
    "abnormal_specificity": True,
    "referred": False,
    "verdict_right": True,
    "called_negative": False,
    "calibration_error": False,
    "brier": False,
    "dice": True,
    "dice_median": True,
    "iou": True,
    "normal_clean": True,
    "normal_pixels": False,
    "recall": True,
    "small_recall": True,
    "false_findings": False,
    "recall_at_bar": True,
    "slice_recall": True,
    "slice_false_findings": False,
    "series_recall": True,
    "series_false_findings": False,
    "tumour_found": True,
    "tumour_slices": True,
    "other_findings": False,
}
# What is counted, of which a row may have several, and what is measured between 0 and 1. The rest is a yes or no a row.
COUNTS = frozenset({"false_findings", "slice_false_findings", "series_false_findings", "other_findings"})
AMOUNTS = frozenset({"dice", "dice_median", "iou", "normal_pixels", "brier", "calibration_error"})
WORST = 5

Statistic = Callable[[Indices], float]
Draw = Callable[[Path], None]


class Sampled(Figure):
    """A figure with its bootstrap values, which a card does not keep.

    Attributes:
        draws: the figure on each bootstrap sample, or empty.
        drawn_from: a hash of the groups of all rows; where it is the same, the samples are the same.
    """

    draws: tuple[float, ...] = Field(default=(), exclude=True, repr=False)
    drawn_from: str = Field(default="", exclude=True, repr=False)


@dataclass(frozen=True)
class Evaluation:
    """The figures of one task on one split.

    Attributes:
        task, model: what was measured.
        data: name of the data set and split, without its path on this machine.
        figures: the numbers.
        facts: counts and settings behind them.
        worst: the cases that it did worst on.
        plots: file name → a function that draws it there; matplotlib is imported when one is called.
    """

    task: str
    model: str
    data: str
    figures: list[Figure]
    facts: dict[str, Any] = field(default_factory=dict)
    worst: list[Worst] = field(default_factory=list)
    plots: Mapping[str, Draw] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        figures = [figure.model_dump(mode="json") for figure in self.figures]
        worst = [case.model_dump(mode="json") for case in self.worst]
        head = {"task": self.task, "model": self.model, "data": self.data}
        return {**head, "figures": figures, "facts": self.facts, "worst": worst}

    def lines(self) -> list[tuple[str, str]]:
        """(name, value with interval, baseline and bar) of every figure."""
        return [(figure.name, _text(figure)) for figure in self.figures]


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """Several evaluations of one task on one data set as one; of plots of one name the first is kept."""
    first = parts[0]
    return Evaluation(
        first.task, first.model, first.data,
        [figure for part in parts for figure in part.figures],
        {name: fact for part in parts for name, fact in part.facts.items()},
        [case for part in parts for case in part.worst],
        {name: draw for part in reversed(parts) for name, draw in part.plots.items()},
    )  # fmt: skip


def measured_faults(settings: Measured) -> list[str]:
    """Every bar and baseline of a figure that there is not, in words: it would stand beside no figure."""
    names = [(part, key) for part in ("bars", "baselines") for key in getattr(settings, part) if key not in KEYS]
    return [f"evaluate.{part}.{key}: no such figure, one of {', '.join(KEYS)}" for part, key in names]


def require_known(settings: Measured) -> None:
    """Raises SettingsError where a bar or baseline is of a figure that there is not."""
    texts = measured_faults(settings)
    if texts:
        raise SettingsError("; ".join(texts))


@dataclass(frozen=True)
class FigureMaker:
    """Makes figures: value, 95 % interval by group, and the bars and baselines of the task's YAML beside them."""

    settings: Measured

    def __post_init__(self) -> None:
        require_known(self.settings)

    def figure(
        self, key: str, name: str, statistic: Statistic, groups: Sequence[str], baseline: str | None = None
    ) -> list[Figure]:
        """One figure, or none where it is not defined (no rows, one class only).

        Args:
            key: one of `KEYS`.
            name: as people read it.
            statistic: takes row indices, gives the figure.
            groups: group of each row; whole groups are drawn for the interval. It is left out where nothing varies:
                one group alone, or no error at all, which a bootstrap would take for certainty.
            baseline: what a trivial method reaches on the same rows, in words.
        """
        value = statistic(np.arange(len(groups))) if len(groups) else float("nan")
        if isnan(value):
            return []
        values = bootstrap(statistic, groups) if len(set(groups)) > 1 else np.full(1, value)
        low, high = interval(values)
        beside = [text for text in (baseline, self.settings.baselines.get(key)) if text]
        return [
            Sampled(
                name=name, value=value, ci95=(low, high) if low < high else None, n=len(groups),
                baseline="; ".join(beside) or None, bar=self.bar(key),
                draws=tuple(values.tolist()) if len(values) > 1 else (),
                drawn_from=sha256("\n".join(groups).encode()).hexdigest()[:16],
            )
        ]  # fmt: skip

    def mean(
        self, key: str, name: str, values: Sequence[float], groups: Sequence[str], baseline: str | None = None
    ) -> list[Figure]:
        """The mean of one value a row.

        Where all rows are alike, a bootstrap would take that for certainty. The interval is then exact, each group
        counting once: of a yes or no by Clopper & Pearson (1934), of a count by Garwood (1936); of an amount, such as
        Dice, there is none.
        """
        table = np.asarray(values, np.float64)
        figures = self.figure(key, name, lambda rows: float(table[rows].mean()), groups, baseline)
        independent = len(set(groups))
        if independent < 2 or table.min() < table.max() or key in AMOUNTS:
            return figures
        exact = (
            poisson_interval(float(table[0]), independent) if key in COUNTS else share_interval(table[0], independent)
        )
        return [figure.model_copy(update={"ci95": exact}) for figure in figures]

    def bar(self, key: str) -> str | None:
        """The bar as the card tells it."""
        wanted = self.settings.bars.get(key)
        return None if wanted is None else f"{'≥' if KEYS[key] else '≤'} {wanted:g}"


def poisson_interval(mean: float, count: int) -> tuple[float, float] | None:
    """95 % interval of a mean number of events a case, of which each of `count` cases had as many (Garwood 1936)."""
    events = mean * count
    # The quantile of chi² with 2k degrees of freedom is twice that of the gamma distribution of shape k.
    low = float(gammaincinv(events, 0.025)) if events else 0.0
    return low / count, float(gammaincinv(events + 1, 0.975)) / count


def _text(figure: Figure) -> str:
    parts = [f"{figure.value:.3f}"]
    if figure.ci95 is not None:
        parts.append(f"[{figure.ci95[0]:.3f}, {figure.ci95[1]:.3f}]")
    if figure.n is not None:
        parts.append(f"n={figure.n}")
    if figure.bar is not None:
        parts.append(f"bar {figure.bar} {'reached' if figure.reached else 'missed'}")
    if figure.baseline is not None:
        parts.append(f"baseline: {figure.baseline}")
    return "  ".join(parts)

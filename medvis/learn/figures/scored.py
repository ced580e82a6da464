"""Scores with their truth, and the 95 % intervals of what is plotted of them: by group (patient), never by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.learn.figures.metrics import auc, bootstrap, group_samples, interval, share_interval

Ends = tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """The scores of n cases, and which are true.

    Attributes:
        scores: [n], larger for what is likelier true; probabilities where calibration is plotted.
        truth: bool [n].
        groups: [n], the patient or cluster of each case; whole groups are drawn for the intervals.
        called: bool [n], what is called true at the shipped threshold; None: there is no threshold.
    """

    scores: Float64s
    truth: Bools
    groups: Sequence[str]
    called: Bools | None = None

    @property
    def has_both(self) -> bool:
        """Whether something is true and something is not."""
        return bool(0 < self.truth.sum() < len(self.truth))

    def auc(self) -> tuple[float, Ends | None]:
        """Area under the ROC curve and its interval; None where no sample differs."""
        if len(set(self.groups)) < 2:
            return auc(self.scores, self.truth), None
        ends = interval(bootstrap(lambda rows: auc(self.scores[rows], self.truth[rows]), self.groups))
        return auc(self.scores, self.truth), ends if ends[0] < ends[1] else None

    def roc_band(self, rates: Float64s) -> tuple[Float64s, Float64s] | None:
        """Interval of the sensitivity at each false positive rate (vertical averaging, Fawcett 2006).

        Returns:
            Lower and upper ends, like `rates`; None where there is one group alone, or no sample differs.
        """
        if len(set(self.groups)) < 2:
            return None
        samples = [self._sensitivity(rows, rates) for rows in group_samples(self.groups)]
        low, high = np.nanpercentile([one for one in samples if one is not None], (2.5, 97.5), axis=0)
        return None if np.array_equal(low, high) else (low, high)

    def _sensitivity(self, rows: Indices, rates: Float64s) -> Float64s | None:
        """The ROC curve of some rows at these false positive rates; ties are slopes. None without both classes."""
        order = rows[np.argsort(-self.scores[rows], kind="stable")]
        truth, scores = self.truth[order], self.scores[order]
        if truth.all() or not truth.any():
            return None
        last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
        hits, misses = np.cumsum(truth)[last] / truth.sum(), np.cumsum(~truth)[last] / (~truth).sum()
        return np.asarray(np.interp(rates, np.append(0.0, misses), np.append(0.0, hits)), np.float64)

    def share(self, values: Bools, rows: Bools) -> tuple[float, Ends | None]:
        """The share of True among the `rows`, and its interval."""
        return share(values[rows], [group for group, inside in zip(self.groups, rows, strict=True) if inside])


@dataclass(frozen=True)
class Bin:
    """The cases whose probability lies in one bin.

    Attributes:
        count: how many, at least 1.
        predicted: their mean probability.
        true: share that is true.
        ends: interval of that share; None: one group of which some are true.
    """

    count: int
    predicted: float
    true: float
    ends: Ends | None


def reliability_bins(scored: Scored, bins: int = 10) -> list[Bin]:
    """The filled bins of equal width, those of `calibration_error`."""
    index = np.clip((scored.scores * bins).astype(int), 0, bins - 1)
    found = []
    for number in np.unique(index):
        rows = index == number
        true, ends = scored.share(scored.truth, rows)
        found.append(Bin(int(rows.sum()), float(scored.scores[rows].mean()), true, ends))
    return found


def share(values: Bools, groups: Sequence[str]) -> tuple[float, Ends | None]:
    """A share with its interval: by bootstrap; where all are alike, which a bootstrap takes for certainty, exact.

    Args:
        values: bool [n], n ≥ 1.
        groups: [n]; for the exact interval (Clopper & Pearson 1934) each counts once.
    """
    value, independent = float(values.mean()), len(set(groups))
    if value in (0.0, 1.0):
        return value, share_interval(value, independent)
    if independent < 2:
        return value, None
    low, high = interval(bootstrap(lambda rows: float(values[rows].mean()), groups))
    return value, (low, high) if low < high else None

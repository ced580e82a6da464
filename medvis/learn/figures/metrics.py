"""The figures of merit, and their bootstrap intervals by group (patient), never by image.

Plain numpy, not scikit-learn: `medvis evaluate` works without the extra `train`, and a bootstrap computes each figure a
thousand times. The tests compare them with scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices


def dice(predicted: Bools, truth: Bools) -> float:
    """2·|A∩B| / (|A|+|B|); 1 if both are empty, 0 for a miss."""
    total = int(predicted.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((predicted & truth).sum()) / total


def iou(predicted: Bools, truth: Bools) -> float:
    """|A∩B| / |A∪B|; 0 if both are empty."""
    union = int((predicted | truth).sum())
    return int((predicted & truth).sum()) / union if union else 0.0


def auc(scores: Float64s, truth: Bools) -> float:
    """Area under the ROC curve as the Mann–Whitney statistic, ties counted half; nan without both classes."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def calibration_error(probability: Float64s, truth: Bools, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017)."""
    index = np.clip((probability * bins).astype(int), 0, bins - 1)
    gaps = [
        (index == b).mean() * abs(probability[index == b].mean() - truth[index == b].mean())
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))


def confusion_matrix(predicted: Indices, truth: Indices, classes: int) -> Indices:
    """Counts [classes, classes], rows the true class, columns the predicted one."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def balanced_accuracy(matrix: Indices) -> float:
    """Mean recall over the classes that occur; nan if there is none."""
    present = matrix.sum(1) > 0
    if not present.any():
        return float("nan")
    return float((np.diag(matrix)[present] / matrix.sum(1)[present]).mean())


def macro_f1(matrix: Indices) -> float:
    """Mean F1 over the classes that occur or are predicted; nan if there is none."""
    total = matrix.sum(0) + matrix.sum(1)
    present = total > 0
    if not present.any():
        return float("nan")
    return float((2 * np.diag(matrix)[present] / total[present]).mean())


def brier(probability: Float64s, truth: Indices) -> float:
    """Mean over the rows of Σ over the classes of (probability − truth)²; 0 is perfect, 2 the worst (Brier 1950).

    Args:
        probability: [n, k].
        truth: [n], the true class.
    """
    return float(((probability - np.eye(probability.shape[1])[truth]) ** 2).sum(1).mean())


def bootstrap(
    statistic: Callable[[Indices], float], groups: Sequence[str], draws: int = 1000, seed: int = 0
) -> Float64s:
    """A statistic of row indices on bootstrap samples, whole groups being drawn with replacement; float64 [draws].

    Args:
        statistic: takes row indices, gives the figure; nan where it has none.
        groups: group of each row.
        draws: bootstrap samples.
        seed: the same seed and the same set of groups give the same samples, whatever the statistic: the values of two
            models on the same rows are paired.
    """
    return np.array([statistic(rows) for rows in group_samples(groups, draws, seed)], np.float64)


def group_samples(groups: Sequence[str], draws: int = 1000, seed: int = 0) -> Iterator[Indices]:
    """The row indices of each bootstrap sample, see `bootstrap`."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == index) for index in range(len(names))]
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        drawn = rng.integers(len(names), size=len(names))
        yield np.concatenate([rows[index] for index in drawn])


def interval(values: Float64s) -> tuple[float, float]:
    """The 95 % percentile interval of bootstrap values; what is nan is left out."""
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def share_interval(value: float, count: int) -> tuple[float, float] | None:
    """95 % interval of a share that is 0 or 1 on all of `count` cases (Clopper & Pearson 1934); None of another."""
    if value not in (0, 1):
        return None
    miss = 1 - 0.025 ** (1 / count)
    return (1 - miss, 1.0) if value else (0.0, miss)

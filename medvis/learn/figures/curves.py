"""Curves over all thresholds: ROC, FROC and reliability, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Bools, Float64s, Indices


@dataclass(frozen=True)
class Froc:
    """Recall of lesions against false findings an image, from the highest threshold to the lowest.

    Attributes:
        extra: [t] false findings an image, ascending, from 0.
        recall: [t] share of the lesions that are found.
        shipped: (false findings an image, recall) at the shipped threshold.
    """

    extra: Float64s
    recall: Float64s
    shipped: tuple[float, float]

    def recall_at(self, extra: float) -> float:
        """The best recall with at most `extra` false findings an image."""
        allowed = self.recall[self.extra <= extra + 1e-12]
        return float(allowed.max(initial=0.0))


def roc_curve(scores: Float64s, truth: Bools) -> tuple[Float64s, Float64s]:
    """(false positive rate [t], sensitivity [t]) from (0, 0) to (1, 1); scores of one value are one step.

    Without both classes one of the axes is 0 throughout.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], truth[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) if len(ranked) else np.zeros(0, np.intp)
    found, wrong = np.cumsum(hits)[last], np.cumsum(~hits)[last]
    share = [
        np.append(0.0, part / max(int(total), 1)) for part, total in ((wrong, (~truth).sum()), (found, truth.sum()))
    ]
    return share[0], share[1]


def froc_curve(lesions: Float64s, extras: Float64s, images: int, threshold: float) -> Froc:
    """The free-response curve.

    Args:
        lesions: [l] probability of the likeliest finding that hits each lesion; −inf where none does.
        extras: [e] probability of each finding that hits none.
        images: how many images were searched.
        threshold: the shipped one.
    """
    known = np.concatenate([lesions[np.isfinite(lesions)], extras])
    cuts = np.append(np.inf, np.unique(known)[::-1])
    recall = np.array([float((lesions >= cut).sum()) for cut in cuts]) / max(len(lesions), 1)
    extra = np.array([float((extras >= cut).sum()) for cut in cuts]) / max(images, 1)
    shipped = (
        float((extras >= threshold).sum()) / max(images, 1),
        float((lesions >= threshold).sum()) / max(len(lesions), 1),
    )
    return Froc(extra, recall, shipped)


def reliability_bins(probability: Float64s, truth: Bools, bins: int = 10) -> tuple[Float64s, Float64s, Indices]:
    """(mean probability, share that is true, count) of each bin of equal width that holds anything."""
    index = np.clip((probability * bins).astype(int), 0, bins - 1)
    filled = np.unique(index)
    said = np.array([probability[index == one].mean() for one in filled])
    true = np.array([truth[index == one].mean() for one in filled])
    return said, true, np.array([(index == one).sum() for one in filled], np.intp)

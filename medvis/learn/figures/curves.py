"""The free-response curve (FROC), which scikit-learn does not have; ROC and reliability come from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Float64s


@dataclass(frozen=True)
class Froc:
    """Recall of lesions against false findings an image, from the highest threshold to the lowest.

    Attributes:
        extra: [t] false findings an image, ascending, from 0.
        recall: [t] fraction of the lesions that are detected.
        shipped: (false findings an image, recall) at the shipped threshold.
        lesions, images: how many there are.
    """

    extra: Float64s
    recall: Float64s
    shipped: tuple[float, float]
    lesions: int
    images: int

    def recall_at(self, extra: float) -> float:
        """The best recall with at most `extra` false findings an image."""
        allowed = self.recall[self.extra <= extra + 1e-12]
        return float(allowed.max(initial=0.0))


def froc_curve(lesions: Float64s, false_positives: Float64s, images: int, threshold: float) -> Froc:
    """The free-response curve.

    Args:
        lesions: [l] probability of the likeliest finding that hits each lesion; −inf where none does.
        false_positives: [e] probability of each finding that touches no lesion.
        images: how many images were searched.
        threshold: the shipped one.
    """
    known = np.concatenate([lesions[np.isfinite(lesions)], false_positives])
    cuts = np.append(np.inf, np.unique(known)[::-1])
    recall = np.array([float((lesions >= cut).sum()) for cut in cuts]) / max(len(lesions), 1)
    extra = np.array([float((false_positives >= cut).sum()) for cut in cuts]) / max(images, 1)
    shipped = (
        float((false_positives >= threshold).sum()) / max(images, 1),
        float((lesions >= threshold).sum()) / max(len(lesions), 1),
    )
    return Froc(extra, recall, shipped, len(lesions), images)

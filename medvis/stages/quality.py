"""Facts about an image that bear on trust, measured on the model's view."""

from __future__ import annotations

import cv2
import numpy as np

from medvis.core.arrays import Bools
from medvis.core.case import Case
from medvis.core.report import Quality


def image_quality(case: Case) -> Quality:
    """Contrast and sharpness over the searched (else the valid) pixels; None where there is no view."""
    valid = 1.0 if case.scan.valid is None else float(case.scan.valid.mean())
    searched = None if case.region is None else round(sum(_counts(case.region)) / case.region.size, 4)
    if case.view is None:
        return Quality(valid_fraction=round(valid, 4), contrast=None, sharpness=None, searched_fraction=searched)
    where = case.region if case.region is not None and case.region.any() else case.scan.valid
    frame = _middle(case, where)
    grey = case.view[frame].mean(-1)
    inside = np.ones(grey.shape, bool) if where is None else where[frame]
    low, high = np.percentile(grey[inside], (5, 95))
    edges = cv2.Laplacian(grey, cv2.CV_32F)[inside]
    return Quality(
        valid_fraction=round(valid, 4),
        contrast=round(float(high - low), 4),
        sharpness=round(float(edges.var()), 6),
        searched_fraction=searched,
    )


def _middle(case: Case, where: Bools | None) -> int:
    """The frame that stands for the series: the one with most to look at."""
    return case.scan.frames // 2 if where is None else int(np.argmax(_counts(where)))


def _counts(where: Bools) -> list[int]:
    """True pixels of each frame."""
    return [int(np.count_nonzero(plane)) for plane in where]

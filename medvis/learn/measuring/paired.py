"""Two models on the same rows: how far apart they are, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np

from medvis.learn.figures.metrics import interval
from medvis.learn.measuring.evaluation import Sampled
from medvis.model.card import Difference, Figure

_DIGITS = 6
Samples = Mapping[str, dict[str, Any]]


def samples_of(figures: Sequence[Figure]) -> Samples:
    """Name → value, bootstrap values and what they were drawn from, in JSON values; of figures that were resampled."""
    return {
        figure.name: {
            "value": figure.value,
            "draws": [None if isnan(value) else round(value, _DIGITS) for value in figure.draws],
            "drawn_from": figure.drawn_from,
        }
        for figure in figures
        if isinstance(figure, Sampled) and figure.draws
    }


def differences(first: Samples, other: Samples) -> list[Difference]:
    """`other` less `first`, of the figures that both have of the same rows; see `samples_of`.

    Both models are measured on the same bootstrap samples, so that what makes a group easy or hard for both of them
    does not widen the interval (the paired bootstrap; Efron & Tibshirani 1993).
    """
    results = []
    for name, before in first.items():
        after = other.get(name)
        if after is None or after["drawn_from"] != before["drawn_from"]:
            continue
        apart = np.array(after["draws"], np.float64) - np.array(before["draws"], np.float64)
        results.append(Difference(name=name, value=after["value"] - before["value"], ci95=interval(apart)))
    return results

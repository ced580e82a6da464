"""Figures of the verdict of the whole pipeline: how often it is given, right, and wrongly negative."""

from __future__ import annotations

from collections import Counter

import numpy as np

from medvis.core.arrays import Bools
from medvis.learn.measuring.class_sides import ClassPredictions
from medvis.learn.measuring.evaluation import FigureMaker
from medvis.model.card import Figure


def verdict_figures(maker: FigureMaker, classes: ClassPredictions) -> list[Figure]:
    """How often the verdict is left to a person, how often it is right where it is not, and what it overlooks.

    A verdict is right if it is positive where there is something and negative where there is nothing; where no class
    is normal, if the likeliest class is the true one. A pipeline that does not judge has none of these figures.
    """
    if None in classes.verdicts:
        return []
    verdicts, sick, names = np.array(classes.verdicts), ~classes.normal[classes.truth], np.array(classes.names)
    given, binary = verdicts != "refer", bool(classes.normal.any())
    truth, predicted = np.where(sick, "positive", "negative"), verdicts
    if not binary:
        truth, predicted = names[classes.truth], names[classes.predicted]
    usual = Counter(truth[given].tolist()).most_common(1)
    always = "".join(f"always '{name}' {count / given.sum():.3f}" for name, count in usual)

    def fraction(key: str, name: str, values: Bools, among: Bools, baseline: str | None = None) -> list[Figure]:
        rows = np.flatnonzero(among)
        return maker.mean(key, name, values[rows].tolist(), [classes.groups[row] for row in rows], baseline)

    return [
        *fraction("referred", "Verdicts left to a person", ~given, np.ones_like(given)),
        *fraction("verdict_right", "Verdicts that are right, of those given", predicted == truth, given, always),
        *fraction(
            "called_negative", "Called negative, of all that is not normal", verdicts == "negative", sick & binary
        ),
    ]

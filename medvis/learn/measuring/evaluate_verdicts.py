"""Figures of the verdict of the whole pipeline: how often it is given, right, and wrongly negative."""

from __future__ import annotations

from collections import Counter

import numpy as np

from medvis.core.arrays import Bools
from medvis.learn.measuring.class_sides import Told
from medvis.learn.measuring.evaluation import Judge
from medvis.model.card import Figure


def verdict_figures(judge: Judge, told: Told) -> list[Figure]:
    """How often the verdict is left to a person, how often it is right where it is not, and what it overlooks.

    A verdict is right if it is positive where there is something and negative where there is nothing; where no class
    is normal, if the likeliest class is the true one. A pipeline that does not judge has none of these figures.
    """
    if None in told.verdicts:
        return []
    verdicts, sick, names = np.array(told.verdicts), ~told.normal[told.truth], np.array(told.names)
    given, binary = verdicts != "refer", bool(told.normal.any())
    truth, said = np.where(sick, "positive", "negative"), verdicts
    if not binary:
        truth, said = names[told.truth], names[told.said]
    usual = Counter(truth[given].tolist()).most_common(1)
    always = "".join(f"always '{name}' {count / given.sum():.3f}" for name, count in usual)

    def share(key: str, name: str, values: Bools, among: Bools, baseline: str | None = None) -> list[Figure]:
        rows = np.flatnonzero(among)
        return judge.mean(key, name, values[rows].tolist(), [told.groups[row] for row in rows], baseline)

    return [
        *share("referred", "Verdicts left to a person", ~given, np.ones_like(given)),
        *share("verdict_right", "Verdicts that are right, of those given", said == truth, given, always),
        *share("called_negative", "Called negative, of all that is not normal", verdicts == "negative", sick & binary),
    ]

"""The difference between two models: paired samples, and nothing where they cannot be paired."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medvis.learn.figures.metrics import auc
from medvis.learn.measuring.evaluation import FigureMaker
from medvis.learn.measuring.paired import differences, samples_of
from medvis.model.card import Card, Figure
from medvis.settings import Measured

GROUPS = [f"p{index // 3}" for index in range(90)]
RNG = np.random.default_rng(3)
HARD = RNG.random(90)
JUDGE = FigureMaker(Measured())


def kept(*figures):
    return json.loads(json.dumps(samples_of([one for some in figures for one in some])))


def test_what_both_find_hard_does_not_widen_the_interval():
    first = JUDGE.mean("dice", "Dice", HARD, GROUPS)
    other = JUDGE.mean("dice", "Dice", HARD - 0.03 + 0.02 * RNG.standard_normal(90), GROUPS)
    (apart,) = differences(kept(first), kept(other))
    low, high = apart.ci95
    assert apart.value == pytest.approx(other[0].value - first[0].value)
    assert low < -0.03 < high and high - low < 0.02
    assert first[0].ci95[0] < other[0].value < first[0].ci95[1], "unpaired, the two are not told apart"


def test_other_rows_are_not_compared():
    first = kept(JUDGE.mean("dice", "Dice", HARD, GROUPS), JUDGE.mean("iou", "IoU", HARD, GROUPS))
    moved = kept(JUDGE.mean("dice", "Dice", HARD, GROUPS[::-1]), JUDGE.mean("recall", "Recall", HARD, GROUPS))
    assert differences(first, moved) == []
    assert differences(first, kept([Figure(name="Dice", value=0.5)])) == []


def test_a_sample_without_a_value_is_left_out():
    truth = np.array([True, False, False, False])
    figures = [
        JUDGE.figure("auc", "AUC", lambda rows, s=scores: auc(np.array(s)[rows], truth[rows]), list("abcd"))
        for scores in ([0.9, 0.1, 0.2, 0.3], [0.0, 0.1, 0.2, 0.3])
    ]
    table = kept(figures[0])
    assert None in table["AUC"]["draws"]
    assert differences(table, kept(figures[1]))[0].ci95 == (-1.0, -1.0)


def test_a_card_keeps_no_samples(tmp_path):
    from tiny_bundle import tiny_card

    card = Card.model_validate(tiny_card()).model_copy(update={"figures": JUDGE.mean("dice", "Dice", HARD, GROUPS)})
    told = card.model_dump(mode="json")["figures"][0]
    assert set(told) == set(Figure.model_fields)

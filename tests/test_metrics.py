"""The figures of merit against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.learn.figures.metrics import (
    auc,
    balanced_accuracy,
    bootstrap,
    brier,
    calibration_error,
    confusion_matrix,
    dice,
    interval,
    iou,
    macro_f1,
)
from medvis.learn.measuring.evaluation import FigureMaker
from medvis.settings import Measured

MASKS = arrays(bool, (5, 7))
EMPTY, FULL = np.zeros((5, 7), bool), np.ones((5, 7), bool)


def test_overlap_at_its_ends():
    assert dice(EMPTY, EMPTY) == 1, "nothing there and nothing found is right"
    assert iou(EMPTY, EMPTY) == 0
    assert dice(FULL, FULL) == iou(FULL, FULL) == 1
    assert dice(EMPTY, FULL) == dice(FULL, EMPTY) == iou(FULL, EMPTY) == 0
    half = FULL.copy()
    half[:, :1] = False
    assert dice(half, FULL) == pytest.approx(2 * 30 / 65) and iou(half, FULL) == pytest.approx(30 / 35)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_overlap_is_symmetric_and_dice_follows_from_iou(one, other):
    assert dice(one, other) == dice(other, one) and iou(one, other) == iou(other, one)
    assert 0 <= iou(one, other) <= dice(one, other) <= 1
    if one.any() or other.any():
        assert dice(one, other) == pytest.approx(2 * iou(one, other) / (1 + iou(one, other)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs):
    scores, truth = np.array([float(score) for score, _ in pairs]), np.array([label for _, label in pairs])
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in scores[truth] for n in scores[~truth]]
    if wins:
        assert auc(scores, truth) == pytest.approx(np.mean(wins))
        assert auc(-scores, truth) == pytest.approx(1 - np.mean(wins))
        assert auc(np.exp(scores), truth) == pytest.approx(np.mean(wins)), "only the order counts"
    else:
        assert np.isnan(auc(scores, truth))


def test_calibration_error_is_nought_for_a_calibrated_score():
    probability = np.repeat([0.05, 0.25, 0.85], 100)
    truth = np.concatenate([np.arange(100) < 5, np.arange(100) < 25, np.arange(100) < 85])
    assert calibration_error(probability, truth) == pytest.approx(0, abs=1e-9)
    assert calibration_error(np.full(10, 0.9), np.zeros(10, bool)) == pytest.approx(0.9)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0, "the ends belong to a bin"


@settings(deadline=None)
@given(arrays(np.float64, 20, elements=st.floats(0, 1)), arrays(bool, 20))
def test_calibration_error_lies_between_nought_and_one(probability, truth):
    assert 0 <= calibration_error(probability, truth) <= 1


def test_the_bootstrap_is_repeatable_and_holds_the_mean():
    values = np.random.default_rng(0).normal(5, 1, 200)
    groups = [f"p{index // 4}" for index in range(200)]

    def mean(rows):
        return float(values[rows].mean())

    low, high = interval(bootstrap(mean, groups))
    assert (low, high) == interval(bootstrap(mean, groups))
    assert (low, high) != interval(bootstrap(mean, groups, seed=1))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.35)


def test_whole_groups_are_drawn():
    """Twenty rows of one patient are one patient: the interval must be as wide as that of five rows."""
    values = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], 20)
    groups = np.repeat(list("abcde"), 20)
    drawn = []
    samples = bootstrap(lambda rows: drawn.append(rows) or float(values[rows].mean()), list(groups), draws=200)
    low, high = interval(samples)
    assert high - low > 2
    for rows in drawn:
        assert len(rows) == 100
        counts = np.bincount(rows, minlength=100).reshape(5, 20)
        assert (counts == counts[:, :1]).all()


def test_a_draw_without_a_value_is_left_out():
    truth = np.array([True, False, False, False])
    scores = np.array([0.9, 0.1, 0.2, 0.3])
    values = bootstrap(lambda rows: auc(scores[rows], truth[rows]), list("abcd"), draws=100)
    assert np.isnan(values).any() and interval(values) == (1.0, 1.0)


def test_figures_of_a_confusion_matrix():
    truth, said = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 1])
    matrix = confusion_matrix(said, truth, 4)
    assert matrix.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert balanced_accuracy(matrix) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3), "a class that does not occur has no say"
    assert macro_f1(matrix) == pytest.approx((4 / 6 + 2 / 5 + 0) / 3)
    assert np.isnan(balanced_accuracy(np.zeros((2, 2), int))) and np.isnan(macro_f1(np.zeros((2, 2), int)))


def test_brier_is_nought_for_the_truth_and_two_for_its_opposite():
    truth = np.array([0, 1, 1])
    right = np.eye(2)[truth]
    assert brier(right, truth) == 0 and brier(1 - right, truth) == 2
    assert brier(np.full((3, 2), 0.5), truth) == 0.5


def test_no_error_is_not_certainty():
    maker = FigureMaker(Measured())
    groups = [str(index) for index in range(240)]
    (right,) = maker.mean("accuracy", "Accuracy", [1.0] * 240, groups)
    assert right.value == 1 and right.ci95 == pytest.approx((0.9847, 1.0), abs=1e-4)
    (wrong,) = maker.mean("accuracy", "Accuracy", [0.0] * 240, groups)
    assert wrong.ci95 == pytest.approx((0.0, 0.0153), abs=1e-4)
    (one,) = maker.mean("accuracy", "Accuracy", [1.0] * 3, ["a"] * 3)
    assert one.ci95 is None
    (flat,) = maker.figure("macro_f1", "Macro-F1", lambda _: 1.0, groups)
    assert flat.ci95 is None
    (mixed,) = maker.mean("accuracy", "Accuracy", [1.0, 0.0] * 120, groups)
    assert mixed.ci95[0] < 0.5 < mixed.ci95[1]


def test_the_figures_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics", reason="the extra 'train' brings scikit-learn")
    rng = np.random.default_rng(4)
    scores = np.round(rng.random(300), 2)  # with ties
    truth = rng.random(300) < scores
    assert auc(scores, truth) == pytest.approx(sklearn.roc_auc_score(truth, scores), abs=1e-12)
    classes, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    matrix = confusion_matrix(predicted, classes, 4)
    np.testing.assert_array_equal(matrix, sklearn.confusion_matrix(classes, predicted))
    assert macro_f1(matrix) == pytest.approx(sklearn.f1_score(classes, predicted, average="macro"))
    assert balanced_accuracy(matrix) == pytest.approx(sklearn.balanced_accuracy_score(classes, predicted))
    two = np.stack([1 - scores, scores], 1)
    assert brier(two, truth.astype(int)) == pytest.approx(2 * sklearn.brier_score_loss(truth, scores))

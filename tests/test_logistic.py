"""Ridge-penalised logistic regression: closed forms, the minimum, independence of units."""

from __future__ import annotations

import numpy as np
import pytest

from medvis.learn.bundling.logistic import fit_logistic, fit_scaled_logistic, named_weights


def test_without_a_telling_feature_the_bias_is_the_log_odds():
    truth = (np.arange(100) < 30).astype(float)
    weights = fit_logistic(np.zeros((100, 1)), truth)
    np.testing.assert_allclose(weights, [0, np.log(0.3 / 0.7)], atol=1e-8)


def test_two_points_have_the_weight_at_which_penalty_and_likelihood_balance():
    """Of the loss 2·log(1 + exp(−w)) + r·w²/2 the derivative is r·w − 2·σ(−w): 0 for r = 2·σ(−1), w = 1."""
    ridge = 2 / (1 + np.e)
    np.testing.assert_allclose(fit_logistic(np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), ridge), [1, 0], atol=1e-7)


def test_a_logistic_model_finds_the_weights_that_made_the_data():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20_000, 3))
    weights = np.array([1.5, -0.7, 0.0, 0.4])
    chance = 1 / (1 + np.exp(-(features @ weights[:3] + weights[3])))
    fitted = fit_logistic(features, (rng.random(20_000) < chance).astype(float))
    np.testing.assert_allclose(fitted, weights, atol=0.08)


def test_separable_data_give_finite_weights_and_a_stronger_ridge_smaller_ones():
    features = np.linspace(-1, 1, 40)[:, None]
    truth = (features[:, 0] > 0).astype(float)
    weak, strong = fit_logistic(features, truth, ridge=0.1), fit_logistic(features, truth, ridge=10)
    assert np.isfinite(weak).all() and weak[0] > 5 * strong[0] > 0
    assert weak[1] == pytest.approx(0, abs=1e-6), "the bias is not penalised, and here it is nought"


def test_a_single_class_gives_its_own_certainty_without_a_warning():
    weights = fit_logistic(np.ones((10, 2)), np.ones(10))
    assert np.isfinite(weights).all()
    assert 1 / (1 + np.exp(-(weights.sum()))) > 0.99


def test_the_fit_is_at_the_minimum():
    rng = np.random.default_rng(2)
    x, truth = rng.normal(size=(200, 2)), (rng.random(200) < 0.4).astype(float)
    best = fit_logistic(x, truth, ridge=0.5)

    def loss(w):
        z = x @ w[:2] + w[2]
        return (np.logaddexp(0, z) - truth * z).sum() + 0.25 * (w[:2] ** 2).sum()

    for step in (*np.eye(3), *-np.eye(3)):
        assert loss(best + 0.01 * step) > loss(best)


def test_a_scaled_fit_does_not_depend_on_the_units_of_its_features():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 2))
    truth = (rng.random(500) < 1 / (1 + np.exp(-(x[:, 0] - 0.5 * x[:, 1])))).astype(float)
    scale, shift = np.array([1000.0, 0.01]), np.array([50.0, -3.0])
    one, other = fit_scaled_logistic(x, truth, 5.0), fit_scaled_logistic(x * scale + shift, truth, 5.0)
    np.testing.assert_allclose(other[:2] * scale, one[:2], rtol=1e-6)
    np.testing.assert_allclose((x * scale + shift) @ other[:2] + other[2], x @ one[:2] + one[2], rtol=1e-6, atol=1e-9)
    standard = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(fit_scaled_logistic(standard, truth, 5.0), fit_logistic(standard, truth, 5.0), atol=1e-8)
    constant = np.hstack([x, np.ones((500, 1))])
    assert fit_scaled_logistic(constant, truth, 5.0)[2] == pytest.approx(0), "a constant tells nothing"


def test_weights_are_named_for_the_card():
    assert named_weights(("a", "b"), np.array([1.234567, -2.0, 0.5])) == {"a": 1.23457, "b": -2.0, "bias": 0.5}

"""Logistic regression with a ridge penalty, as the card keeps it: a weight for each named feature, and a bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from medvis.core.arrays import Float64s


def fit_logistic(features: Float64s, truth: Float64s, ridge: float = 1.0) -> Float64s:
    """Weights [d + 1] (bias last) of the largest penalised likelihood, which has one maximum.

    Args:
        features: [n, d], of comparable scale.
        truth: [n] in 0…1.
        ridge: penalty on half the sum of the squared weights; the bias is not penalised.
    """
    x = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.append(np.full(features.shape[1], ridge), 0.0)

    def loss(weights: Float64s) -> float:
        logits = x @ weights
        return float(np.logaddexp(0, logits).sum() - truth @ logits + 0.5 * penalty @ weights**2)

    def gradient(weights: Float64s) -> Float64s:
        return np.asarray(x.T @ (expit(x @ weights) - truth) + penalty * weights)

    def hessian(weights: Float64s) -> Float64s:
        probability = expit(x @ weights)
        return np.asarray((x * (probability * (1 - probability))[:, None]).T @ x + np.diag(penalty))

    start = np.zeros(x.shape[1])
    result = minimize(loss, start, method="trust-exact", jac=gradient, hess=hessian, options={"gtol": 1e-8})
    return np.asarray(result.x, np.float64)


def fit_scaled_logistic(features: Float64s, truth: Float64s, ridge: float) -> Float64s:
    """As `fit_logistic`, but the penalty is on weights per standard deviation; the result is for raw features."""
    mean, sd = features.mean(0), np.maximum(features.std(0), 1e-6)
    weights = fit_logistic((features - mean) / sd, truth, ridge)
    raw = weights[:-1] / sd
    return np.asarray(np.append(raw, weights[-1] - raw @ mean), np.float64)


def named_weights(names: Sequence[str], weights: Float64s) -> dict[str, float]:
    """Weights as the card keeps them: name → weight, and ``bias``."""
    values = {name: round(float(weight), 5) for name, weight in zip(names, weights[:-1], strict=True)}
    return {**values, "bias": round(float(weights[-1]), 5)}

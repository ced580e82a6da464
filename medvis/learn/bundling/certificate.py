"""What a smaller graph costs: it and the fp32 graph on the same val views, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools, Float32s, Float64s
from medvis.learn.bundling.validation_views import ValidationViews, batches
from medvis.learn.figures.metrics import auc, dice
from medvis.model.session import cpu_session

# A smaller graph ships only if Dice and AUC fall by no more than this, and no more than this share of decisions change.
MOST_LOST = 0.01
MOST_CHANGED = 0.01
# What INT8 is for: at most this share of the bytes, at least this many times as fast.
SIZE_BAR = 0.27
SPEED_BAR = 2.0
BATCH = 16
LEAST_OUTLINE = 4  # px: fewer are dropped by every task
THREADS = 2
PAIRS = 25


@dataclass(frozen=True)
class Predictions:
    """The outputs of one graph for all views.

    Attributes:
        overlap: float64 [n], Dice of each view; None where nothing is outlined.
        outlined: bool [n], whether anything is; None where the network has no masks.
        logits: float32 [n, k] of the compared columns; None where there are none.
    """

    overlap: Float64s | None
    outlined: Bools | None
    logits: Float32s | None

    def chosen(self) -> NDArray[np.int64] | None:
        """Int64 [n], the likeliest class; None without classes that exclude each other."""
        if self.logits is None or self.logits.shape[1] < 2:
            return None
        return np.asarray(self.logits.argmax(1), np.int64)


def see(graph: bytes, views: ValidationViews) -> Predictions:
    """Runs a graph over all views."""
    session = cpu_session(graph)
    scores: list[float] = []
    outlined, logits = [], []
    for index, batch in enumerate(batches(views.views, BATCH)):
        masks, classes = session.run(["mask_logits", "class_logits"], {"image": batch})
        logits.append(classes[:, views.columns])
        if views.masks is not None:
            predicted = (masks > 0).any(1)
            truth = views.masks[index * BATCH : index * BATCH + len(batch)]
            scores += [dice(a, b) for a, b in zip(predicted, truth, strict=True)]
            outlined.append(predicted.sum((1, 2)) >= LEAST_OUTLINE)
    return Predictions(
        np.array(scores) if outlined else None,
        np.concatenate(outlined) if outlined else None,
        np.concatenate(logits) if views.columns else None,
    )


def quality(predictions: Predictions, views: ValidationViews) -> dict[str, float]:
    """Dice, AUC (of several classes the mean of each against the rest) and accuracy, each where it is defined."""
    figures: dict[str, float] = {}
    if predictions.overlap is not None and len(predictions.overlap):
        figures["dice"] = float(predictions.overlap.mean())
    known = views.truth >= 0
    if predictions.logits is None or not known.any():
        return figures
    logits, truth = predictions.logits[known].astype(np.float64), views.truth[known]
    classes = predictions.chosen()
    if classes is None:
        curves = [auc(logits[:, 0], truth == 1)]
    else:
        figures["accuracy"] = float((classes[known] == truth).mean())
        probability = np.exp(logits - logits.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        curves = [auc(probability[:, index], truth == index) for index in range(probability.shape[1])]
    defined = [curve for curve in curves if not isnan(curve)]  # where val holds one class only
    return {**figures, "auc": float(np.mean(defined))} if defined else figures


def changed(full: Predictions, small: Predictions) -> float:
    """Share of views on which the decision is another: the class, or whether anything is outlined."""
    differs = [
        (before != after).mean()
        for before, after in ((full.chosen(), small.chosen()), (full.outlined, small.outlined))
        if before is not None and after is not None
    ]
    return float(max(differs, default=0.0))


def objections(full: dict[str, float], small: dict[str, float], fraction_changed: float) -> list[str]:
    """Why the smaller graph is not good enough, one short sentence each; empty where it is."""
    reasons = [
        f"{name} falls by {full[name] - small[name]:.4f} (at most {MOST_LOST})"
        for name in ("dice", "auc")
        if name in full and full[name] - small.get(name, 0.0) > MOST_LOST
    ]
    if fraction_changed > MOST_CHANGED:
        reasons.append(f"{fraction_changed:.2%} of decisions change (at most {MOST_CHANGED:.0%})")
    return reasons


def speed(fp32: bytes, small: bytes, views: Float32s) -> dict[str, Any]:
    """How many times as fast the smaller graph is: the median ratio of interleaved pairs of runs.

    Pairs, because on a busy machine both runs of one wait alike; the quartiles say how much they still differ, and
    ``fastest`` compares the fastest run of each, which waited least.
    """
    sessions = [cpu_session(graph, THREADS) for graph in (fp32, small)]
    image = views[:1]
    for session in sessions:
        session.run(None, {"image": image})
    times = [[_seconds(session, image) for session in sessions] for _ in range(PAIRS)]
    ratios = [full / fast for full, fast in times]
    low, high = np.percentile(ratios, (25, 75))
    return {
        "ratio": round(median(ratios), 2),
        "quartiles": [round(float(low), 2), round(float(high), 2)],
        "fastest": round(min(full for full, _ in times) / min(fast for _, fast in times), 2),
        "ms": {
            "fp32": round(1e3 * median(t[0] for t in times), 1),
            "shipped": round(1e3 * median(t[1] for t in times), 1),
        },
        "measured": f"{PAIRS} interleaved pairs, {THREADS} threads, one view of {image.shape[2]}×{image.shape[3]} px",
        "bar": f"≥ {SPEED_BAR:g}",
        "met": median(ratios) >= SPEED_BAR,
    }


def size(fp32: bytes, small: bytes) -> dict[str, Any]:
    """Bytes of both graphs, each in as few as it can be written in."""
    fraction = len(small) / len(fp32)
    return {
        "fp32": len(fp32), "shipped": len(small), "share": round(fraction, 4), "bar": f"≤ {SIZE_BAR:g}",
        "met": fraction <= SIZE_BAR,
    }  # fmt: skip


def _seconds(session: Any, image: Float32s) -> float:  # noqa: ANN401 - onnxruntime's session
    began = perf_counter()
    session.run(None, {"image": image})
    return perf_counter() - began

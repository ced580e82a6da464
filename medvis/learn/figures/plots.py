"""Plots of a training and of an evaluation, as PNG: counts and 95 % intervals by group stand beside every estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from medvis.core.arrays import Indices
from medvis.errors import InputError
from medvis.learn.figures.curves import Froc
from medvis.learn.figures.metrics import calibration_error
from medvis.learn.figures.scored import Scored, reliability_bins
from medvis.learn.figures.style import DPI, GREY, SMALL, STYLE, WIDE, below, legible, save, styles

# What a record holds beside its losses and figures.
NO_LOSS = frozenset({"epoch", "of", "size", "seconds", "rate", "lr", "eta", "eta_s", "step"})
# Of the figures on val, those that are no fraction of 1: they would press the others to the floor.
COUNTS = frozenset({"val_extra"})
_RATES = np.linspace(0, 1, 201)
_HOW = "95 % intervals: bootstrap over the groups; exact (Clopper-Pearson) where all cases are alike"


def learning_curve(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The losses over the epochs and, below them, the figures on val: fractions of 1, and what is counted.

    Args:
        records: lines of metrics.jsonl: `epoch`, `loss` and its parts, `val_*` where it was measured, `size`. Of two
            records of one epoch (a training that went on) the later one counts.
        path: PNG to write.

    Raises:
        InputError: there is no record.
        OutputError: the file cannot be written.
    """
    if not records:
        raise InputError("no epoch is recorded yet", "at least one line of metrics.jsonl")
    by_epoch = {int(record["epoch"]): record for record in records}
    lines = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    names = list(dict.fromkeys(name for record in lines for name in record if _is_number(record[name])))
    on_val = [name for name in names if name.startswith("val_") and not name.endswith("loss")]
    losses = [name for name in names if name not in NO_LOSS and name not in on_val]
    fractions, counts = [name for name in on_val if name not in COUNTS], [name for name in on_val if name in COUNTS]
    shown = [
        (losses, "loss"),
        *((some, title) for some, title in ((fractions, "on val"), (counts, "counted on val")) if some),
    ]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDE, 0.4 + 3.8 * len(shown)), dpi=DPI, layout="constrained")
        panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axes, (some, title) in zip(panels, shown, strict=True):
            _series(axes, lines, some, title)
        # From the first epoch to the last a loss falls tenfold, and its parts are not alike.
        panels[0].set_yscale("log")
        save(figure, path)


def _series(axes: Any, records: Sequence[Mapping[str, Any]], names: list[str], title: str) -> None:  # noqa: ANN401
    for name, (colour, dash) in zip(names, styles(), strict=False):
        points = [(record["epoch"], record[name]) for record in records if _is_number(record.get(name))]
        marker = "o" if len(points) < 40 else ""
        line = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 3, "label": legible(name)}
        axes.plot(*zip(*points, strict=True), **line)
    sizes = [(record["epoch"], record["size"]) for record in records if "size" in record]
    for (_, before), (epoch, size) in pairwise(sizes):
        if size != before:
            axes.axvline(epoch - 0.5, color=GREY, linewidth=1, linestyle=":")
            position = {"xy": (epoch - 0.4, 0.99), "xycoords": ("data", "axes fraction"), "va": "top"}
            axes.annotate(f"{size:g} px", color=GREY, fontsize=SMALL, **position)
    axes.set(xlabel="epoch", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if names:
        axes.legend()


def roc(curves: Mapping[str, Scored], path: Path) -> None:
    """ROC curves with their 95 % bands, and the shipped threshold as a point with its intervals.

    Args:
        curves: by name; a curve without both classes is left out.
        path: PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    defined = {name: curve for name, curve in curves.items() if curve.has_both}
    with matplotlib.rc_context(STYLE):
        figure, axes = _square(2 * len(defined))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
        for (name, curve), (colour, dash) in zip(defined.items(), styles(), strict=False):
            _roc(axes, name, curve, colour, dash)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        below(figure, axes, _HOW)
        save(figure, path)


def _roc(axes: Any, name: str, curve: Scored, colour: str, dash: str) -> None:  # noqa: ANN401 - matplotlib's axes
    from sklearn.metrics import roc_curve  # noqa: PLC0415 - a training draws its learning curve without it

    value, ends = curve.auc()
    positive, cases = int(curve.truth.sum()), len(curve.truth)
    false_positive_rate, sensitivity, _ = roc_curve(curve.truth, curve.scores)
    label = f"{legible(name, 40)} (AUC {_value(value, ends)}; {positive} of {cases} positive)"
    axes.plot(false_positive_rate, sensitivity, color=colour, linestyle=dash, label=label)
    band = curve.roc_band(_RATES)
    if band is not None:
        axes.fill_between(_RATES, *band, color=colour, alpha=0.15, linewidth=0)
    if curve.called is None:
        return
    hit, of_hit = curve.share(curve.called, curve.truth)
    passed, of_passed = curve.share(~curve.called, ~curve.truth)
    label = f"as shipped: sensitivity {_value(hit, of_hit)}, specificity {_value(passed, of_passed)}"
    across = None if of_passed is None else [[max(of_passed[1] - passed, 0)], [max(passed - of_passed[0], 0)]]
    axes.errorbar(
        [1 - passed], [hit], yerr=_reach(hit, of_hit), xerr=across, color=colour, fmt="o", capsize=3, label=label
    )


def froc(curves: Mapping[str, Froc], path: Path, bar: tuple[float, float] | None = None) -> None:
    """Free-response curves: lesion recall against false findings an image, over all thresholds of a finding.

    Args:
        curves: name → curve, with the shipped point.
        path: PNG to write.
        bar: (most false findings, least recall) that are wanted, drawn as a corner.

    Raises:
        OutputError: the file cannot be written.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _square(2 * len(curves) + 1)
        for (name, curve), (colour, dash) in zip(curves.items(), styles(), strict=False):
            label = f"{legible(name)} ({curve.lesions} lesions, {curve.images} images)"
            axes.step(curve.extra, curve.recall, where="post", color=colour, linestyle=dash, label=label)
            label = f"as shipped: recall {curve.shipped[1]:.3f}, {curve.shipped[0]:.3f} false findings an image"
            axes.plot(*curve.shipped, color=colour, marker="o", linestyle="", label=label)
        most = max((float(curve.extra.max(initial=0)) for curve in curves.values()), default=0.0)
        reach = max(min(most, 8.0), *(curve.shipped[0] for curve in curves.values()), bar[0] if bar else 0.0, 0.5)
        if bar is not None:
            axes.plot([bar[0], bar[0], -1], [2, bar[1], bar[1]], color=GREY, linestyle=":", label="wanted: up and left")
        labels = {"xlabel": "false findings an image", "ylabel": "recall of lesions", "title": "FROC"}
        axes.set(**labels, xlim=(-0.02 * reach, 1.05 * reach), ylim=(-0.01, 1.01))
        below(figure, axes)
        save(figure, path)


def reliability(curves: Mapping[str, Scored], path: Path, bins: int = 10) -> None:
    """How often a prediction of some probability is true, with its 95 % interval, and below how often it is made.

    Args:
        curves: by name; their scores are probabilities.
        path: PNG to write.
        bins: of equal width.

    Raises:
        OutputError: the file cannot be written.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDE, 7.4 + 0.2 * len(curves)), dpi=DPI, layout="constrained")
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect")
        edges = np.linspace(0, 1, bins + 1)
        for (name, curve), (colour, dash) in zip(curves.items(), styles(), strict=False):
            _reliability(axes, name, curve, bins, (colour, dash))
            heights, *_ = counts.hist(curve.scores, edges, histtype="step", color=colour, linestyle=dash)
            if len(curves) == 1:
                _count(counts, heights, edges)
        axes.set(ylabel="fraction that is true", title="Reliability", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        counts.set(xlabel="predicted probability", ylabel="cases")
        counts.margins(y=0.25)
        below(figure, axes, _HOW)
        save(figure, path)


def _reliability(axes: Any, name: str, curve: Scored, bins: int, style: tuple[str, str]) -> None:  # noqa: ANN401
    found, (colour, dash) = reliability_bins(curve, bins), style
    error = calibration_error(curve.scores, curve.truth, bins)
    label = f"{legible(name)} (error {error:.3f}; {len(curve.truth)} cases)"
    line = {"color": colour, "linestyle": dash, "marker": "o", "markersize": 4, "label": label}
    axes.plot([one.predicted for one in found], [one.true for one in found], **line)
    for one in found:
        if one.ends is not None:
            reach = _reach(one.true, one.ends)
            axes.errorbar([one.predicted], [one.true], yerr=reach, color=colour, fmt="none", capsize=3)


def _count(axes: Any, heights: Any, edges: Any) -> None:  # noqa: ANN401 - matplotlib's axes, numpy's histogram
    for height, middle in zip(heights, (edges[:-1] + edges[1:]) / 2, strict=True):
        if height:
            how = {"textcoords": "offset points", "ha": "center", "fontsize": SMALL}
            axes.annotate(f"{height:.0f}", (middle, height), (0, 2), **how)


def confusion(matrix: Indices, names: Sequence[str], path: Path) -> None:
    """Counts of true (rows) against predicted classes (columns); the shade is the fraction of the row.

    Args:
        matrix: [k, k].
        names: of the k classes.
        path: PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    shown_names = ["\n".join(wrap(legible(name, 48), 24)) for name in names]
    fraction = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(2.6 + 0.75 * len(names), 4.0)
    size = STYLE["font.size"] * max(1.0, (side + 0.8) / WIDE)  # a wider plot is shown smaller
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "font.size": size}):
        figure = Figure(figsize=(side + 0.8, side), dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        shown = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
        for row, col in np.ndindex(matrix.shape):
            ink = "white" if fraction[row, col] > 0.55 else "black"
            axes.text(col, row, str(matrix[row, col]), ha="center", va="center", color=ink)
        axes.set_xticks(range(len(names)), shown_names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), shown_names)
        axes.set(xlabel="predicted", ylabel="true", title="Confusion")
        figure.colorbar(shown, ax=axes, label="fraction of the true class", shrink=0.8)
        save(figure, path)


def _square(entries: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDE, 6.4 + 0.2 * entries), dpi=DPI, layout="constrained")
    return figure, figure.add_subplot()


def _value(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:.3f}, no interval" if ends is None else f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _reach(value: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
    """How far the interval reaches below and above."""
    return None if ends is None else [[max(value - ends[0], 0)], [max(ends[1] - value, 0)]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))

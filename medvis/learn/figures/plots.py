"""Plots of a training and of an evaluation, as PNG. Colours after Okabe and Ito (2008): all eyes tell them apart.

Matplotlib's object interface, without pyplot: no window, no state, and the same numbers give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from medvis.core.arrays import Bools, Float64s, Indices
from medvis.errors import InputError, OutputError
from medvis.io.atomic import whole_file
from medvis.learn.figures.curves import Froc
from medvis.learn.figures.metrics import auc, calibration_error

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
GREY = "#888888"
# What a record holds beside its losses and figures.
NO_LOSS = frozenset({"epoch", "of", "size", "seconds", "rate", "lr", "eta", "eta_s", "step"})
# Of the figures on val, those that are no fraction of 1: they would press the others to the floor.
COUNTS = frozenset({"val_extra"})
STYLE: Any = {
    "font.size": 10.0,
    "font.family": "DejaVu Sans",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def learning_curve(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The losses over the epochs and, beside them, the figures on val: fractions of 1, and what is counted.

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
        figure = Figure(figsize=(1 + 4.6 * len(shown), 4.2), dpi=110, layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, (some, title) in zip(panels, shown, strict=True):
            _series(axes, lines, some, title)
        # From the first epoch to the last a loss falls tenfold, and its parts are not alike.
        panels[0].set_yscale("log")
        save(figure, path)


def _series(axes: Any, records: Sequence[Mapping[str, Any]], names: list[str], title: str) -> None:  # noqa: ANN401
    for name, (colour, dash) in zip(names, _styles(), strict=False):
        points = [(record["epoch"], record[name]) for record in records if _is_number(record.get(name))]
        marker = "o" if len(points) < 40 else ""
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=dash, marker=marker, markersize=3, label=name)
    sizes = [(record["epoch"], record["size"]) for record in records if "size" in record]
    for (_, before), (epoch, size) in pairwise(sizes):
        if size != before:
            axes.axvline(epoch - 0.5, color=GREY, linewidth=1, linestyle=":")
            position = {"xy": (epoch - 0.4, 0.99), "xycoords": ("data", "axes fraction"), "va": "top"}
            axes.annotate(f"{size:g} px", color=GREY, fontsize=8, **position)
    axes.set(xlabel="epoch", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if names:
        axes.legend(fontsize=8)


def roc(
    curves: Mapping[str, tuple[Float64s, Bools]], path: Path, points: Mapping[str, tuple[float, float]] = {}
) -> None:
    """ROC curves (`sklearn.metrics.roc_curve`).

    Args:
        curves: name → (scores [n], truth [n]); a curve without both classes is left out.
        path: PNG to write.
        points: name → (false positive rate, sensitivity) at the shipped threshold.

    Raises:
        OutputError: the file cannot be written.
    """
    from sklearn.metrics import roc_curve  # noqa: PLC0415 - a training draws its learning curve without it

    defined = {name: curve for name, curve in curves.items() if 0 < curve[1].sum() < len(curve[1])}
    with matplotlib.rc_context(STYLE):
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for (name, (scores, truth)), (colour, dash) in zip(defined.items(), _styles(), strict=False):
            false_positive_rate, sensitivity, _ = roc_curve(truth, scores)
            label = f"{name} (AUC {auc(scores, truth):.3f})"
            axes.plot(false_positive_rate, sensitivity, color=colour, linestyle=dash, label=label)
            if name in points:
                axes.plot(*points[name], color=colour, marker="o", linestyle="", label="shipped threshold")
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.legend(loc="lower right", fontsize=8)
        save(figure, path)


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
        figure, axes = _square()
        for (name, curve), (colour, dash) in zip(curves.items(), _styles(), strict=False):
            axes.step(curve.extra, curve.recall, where="post", color=colour, linestyle=dash, label=name)
            axes.plot(*curve.shipped, color=colour, marker="o", linestyle="", label=f"{name}, shipped threshold")
        most = max((float(curve.extra.max(initial=0)) for curve in curves.values()), default=0.0)
        reach = max(min(most, 8.0), *(curve.shipped[0] for curve in curves.values()), bar[0] if bar else 0.0, 0.5)
        if bar is not None:
            axes.plot([bar[0], bar[0], -1], [2, bar[1], bar[1]], color=GREY, linestyle=":", label="wanted: up and left")
        labels = {"xlabel": "false findings an image", "ylabel": "recall of lesions", "title": "FROC"}
        axes.set(**labels, xlim=(-0.02 * reach, 1.05 * reach), ylim=(-0.01, 1.01))
        axes.legend(loc="lower right", fontsize=8)
        save(figure, path)


def reliability(curves: Mapping[str, tuple[Float64s, Bools]], path: Path, bins: int = 10) -> None:
    """How often a prediction of some probability is true (`sklearn.calibration`), and below how often it is made.

    Args:
        curves: name → (probability [n] in 0…1, truth [n]).
        path: PNG to write.
        bins: of equal width.

    Raises:
        OutputError: the file cannot be written.
    """
    from sklearn.calibration import calibration_curve  # noqa: PLC0415 - a training draws its learning curve without it

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 6), dpi=110, layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="perfect")
        edges = np.linspace(0, 1, bins + 1)
        for (name, (probability, truth)), (colour, dash) in zip(curves.items(), _styles(), strict=False):
            true, predicted = calibration_curve(truth, probability, n_bins=bins)
            label = f"{name} (error {calibration_error(probability, truth, bins):.3f}, n={len(truth)})"
            axes.plot(predicted, true, color=colour, linestyle=dash, marker="o", markersize=4, label=label)
            below.hist(probability, edges, histtype="step", color=colour, linestyle=dash)
        axes.set(ylabel="fraction that is true", title="Reliability", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
        below.set(xlabel="predicted probability", ylabel="count")
        axes.legend(loc="upper left", fontsize=8)
        save(figure, path)


def confusion(matrix: Indices, names: Sequence[str], path: Path) -> None:
    """Counts of true (rows) against predicted classes (columns); the shade is the fraction of the row.

    Args:
        matrix: [k, k].
        names: of the k classes.
        path: PNG to write.

    Raises:
        OutputError: the file cannot be written.
    """
    fraction = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.6 + 0.75 * len(names)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(side + 0.8, side), dpi=110, layout="constrained")
        axes = figure.add_subplot()
        shown = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
        for row, col in np.ndindex(matrix.shape):
            ink = "white" if fraction[row, col] > 0.55 else "black"
            axes.text(col, row, str(matrix[row, col]), ha="center", va="center", color=ink)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="true", title="Confusion")
        figure.colorbar(shown, ax=axes, label="fraction of the true class", shrink=0.8)
        save(figure, path)


def _square() -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.4, 5), dpi=110, layout="constrained")
    return figure, figure.add_subplot()


def _styles() -> Any:  # noqa: ANN401 - an endless iterator
    """Colours, each with a dash of its own, so that grey print and all eyes tell the lines apart."""
    return zip(cycle(COLOURS), cycle(DASHES), strict=False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def save(figure: Figure, path: Path) -> None:
    """Whole or not at all, without the library's name and the time in the file."""
    try:
        with whole_file(path) as stream:
            figure.savefig(stream, format="png", metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error

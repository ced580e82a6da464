"""Single cases as pictures: what the model saw, what it outlined, what the reference says. For looking at failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medvis.core.arrays import Bools, Float32s
from medvis.core.case import Case
from medvis.core.display import Display
from medvis.learn.data.examples import Example
from medvis.learn.figures.plots import STYLE, save
from medvis.pipeline import Pipeline, load

PREDICTED, REFERENCE = "#D55E00", "#56B4E9"


def draw_example(pipeline: Pipeline, example: Example, description: str, path: Path) -> None:
    """A picture of a data set, run once more. Raises InputError, OutputError."""
    case, _ = pipeline.run(pipeline.accept(load(example.image)))
    draw_case(case, example.mask(case.scan.shape), f"{example.id}: {description}", path, pipeline.display_of(case))


def draw_case(case: Case, truth: Bools | None, title: str, path: Path, display: Display) -> None:
    """The first frame in its display window, with both outlines; beside it, if there is any, the evidence.

    Args:
        case: after all stages.
        truth: bool [rows, cols], or None where nobody has outlined it.
        title: above the picture.
        path: PNG to write.
        display: window in modality units; without one, the model's own view is shown.

    Raises:
        OutputError: the file cannot be written.
    """
    shown, (rows, cols) = _shown(case, display), case.scan.shape
    evidence = case.evidence[0] if case.evidence is not None and case.evidence[0].any() else None
    beside, below = (evidence is not None and cols < 1.6 * rows), (evidence is not None and cols >= 1.6 * rows)
    shape = (5.0, 5.0 * rows / cols) if cols < 1.6 * rows else (9.0, 9.0 * rows / cols)
    size = (shape[0] * (1 + beside), shape[1] * (1 + below) + 0.9)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=size, dpi=110, layout="constrained")
        axes = figure.subplots(1 + below, 1 + beside, squeeze=False).ravel()
        for panel in axes:
            panel.imshow(shown if shown.shape[-1] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=1)
            panel.set_axis_off()
        _outline(axes[0], None if case.mask is None else case.mask[0] > 0, PREDICTED, "-")
        _outline(axes[0], truth, REFERENCE, "--")
        if evidence is not None:
            axes[1].imshow(evidence, cmap="viridis", vmin=0, vmax=1, alpha=0.65 * (evidence > 0))
            axes[1].set_title("evidence", fontsize=9)
        _legend(axes[0], case, truth)
        figure.suptitle(title, fontsize=9, wrap=True)
        save(figure, path)


def _shown(case: Case, display: Display) -> Float32s:
    """Grey or colour in 0…1, [rows, cols, channels]."""
    if display.center is None or display.width is None:
        assert case.view is not None  # the pipeline has run
        return np.asarray(case.view[0], np.float32)
    low = display.center - display.width / 2
    return np.asarray(np.clip((case.scan.pixels[0] - low) / display.width, 0, 1), np.float32)


def _outline(axes: Any, mask: Bools | None, colour: str, dash: str) -> None:  # noqa: ANN401 - matplotlib's axes
    if mask is not None and mask.any():
        # Padded by a ring, so that an outline at the edge is closed.
        ring = np.pad(mask.astype(float), 1)
        grid = [np.arange(-1, size + 1) for size in mask.shape]
        axes.contour(grid[1], grid[0], ring, [0.5], colors=[colour], linestyles=[dash], linewidths=1.3)


def _legend(axes: Any, case: Case, truth: Bools | None) -> None:  # noqa: ANN401 - matplotlib's axes
    lines = []
    if case.mask is not None:
        lines.append(_key("outlined", bool(np.any(case.mask[0])), PREDICTED, "-"))
    if truth is not None and (case.mask is not None or truth.any()):
        lines.append(_key("reference", bool(truth.any()), REFERENCE, "--"))
    if lines:
        axes.legend(handles=lines, loc="upper left", fontsize=8, framealpha=0.7, frameon=True)


def _key(name: str, drawn: bool, colour: str, dash: Literal["-", "--"]) -> Line2D:
    """A line of the legend; where there is nothing to draw, the words alone."""
    shown, label = (colour, name) if drawn else ("none", f"{name}: nothing")
    return Line2D([], [], color=shown, linestyle=dash, label=label)

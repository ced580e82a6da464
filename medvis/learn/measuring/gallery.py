"""Single cases as pictures: what the model saw, what it outlined, what the reference says. For looking at failures."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medvis.core.arrays import Bools, Float32s
from medvis.core.case import Case
from medvis.core.display import Display
from medvis.io.colours import PREDICTION, REFERENCE, Colour, hexadecimal
from medvis.io.picture.slices import VISIBLE_FROM, laid_over
from medvis.learn.data.examples import Example
from medvis.learn.figures.style import DPI, SMALL, STYLE, WIDE, legible, save
from medvis.pipeline import Pipeline, load


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
    evidence = case.evidence[0] if case.evidence is not None and (case.evidence[0] > VISIBLE_FROM).any() else None
    beside, below = (evidence is not None and cols < 1.6 * rows), (evidence is not None and cols >= 1.6 * rows)
    height = WIDE / (1 + beside) * min(max(rows / cols, 0.1), 2) * (1 + below)
    words = legible(title, 300)
    with matplotlib.rc_context({**STYLE, "axes.grid": False, "axes.titlesize": SMALL}):
        size = (WIDE, height + 1.5 + 0.2 * (len(words) // 90))
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        axes = figure.subplots(1 + below, 1 + beside, squeeze=False).ravel()
        axes[0].imshow(shown if shown.shape[-1] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=1)
        axes[0].set_title("\n".join(wrap(_words(case, display), 50)))
        _outline(axes[0], None if case.mask is None else case.mask[0] > 0, PREDICTION, "-")
        _outline(axes[0], truth, REFERENCE, "--")
        if evidence is not None:
            axes[1].set_title("\n".join(wrap(legible(f"evidence for {case.evidence_of or 'a finding'}"), 50)))
            _draw_evidence(figure, list(axes), shown, evidence)
        for panel in axes:
            panel.set_axis_off()
        _legend(figure, case, truth)
        figure.suptitle("\n".join(wrap(words, 90)), fontsize=SMALL)
        save(figure, path)


def _words(case: Case, display: Display) -> str:
    """What the first panel shows."""
    frame = f"slice 1 of {case.scan.frames}, " if case.scan.frames > 1 else ""
    return frame + ("the model's view" if display.center is None else f"{display.name} window, not enhanced")


def _draw_evidence(figure: Figure, panels: list[Any], shown: Float32s, evidence: Float32s) -> None:
    """The evidence in the heatmap's colours on the last panel; their legend below all: all panels are as large."""
    grey = np.round(np.broadcast_to(shown, (*evidence.shape, 3)) * 255).astype(np.uint8)
    panels[-1].imshow(laid_over(grey, evidence))
    ramp = laid_over(np.full((1, 256, 3), 96, np.uint8), np.linspace(0, 1, 256, dtype=np.float32)[None])
    colours = ScalarMappable(Normalize(0, 1), ListedColormap(ramp[0] / 255))
    figure.colorbar(
        colours, ax=panels, orientation="horizontal", shrink=0.5, aspect=30, label="evidence (model activation)"
    )


def _shown(case: Case, display: Display) -> Float32s:
    """Grey or colour in 0…1, [rows, cols, channels]."""
    if display.center is None or display.width is None:
        assert case.view is not None  # the pipeline has run
        return np.asarray(case.view[0], np.float32)
    low = display.center - display.width / 2
    return np.asarray(np.clip((case.scan.pixels[0] - low) / display.width, 0, 1), np.float32)


def _outline(axes: Any, mask: Bools | None, colour: Colour, dash: str) -> None:  # noqa: ANN401 - matplotlib's axes
    if mask is not None and mask.any():
        # Padded by a ring, so that an outline at the edge is closed.
        ring = np.pad(mask.astype(float), 1)
        grid = [np.arange(-1, size + 1) for size in mask.shape]
        axes.contour(grid[1], grid[0], ring, [0.5], colors=[hexadecimal(colour)], linestyles=[dash], linewidths=1.5)


def _legend(figure: Figure, case: Case, truth: Bools | None) -> None:
    """Under the panels, where it covers no lesion."""
    lines = []
    if case.mask is not None:
        lines.append(_key("outlined", bool(np.any(case.mask[0])), PREDICTION, "-"))
    if truth is not None and (case.mask is not None or truth.any()):
        lines.append(_key("reference", bool(truth.any()), REFERENCE, "--"))
    if lines:
        plate = {"facecolor": "#404040", "labelcolor": "white", "frameon": True}  # its colours are for dark ground
        figure.legend(handles=lines, loc="outside lower left", ncols=2, **plate)


def _key(name: str, drawn: bool, colour: Colour, dash: Literal["-", "--"]) -> Line2D:
    """A line of the legend; where there is nothing to draw, the words alone."""
    shown, label = (hexadecimal(colour), name) if drawn else ("none", f"{name}: nothing")
    return Line2D([], [], color=shown, linestyle=dash, label=label)

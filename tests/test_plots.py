"""Curves against brute force, and plots that are whole, repeatable PNG files."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest

from medvis.errors import InputError, OutputError
from medvis.learn.figures.curves import froc_curve

plots = pytest.importorskip(
    "medvis.learn.figures.plots", reason="the extra 'train' brings matplotlib", exc_type=ImportError
)
RNG = np.random.default_rng(0)
SCORES, TRUTH = np.round(RNG.random(60), 1), RNG.random(60) < 0.4


def test_a_froc_counts_lesions_and_false_findings_at_every_threshold():
    lesions, false = np.array([0.9, 0.5, -np.inf, 0.2]), np.array([0.7, 0.5, 0.1])
    curve = froc_curve(lesions, false, images=2, threshold=0.5)
    assert curve.extra.tolist() == [0, 0, 0.5, 1, 1, 1.5]
    assert curve.recall.tolist() == [0, 0.25, 0.25, 0.5, 0.75, 0.75]
    assert curve.shipped == (1.0, 0.5)
    assert [curve.recall_at(most) for most in (0, 0.5, 1, 9)] == [0.25, 0.25, 0.75, 0.75], (
        "a missed lesion stays missed"
    )
    empty = froc_curve(np.array([]), np.array([]), 0, 0.5)
    assert empty.recall_at(1) == 0 and empty.shipped == (0, 0)


RECORDS = [
    {"epoch": 1, "of": 3, "size": 64, "loss": 2.0, "dice": 0.9, "seconds": 3.0},
    {"epoch": 2, "of": 3, "size": 64, "loss": 1.0, "dice": 0.7, "val_dice": 0.5, "seconds": 3.0},
    {"epoch": 2, "of": 3, "size": 64, "loss": 1.1, "dice": 0.7, "val_dice": 0.4, "seconds": 3.0},
    {"epoch": 3, "of": 3, "size": 96, "loss": 0.9, "dice": 0.6, "val_loss": float("nan"), "seconds": 3.0},
]
DRAWN = {
    "learning": lambda path: plots.learning_curve(RECORDS, path),
    "losses only": lambda path: plots.learning_curve(RECORDS[:1], path),
    "roc": lambda path: plots.roc({"a": (SCORES, TRUTH)}, path, {"a": (0.2, 0.7)}),
    "roc, one of them without both classes": lambda path: plots.roc(
        {"a": (SCORES, TRUTH), "b": (SCORES, np.ones(60, bool))}, path
    ),
    "froc": lambda path: plots.froc({"a": froc_curve(SCORES[:9], SCORES[9:], 5, 0.5)}, path, (0.5, 0.8)),
    "reliability": lambda path: plots.reliability({"a": (SCORES, TRUTH)}, path),
    "reliability of what is always true": lambda path: plots.reliability({"a": (SCORES, np.ones(60, bool))}, path),
    "confusion": lambda path: plots.confusion(np.array([[3, 1], [0, 0]]), ["a", "b"], path),
}


def drawn_lines(monkeypatch, draw):
    """The (x, y) of every line that a plot draws into its first axes, by label."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, _: figures.append(figure))
    draw(None)
    return {line.get_label(): line.get_xydata() for line in figures[0].axes[0].get_lines()}


def test_a_roc_goes_through_every_threshold_and_leaves_out_what_has_no_two_classes(monkeypatch):
    lines = drawn_lines(monkeypatch, DRAWN["roc, one of them without both classes"])
    assert not any(label.startswith("b") for label in lines)
    (label,) = (label for label in lines if label.startswith("a"))
    wrong, right = lines[label].T
    area = float(label.removeprefix("a (AUC ").rstrip(")"))
    assert np.trapezoid(right, wrong) == pytest.approx(area, abs=5e-4), "ties are slopes, not steps"
    for cut in np.unique(SCORES):
        point = (cut <= SCORES)[~TRUTH].mean(), (cut <= SCORES)[TRUTH].mean()
        assert np.interp(point[0], wrong, right) >= point[1] - 1e-9 or point[0] in wrong


def test_reliability_shows_the_filled_bins_and_certain_truth_as_certain(monkeypatch):
    values = np.array([0.05, 0.15, 0.19, 0.97]), np.array([False, True, False, True])
    lines = drawn_lines(monkeypatch, lambda path: plots.reliability({"a": values}, path))
    (points,) = (line for label, line in lines.items() if label.startswith("a"))
    np.testing.assert_allclose(points, [(0.05, 0), (0.17, 0.5), (0.97, 1)])
    lines = drawn_lines(monkeypatch, DRAWN["reliability of what is always true"])
    (points,) = (line for label, line in lines.items() if label.startswith("a"))
    assert (points[:, 1] == 1).all()


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_a_png_and_the_same_every_time(name, tmp_path):
    one, other = tmp_path / "new" / "one.png", tmp_path / "other.png"
    DRAWN[name](one)
    DRAWN[name](other)
    assert one.read_bytes() == other.read_bytes()
    assert b"atplotlib" not in one.read_bytes(), "no name of a tool"
    image = cv2.imread(str(one))
    assert min(image.shape[:2]) > 300 and np.ptp(image) == 255
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.png"], "no part file is left"


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"no epoch is recorded yet"):
        plots.learning_curve([], tmp_path / "x.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"x.png cannot be written"):
        DRAWN["roc"](tmp_path / "file" / "x.png")


def test_drawing_needs_no_pyplot_and_evaluating_no_matplotlib():
    code = (
        "import sys, medvis.learn.measuring.evaluate; assert 'matplotlib' not in sys.modules; "
        "import medvis.learn.figures.plots, medvis.learn.measuring.gallery; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

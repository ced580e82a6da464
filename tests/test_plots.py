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
from medvis.learn.figures.metrics import auc, bootstrap, interval
from medvis.learn.figures.scored import Scored, reliability_bins, share

RNG = np.random.default_rng(0)
SCORES, TRUTH = np.round(RNG.random(60), 1), RNG.random(60) < 0.4
GROUPS = [f"g{number // 2}" for number in range(60)]
ALL_TRUE = Scored(SCORES, np.ones(60, bool), GROUPS)


def scored(called=None):
    return Scored(SCORES, TRUTH, GROUPS, called)


def test_a_froc_counts_lesions_and_false_findings_at_every_threshold():
    lesions, false = np.array([0.9, 0.5, -np.inf, 0.2]), np.array([0.7, 0.5, 0.1])
    curve = froc_curve(lesions, false, images=2, threshold=0.5)
    assert curve.extra.tolist() == [0, 0, 0.5, 1, 1, 1.5]
    assert curve.recall.tolist() == [0, 0.25, 0.25, 0.5, 0.75, 0.75]
    assert curve.shipped == (1.0, 0.5)
    assert (curve.lesions, curve.images) == (4, 2)
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
    "roc": lambda path: plots.roc({"a": scored(SCORES >= 0.5)}, path),
    "roc, one of them without both classes": lambda path: plots.roc({"a": scored(), "b": ALL_TRUE}, path),
    "roc of names in any script": lambda path: plots.roc({"肺 Жук $x$ ö": scored(SCORES > 2)}, path),
    "roc of one group": lambda path: plots.roc({"a": Scored(SCORES, TRUTH, ["g"] * 60, SCORES >= 0.5)}, path),
    "roc of seven": lambda path: plots.roc({"long name " * 9 + str(number): scored() for number in range(7)}, path),
    "froc": lambda path: plots.froc({"a": froc_curve(SCORES[:9], SCORES[9:], 5, 0.5)}, path, (0.5, 0.8)),
    "reliability": lambda path: plots.reliability({"a": scored()}, path),
    "reliability of what is always true": lambda path: plots.reliability({"a": ALL_TRUE}, path),
    "confusion of twelve": lambda path: plots.confusion(
        np.arange(144).reshape(12, 12), [f"头部 a class of a long name {number}" for number in range(12)], path
    ),
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
    area = float(label.removeprefix("a (AUC ").split()[0])
    assert np.trapezoid(right, wrong) == pytest.approx(area, abs=5e-4), "ties are slopes, not steps"
    for cut in np.unique(SCORES):
        point = (cut <= SCORES)[~TRUTH].mean(), (cut <= SCORES)[TRUTH].mean()
        assert np.interp(point[0], wrong, right) >= point[1] - 1e-9 or point[0] in wrong


def test_reliability_shows_the_filled_bins_and_certain_truth_as_certain(monkeypatch):
    values = Scored(np.array([0.05, 0.15, 0.19, 0.97]), np.array([False, True, False, True]), list("abcd"))
    lines = drawn_lines(monkeypatch, lambda path: plots.reliability({"a": values}, path))
    (points,) = (line for label, line in lines.items() if label.startswith("a"))
    np.testing.assert_allclose(points, [(0.05, 0), (0.17, 0.5), (0.97, 1)])
    lines = drawn_lines(monkeypatch, DRAWN["reliability of what is always true"])
    (points,) = (line for label, line in lines.items() if label.startswith("a"))
    assert (points[:, 1] == 1).all()


def drawn(monkeypatch, draw):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, _: figures.append(figure))
    draw(None)
    return figures[0]


def entries(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_the_legend_of_a_roc_has_the_interval_of_the_figure_and_the_counts(monkeypatch):
    found = entries(drawn(monkeypatch, DRAWN["roc"]))
    low, high = interval(bootstrap(lambda rows: auc(SCORES[rows], TRUTH[rows]), GROUPS))
    value = auc(SCORES, TRUTH)
    assert f"a (AUC {value:.3f} [{low:.3f}, {high:.3f}]; {TRUTH.sum()} of 60 positive)" in found
    called = SCORES >= 0.5
    hit, (low, high) = share(called[TRUTH], [group for group, true in zip(GROUPS, TRUTH, strict=True) if true])
    (shipped,) = [text for text in found if text.startswith("as shipped")]
    assert f"sensitivity {hit:.3f} [{low:.3f}, {high:.3f}]" in shipped


def test_the_shipped_threshold_is_marked_on_the_curve(monkeypatch):
    called = SCORES >= 0.5
    (axes,) = drawn(monkeypatch, DRAWN["roc"]).axes
    (point,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(point.get_xydata(), [(called[~TRUTH].mean(), called[TRUTH].mean())])
    assert axes.collections, "the band and the bars"


def test_the_band_is_the_percentiles_of_the_curves_of_scikit_learn():
    from sklearn.metrics import roc_curve

    from medvis.learn.figures.metrics import group_samples

    rates = np.array([0.0, 0.13, 0.5, 0.9, 1.0])
    curves = []
    for rows in group_samples(GROUPS):
        wrong, right, _ = roc_curve(TRUTH[rows], SCORES[rows], drop_intermediate=False)
        curves.append(np.interp(rates, wrong, right))
    low, high = scored().roc_band(rates)
    np.testing.assert_allclose((low, high), np.percentile(curves, (2.5, 97.5), axis=0), atol=1e-12)
    assert (low < high).any() and (low <= high).all() and high[-1] == 1


def test_no_band_is_made_of_one_group_or_of_no_error():
    assert Scored(SCORES, TRUTH, ["g"] * 60).roc_band(np.linspace(0, 1, 5)) is None
    perfect = Scored(TRUTH.astype(float), TRUTH, GROUPS)
    assert perfect.roc_band(np.array([0.0, 0.5, 1.0])) is None
    assert perfect.auc() == (1.0, None)


def test_a_share_of_all_alike_has_the_exact_interval():
    from scipy.stats import binomtest

    for outcome, groups in ((True, 9), (False, 40), (True, 1)):
        value, ends = share(np.full(80, outcome), [f"g{number % groups}" for number in range(80)])
        exact = binomtest(groups if outcome else 0, groups).proportion_ci(0.95, "exact")
        assert value == outcome
        assert ends == pytest.approx((exact.low, exact.high))
    assert share(np.array([True, False]), ["g", "g"]) == (0.5, None)


def test_every_bin_has_its_interval_and_its_count(monkeypatch):
    bins = reliability_bins(scored())
    assert sum(one.count for one in bins) == 60
    assert all(one.ends is None or one.ends[0] <= one.true <= one.ends[1] for one in bins)
    figure = drawn(monkeypatch, DRAWN["reliability"])
    assert sum(int(text.get_text()) for text in figure.axes[1].texts) == 60
    assert any("60 cases" in text for text in entries(figure))
    assert len(figure.axes[0].containers) == sum(one.ends is not None for one in bins)


@pytest.mark.parametrize("name", DRAWN)
def test_the_text_of_a_plot_is_legible_780_px_wide_and_nothing_is_cut_off(name, monkeypatch):
    figure = drawn(monkeypatch, DRAWN[name])
    figure.draw_without_rendering()
    wide, high = figure.bbox.size
    texts = [text for text in figure.findobj(plots.matplotlib.text.Text) if text.get_visible() and text.get_text()]
    assert texts
    for text in texts:
        capital = text.get_fontsize() * figure.dpi / 72 * 0.729  # of DejaVu Sans
        assert capital * min(1, 780 / wide) >= 9, text.get_text()
        assert "□" not in text.get_text()
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= -1 and box.x1 <= wide + 1 and box.y0 >= -1 and box.y1 <= high + 1
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= -1 and box.x1 <= wide + 1 and box.y0 >= -1
        assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)


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

"""Pictures of single cases: the legend names what is drawn, and says where there is nothing to draw."""

from dataclasses import replace

import numpy as np
import pytest
import results_maker as make

from medvis.core.display import Display
from medvis.io.colours import PREDICTION, REFERENCE, hexadecimal
from medvis.io.picture.slices import VISIBLE_FROM, laid_over

to_hex = pytest.importorskip("matplotlib.colors", reason="the extra 'train' brings matplotlib").to_hex
gallery = pytest.importorskip("medvis.learn.measuring.gallery", reason="pictures of cases need the extra 'train'")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make.outcome_of(make.picture(tmp_path_factory.mktemp("in") / "a.dcm"), inverted=True, **make.RASTER).case


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draws a case and gives the figure."""
    figures = []
    monkeypatch.setattr(gallery, "save", lambda figure, path: figures.append((figure, path)))

    def draw(case, truth):
        gallery.draw_case(case, truth, "a case", tmp_path / "case.png", Display())
        return figures[-1][0]

    return draw


def legend(figure):
    return [text.get_text() for found in figure.legends for text in found.get_texts()]


def contours(figure):
    return len(figure.axes[0].collections)


def test_both_outlines_are_named(case, drawn):
    assert case.mask is not None and case.mask.any()
    figure = drawn(case, np.asarray(case.mask[0]) > 0)
    assert (legend(figure), contours(figure)) == (["outlined", "reference"], 2)


def test_outlines_have_the_colours_of_the_heatmap_one_a_role(case, drawn):
    figure = drawn(case, np.asarray(case.mask[0]) > 0)
    wanted = [hexadecimal(PREDICTION), hexadecimal(REFERENCE)]
    assert [line.get_color() for line in figure.legends[0].get_lines()] == wanted
    found = [to_hex(outline.get_edgecolor()[0]) for outline in figure.axes[0].collections]
    assert found == wanted


def test_evidence_has_the_colours_of_the_heatmap_and_a_legend(case, drawn):
    evidence = np.zeros(case.mask.shape, np.float32)
    evidence[0, 2:9, 2:9] = 0.9
    figure = drawn(replace(case, evidence=evidence, evidence_of="肺 rust"), None)
    panel, (shown,) = figure.axes[1], figure.axes[1].get_images()
    plain = np.asarray(figure.axes[0].get_images()[0].get_array())
    grey = np.round(np.broadcast_to(plain.reshape(*plain.shape[:2], -1), (*plain.shape[:2], 3)) * 255).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(shown.get_array()), laid_over(grey, evidence[0]))
    assert panel.get_title() == "evidence for \\u80ba rust"
    assert any("evidence (model activation)" in axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize("shape", [(40, 40), (20, 60)], ids=["beside", "below"])
def test_the_panels_of_a_case_are_equally_large_and_aligned(case, drawn, shape):
    plane = np.full((1, *shape), 0.9, np.float32)
    scan = replace(case.scan, pixels=plane[..., None], valid=None)
    shaped = replace(case, scan=scan, view=plane[..., None], evidence=plane, mask=(plane > 2).astype(np.int32))
    figure = drawn(shaped, None)
    figure.draw_without_rendering()
    one, other = (panel.get_window_extent() for panel in figure.axes[:2])
    assert (one.width, one.height) == pytest.approx((other.width, other.height), abs=1)
    assert one.y0 == pytest.approx(other.y0, abs=1) or one.x0 == pytest.approx(other.x0, abs=1)


def test_where_no_evidence_is_visible_there_is_no_panel_of_it(case, drawn):
    for evidence in (None, np.full(case.mask.shape, VISIBLE_FROM, np.float32)):
        assert len(drawn(replace(case, evidence=evidence), None).axes) == 1


@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (1, 1000), (600, 30), (200, 500)])
@pytest.mark.parametrize("title", ["a case", "头部-Жук-$x$ " * 30])
def test_a_case_of_any_shape_and_name_is_legible(case, tmp_path, monkeypatch, rows, cols, title):
    figures = []
    monkeypatch.setattr(gallery, "save", lambda figure, path: figures.append(figure))
    plane = np.zeros((1, rows, cols), np.float32)
    plane[:, : rows // 2 + 1, : cols // 2 + 1] = 0.9
    scan = replace(case.scan, pixels=plane[..., None], valid=None)
    shaped = replace(case, scan=scan, view=plane[..., None], evidence=plane, mask=(plane > 0).astype(np.int32))
    gallery.draw_case(shaped, plane[0] > 0, title, tmp_path / "case.png", Display())
    (figure,) = figures
    figure.draw_without_rendering()
    wide, high = figure.bbox.size
    assert wide <= 780
    for text in [figure._suptitle, *figure.axes[0].texts, *figure.legends[0].get_texts()]:  # noqa: SLF001
        assert text.get_fontsize() * figure.dpi / 72 * 0.729 >= 9
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= wide and box.y0 >= 0 and box.y1 <= high
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_tightbbox())


def test_a_picture_with_nothing_to_outline_says_so(case, drawn):
    nothing = np.zeros_like(np.asarray(case.mask))
    figure = drawn(replace(case, mask=nothing), nothing[0] > 0)
    assert (legend(figure), contours(figure)) == (["outlined: nothing", "reference: nothing"], 0)


def test_without_a_reference_there_is_none(case, drawn):
    assert legend(drawn(case, None)) == ["outlined"]


def test_a_task_that_outlines_nothing_has_no_legend_of_a_healthy_picture(case, drawn):
    figure = drawn(replace(case, mask=None), np.zeros(case.scan.shape, bool))
    assert (legend(figure), contours(figure)) == ([], 0)

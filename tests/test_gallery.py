"""Pictures of single cases: the legend names what is drawn, and says where there is nothing to draw."""

from dataclasses import replace

import numpy as np
import pytest
import results_maker as make

from medvis.core.display import Display

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
    found = figure.axes[0].get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def contours(figure):
    return len(figure.axes[0].collections)


def test_both_outlines_are_named(case, drawn):
    assert case.mask is not None and case.mask.any()
    figure = drawn(case, np.asarray(case.mask[0]) > 0)
    assert (legend(figure), contours(figure)) == (["outlined", "reference"], 2)


def test_a_picture_with_nothing_to_outline_says_so(case, drawn):
    nothing = np.zeros_like(np.asarray(case.mask))
    figure = drawn(replace(case, mask=nothing), nothing[0] > 0)
    assert (legend(figure), contours(figure)) == (["outlined: nothing", "reference: nothing"], 0)


def test_without_a_reference_there_is_none(case, drawn):
    assert legend(drawn(case, None)) == ["outlined"]


def test_a_task_that_outlines_nothing_has_no_legend_of_a_healthy_picture(case, drawn):
    figure = drawn(replace(case, mask=None), np.zeros(case.scan.shape, bool))
    assert (legend(figure), contours(figure)) == ([], 0)

"""Tiles: they hold every pixel of the region, and they leave no seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvis.ops.tiles import TileAccumulator, blend, cover, cut

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 150))


@st.composite
def layouts(draw):
    """(region, tile, overlap): a few rectangles of True on an image that may be smaller than the tile."""
    rows, cols = draw(SIZES)
    region = np.zeros((rows, cols), bool)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
        region[top : top + draw(st.integers(1, rows)), left : left + draw(st.integers(1, cols))] = True
    size = draw(st.sampled_from([16, 32, 64]))
    return region, size, draw(st.integers(0, size - 1))


@settings(deadline=None, max_examples=200)
@given(layouts())
def test_every_pixel_of_the_region_is_in_a_tile(layout):
    region, size, overlap = layout
    corners = cover(region, size, overlap)
    seen = np.zeros_like(region)
    for row, col in corners:
        assert row >= 0 and col >= 0
        assert region[row : row + size, col : col + size].any(), "a tile without a region pixel is wasted"
        seen[row : row + size, col : col + size] = True
    assert seen[region].all()
    assert len(set(corners)) == len(corners)


@settings(deadline=None)
@given(st.integers(33, 400), st.integers(0, 31))
def test_neighbours_share_at_least_the_overlap_and_none_is_superfluous(length, overlap):
    starts = sorted({col for _, col in cover(np.ones((1, length), bool), 32, overlap)})
    assert starts[0] == 0 and starts[-1] == length - 32
    assert min(32 - np.diff(starts)) >= overlap
    assert len(starts) == -(-(length - overlap) // (32 - overlap))


def test_tiles_stay_inside_an_image_that_is_large_enough():
    region = np.zeros((100, 120), bool)
    region[95:, 115:] = True
    assert cover(region, 32, 8) == [(68, 88)]


def test_one_tile_holds_a_region_that_fits_and_sits_around_it():
    region = np.zeros((100, 100), bool)
    region[40:50, 60:64] = True
    assert cover(region, 32, 8) == [(29, 46)]


def test_a_small_image_is_one_tile_from_its_corner():
    assert cover(np.ones((20, 25), bool), 32, 8) == [(0, 0)]


def test_an_empty_region_needs_no_tile():
    assert cover(np.zeros((50, 50), bool), 32, 8) == []


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(-60, 60), st.integers(-60, 60))
def test_a_cut_mirrors_beyond_every_border(rows, cols, row, col):
    image = np.random.default_rng(0).random((2, rows, cols), np.float32)
    image.flags.writeable = False
    wide = np.pad(image, ((0, 0), (100, 100), (100, 100)), mode="symmetric")
    piece = cut(image, (row, col), 24)
    np.testing.assert_array_equal(piece, wide[:, 100 + row : 124 + row, 100 + col : 124 + col])
    assert piece.flags.c_contiguous


@pytest.mark.parametrize("overlap", [0, 1, 8, 31])
def test_the_blend_is_symmetric_positive_and_full_in_the_middle(overlap):
    weight = blend(32, overlap)
    assert weight.shape == (32, 32) and weight.dtype == np.float32
    assert weight.min() > 0 and weight.max() <= 1
    np.testing.assert_array_equal(weight, weight.T)
    np.testing.assert_array_equal(weight, weight[::-1, ::-1])
    if 2 * overlap < 32:
        assert (weight[overlap : 32 - overlap, overlap : 32 - overlap] == 1).all()


def merged(image, corners, size, overlap, empty=-30.0):
    canvas = TileAccumulator(len(image), image.shape[1:], empty)
    for corner in corners:
        canvas.add(cut(image, corner, size), corner, blend(size, overlap))
    return canvas.mean()


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_what_was_cut_and_merged_is_the_image_again(layout):
    region, size, overlap = layout
    rows, cols = np.mgrid[0 : region.shape[0], 0 : region.shape[1]]
    image = np.stack([np.sin(rows / 9) + np.cos(cols / 7), np.full(region.shape, 3.5)]).astype(np.float32)
    out = merged(image, cover(region, size, overlap), size, overlap)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:, region], image[:, region], atol=1e-5)


def test_where_no_piece_fell_the_canvas_is_empty():
    out = merged(np.ones((1, 40, 40), np.float32), [(0, 0)], 16, 4, empty=-7)
    assert (out[0, :16, :16] == pytest.approx(1, abs=1e-6)) and (out[0, 16:] == -7).all()
    assert (TileAccumulator(2, (3, 4), -1.0).mean() == -1).all()


def test_pieces_that_disagree_fade_into_each_other():
    """Over the overlap the mean moves steadily from one piece's value to the other's: no step, no seam."""
    canvas = TileAccumulator(1, (1, 56), 0.0)
    weight = blend(32, 8)[16:17]
    canvas.add(np.zeros((1, 1, 32), np.float32), (0, 0), weight)
    canvas.add(np.ones((1, 1, 32), np.float32), (0, 24), weight)
    line = canvas.mean()[0, 0]
    assert (line[:24] == 0).all() and line[32:] == pytest.approx(1)
    assert (np.diff(line) >= 0).all() and np.diff(line).max() < 0.15


@pytest.mark.parametrize("corner", [(-16, 3), (3, -16), (40, 3), (3, 40), (-99, -99)])
def test_a_piece_wholly_outside_is_dropped(corner):
    canvas = TileAccumulator(1, (40, 40), 0.5)
    canvas.add(np.ones((1, 16, 16), np.float32), corner, np.ones((16, 16), np.float32))
    assert (canvas.mean() == 0.5).all()


def test_a_piece_that_hangs_over_lands_in_the_right_place():
    canvas = TileAccumulator(1, (10, 10), 0.0)
    piece = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    canvas.add(piece, (-3, 6), np.ones((8, 8), np.float32))
    np.testing.assert_array_equal(canvas.mean()[0, :5, 6:], piece[0, 3:, :4])

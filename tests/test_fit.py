"""The square view of a picture, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvis.learn.data.pictures import fitted
from medvis.ops.fit import fit, shape_in_square, side_of, spread, unfit

SIDES = st.integers(9, 90)


@given(SIDES, SIDES, st.sampled_from([32, 64, 96]))
@settings(deadline=None, max_examples=40)
def test_a_view_is_square_holds_the_picture_and_is_mirrored_beyond(rows, cols, side):
    image = np.random.default_rng(rows).random((2, rows, cols), np.float32)
    square = fit(image, side)
    high, wide = shape_in_square((rows, cols), side)
    assert square.shape == (2, side, side) and max(high, wide) == side
    assert high / wide == pytest.approx(rows / cols, rel=0.5 / min(high, wide) + 0.02)
    beyond = square[:, high : 2 * high, :wide]
    np.testing.assert_array_equal(beyond, square[:, :high, :wide][:, ::-1][:, : beyond.shape[1]])


@given(SIDES, SIDES)
@settings(deadline=None, max_examples=20)
def test_training_makes_the_same_view(rows, cols):
    view = np.random.default_rng(cols).random((rows, cols, 1), np.float32)
    np.testing.assert_array_equal(fit(view.transpose(2, 0, 1), 64), fitted(view, 64))


@given(SIDES, SIDES, st.sampled_from([8, 16, 64]))
@settings(deadline=None, max_examples=40)
def test_a_ramp_comes_back_as_it_was(rows, cols, grid):
    """A plane that grows over the square by 1, at any resolution, grows over the picture by its share of the square."""
    at = (np.arange(grid) + 0.5) / grid
    maps = np.stack([np.tile(at[:, None], (1, grid)), np.tile(at, (grid, 1))]).astype(np.float32)
    back = unfit(maps, (rows, cols), 64)
    assert back.shape == (2, rows, cols)
    high, wide = shape_in_square((rows, cols), 64)
    want = ((np.arange(rows) + 0.5) / rows * high / 64)[:, None] + np.zeros(cols)
    middle = (want > 1 / grid) & (want < high / 64 - 1 / grid)
    np.testing.assert_allclose(back[0][middle], want[middle], atol=1e-3)
    across = np.zeros(rows)[:, None] + (np.arange(cols) + 0.5) / cols * wide / 64
    middle = (across > 1 / grid) & (across < wide / 64 - 1 / grid)
    np.testing.assert_allclose(back[1][middle], across[middle], atol=1e-3)


def test_maps_of_the_right_size_are_left_alone_and_none_stay_none():
    maps = np.random.default_rng(0).random((3, 16, 16), np.float32)
    assert spread(maps, 16) is maps
    np.testing.assert_array_equal(unfit(maps, (16, 16), 16), maps)
    assert unfit(maps[:0], (10, 12), 16).shape == (0, 10, 12)
    assert spread(maps[:0], 8).shape == (0, 8, 8)


@pytest.mark.parametrize(
    ("crop", "scale", "side"), [(128, 1.0, 128), (128, 0.75, 96), (160, 0.75, 128), (320, 1.25, 416), (64, 0.1, 32)]
)
def test_a_view_at_a_scale_is_of_a_size_that_the_network_takes(crop, scale, side):
    assert side_of(crop, scale, 32) == side and side % 32 == 0

"""Views and their way back, and the merging of views in logit space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medvis.core.logits import sigmoid
from medvis.ops.tta import FLIPS, AugmentedView, Merge, backward, forward, plan, resized

IMAGES = arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=40), elements=st.floats(-5, 5, width=32))
LOGITS = st.lists(arrays(np.float32, (2, 3), elements=st.floats(-20, 20, width=32)), min_size=1, max_size=6)


@settings(deadline=None)
@given(IMAGES, st.sampled_from(FLIPS), st.sampled_from([1, 8, 32]))
def test_at_native_scale_the_way_back_gives_the_image_whatever_its_size(image, flip, multiple):
    view = AugmentedView(1.0, flip)
    seen = forward(image, view, multiple)
    assert seen.shape[1] % multiple == 0 and seen.shape[2] % multiple == 0
    assert seen.shape[1] - image.shape[1] < multiple and seen.shape[2] - image.shape[2] < multiple
    back = backward(seen, view, image.shape[1:])
    np.testing.assert_array_equal(back, image)
    assert back.dtype == np.float32 and back.flags.c_contiguous


@settings(deadline=None)
@given(IMAGES, st.sampled_from(FLIPS))
def test_flipped_twice_is_the_image(image, flip):
    view = AugmentedView(1.0, flip)
    np.testing.assert_array_equal(forward(forward(image, view, 1), view, 1), image)


def test_flips_are_what_they_are_called():
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert forward(image, AugmentedView(1.0, "none"), 1).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert forward(image, AugmentedView(1.0, "horizontal"), 1).tolist() == [[[2, 1, 0], [5, 4, 3]]]
    assert forward(image, AugmentedView(1.0, "vertical"), 1).tolist() == [[[3, 4, 5], [0, 1, 2]]]
    assert forward(image, AugmentedView(1.0, "both"), 1).tolist() == [[[5, 4, 3], [2, 1, 0]]]


def test_padding_mirrors_the_far_edges():
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert forward(image, AugmentedView(1.0), 4).tolist() == [[[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]]]


@settings(deadline=None, max_examples=40)
@given(IMAGES, st.sampled_from(FLIPS), st.sampled_from([0.5, 0.75, 1.25, 2.0]))
def test_a_view_changes_no_input_and_keeps_the_range(image, flip, scale):
    image.flags.writeable = False
    view = AugmentedView(scale, flip)
    seen = forward(image, view, 32)
    assert (*seen.shape[1:],) == tuple(-(-side // 32) * 32 for side in resized(image.shape[1:], scale))
    back = backward(seen, view, image.shape[1:])
    assert back.shape == image.shape
    low, high = image.min() - 1e-5, image.max() + 1e-5
    assert low <= seen.min() and seen.max() <= high
    assert low <= back.min() and back.max() <= high


@settings(deadline=None)
@given(st.floats(-10, 10, width=32), st.sampled_from(FLIPS), st.sampled_from([0.5, 0.75, 1.25, 1.7]))
def test_a_constant_comes_back_constant_at_every_scale(value, flip, scale):
    image = np.full((2, 37, 51), value, np.float32)
    view = AugmentedView(scale, flip)
    np.testing.assert_allclose(backward(forward(image, view, 32), view, (37, 51)), image, atol=1e-5)


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("scale", [0.5, 0.75, 1.25, 2.0])
def test_a_ramp_comes_back_in_place_at_every_scale(scale, flip):
    """Half a pixel of misalignment between views would blur every outline; a ramp shows it as an offset."""
    rows, cols = np.mgrid[0:48, 0:64].astype(np.float32)
    image = np.stack([rows, cols])
    view = AugmentedView(scale, flip)
    back = backward(forward(image, view, 32), view, (48, 64))
    apart = (back - image)[:, 4:-4, 4:-4]
    assert np.abs(apart).max() < 0.1
    assert abs(apart.mean()) < 0.005


def test_maps_with_more_leading_axes_go_back_too():
    image = np.random.default_rng(0).random((2, 3, 33, 40), np.float32)
    view = AugmentedView(0.5, "both")
    seen = np.stack([forward(one, view, 32) for one in image])
    back = backward(seen, view, (33, 40))
    assert back.shape == image.shape
    np.testing.assert_array_equal(back[1], backward(seen[1], view, (33, 40)))


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(0.01, 4))
def test_a_scaled_image_has_at_least_a_pixel(rows, cols, scale):
    assert resized((rows, cols), scale) == (max(1, round(rows * scale)), max(1, round(cols * scale)))
    assert min(resized((rows, cols), scale)) >= 1


def test_the_plan_starts_with_the_largest_say_each_scale_with_all_its_flips():
    views = plan({0.5: 0.25, 0.75: 0.75, 1.0: 1.0, 1.25: 0.9}, ["none", "horizontal"])
    assert [view.scale for view in views] == [1.0, 1.0, 1.25, 1.25, 0.75, 0.75, 0.5, 0.5]
    assert [view.flip for view in views] == ["none", "horizontal"] * 4
    assert [view.weight for view in views[::2]] == [1.0, 0.9, 0.75, 0.25]
    equal = plan({2.0: 1.0, 0.5: 0.1, 1.0: 1.0, 1.25: 0.5}, ["none"])
    assert [view.scale for view in equal] == [1.0, 2.0, 1.25, 0.5], "of equal say, the nearest to native comes first"


@settings(deadline=None)
@given(LOGITS, st.data())
def test_the_merge_is_the_weighted_mean_of_logits_and_the_sd_of_probability(logits, data):
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=len(logits), max_size=len(logits)))
    merge = Merge()
    for one, weight in zip(logits, weights, strict=True):
        merge.add(one, weight)
    stack = np.stack(logits).astype(np.float64)
    chance = 1 / (1 + np.exp(-stack))
    mean = np.average(chance, axis=0, weights=weights)
    sd = np.sqrt(np.average((chance - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_allclose(merge.logits, np.average(stack, axis=0, weights=weights), atol=1e-4)
    np.testing.assert_allclose(merge.spread, sd, atol=2e-3)
    assert (merge.count, merge.weight) == (len(logits), pytest.approx(sum(weights)))
    assert merge.logits.dtype == merge.spread.dtype == np.float32


@settings(deadline=None)
@given(LOGITS, st.randoms(use_true_random=False))
def test_the_order_of_the_views_does_not_matter(logits, random):
    one, other = Merge(), Merge()
    for item in logits:
        one.add(item)
    random.shuffle(logits)
    for item in logits:
        other.add(item)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    np.testing.assert_allclose(one.spread, other.spread, atol=2e-3)


def test_a_view_counts_only_where_it_looked():
    merge, first, second = Merge(), np.full((1, 4, 6), 1.0, np.float32), np.full((1, 4, 6), 4.0, np.float32)
    there = np.zeros((4, 6), np.float32)
    there[1:3, 2:4] = 0.5
    merge.add(first)
    merge.add(second, there)
    np.testing.assert_allclose(merge.logits[0, 1:3, 2:4], (1 + 0.5 * 4) / 1.5)
    assert (merge.spread[0, 1:3, 2:4] > 0.05).all()
    outside = there == 0
    assert (merge.logits[0][outside] == 1).all() and (merge.spread[0][outside] == 0).all() and merge.count == 2


def test_merging_leaves_the_views_as_they_were():
    first, second = np.ones((2, 2), np.float32), np.full((2, 2), 3, np.float32)
    merge = Merge()
    merge.add(first)
    merge.add(second)
    assert (first == 1).all() and (second == 3).all()
    np.testing.assert_array_equal(merge.logits, np.full((2, 2), 2, np.float32))
    np.testing.assert_array_equal(merge.logits, np.full((2, 2), 2, np.float32), "reading twice gives the same")


def test_a_single_view_has_no_spread():
    merge = Merge()
    merge.add(np.array([-3.0, 0.0, 3.0], np.float32), 0.25)
    np.testing.assert_allclose(merge.spread, 0, atol=1e-3)
    np.testing.assert_allclose(merge.logits, [-3, 0, 3], atol=1e-6)


def test_an_empty_merge_says_so():
    with pytest.raises(ValueError, match="no view was merged"):
        _ = Merge().logits
    with pytest.raises(ValueError, match="no view was merged"):
        _ = Merge().spread


def test_the_sigmoid_is_exact_and_never_overflows():
    x = np.array([-1e30, -100, -1, 0, 1, 100, 1e30], np.float32)
    want = [0, 0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1, 1]
    np.testing.assert_allclose(sigmoid(x), want, atol=1e-7)
    assert sigmoid(x).dtype == np.float32


@settings(deadline=None)
@given(arrays(np.float32, 20, elements=st.floats(-50, 50, width=32)))
def test_the_sigmoid_is_monotone_and_symmetric(x):
    assert (np.diff(sigmoid(np.sort(x))) >= 0).all()
    np.testing.assert_allclose(sigmoid(x) + sigmoid(-x), 1, atol=1e-6)

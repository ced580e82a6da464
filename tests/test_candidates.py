"""Places worth a closer look, their own pixels on a crop's grid, and the evidence that is pooled over them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.ops.candidates import CandidateRegion, attention_pooling, candidate_regions, region_mask


def probability() -> np.ndarray:
    out = np.zeros((40, 50), np.float32)
    out[5:9, 10:12] = 0.6
    out[6, 11] = 0.9
    out[20, 20] = out[21, 21] = 0.7
    out[30:32, 40:48] = 0.5
    return out


def test_spots_are_the_components_likeliest_first():
    found = candidate_regions(probability(), 0.3, 10)
    assert [spot.peak for spot in found] == pytest.approx([0.9, 0.7, 0.5])
    assert [spot.box for spot in found] == [(5, 10, 9, 12), (20, 20, 22, 22), (30, 40, 32, 48)]
    assert [spot.extent for spot in found] == [4, 2, 8]
    assert [spot.center for spot in found] == [(6.5, 10.5), (20.5, 20.5), (30.5, 43.5)]
    assert found[1].shape.tolist() == [[True, False], [False, True]], "diagonal neighbours touch"


def test_the_threshold_must_be_exceeded_and_only_the_likeliest_are_kept():
    assert [spot.peak for spot in candidate_regions(probability(), 0.5, 10)] == pytest.approx([0.9, 0.7])
    assert [spot.peak for spot in candidate_regions(probability(), 0.3, 1)] == pytest.approx([0.9])
    assert candidate_regions(np.zeros((5, 5), np.float32), 0.3, 10) == []


def test_equal_peaks_come_in_reading_order():
    flat = np.zeros((20, 20), np.float32)
    flat[15, 2] = flat[3, 12] = flat[3, 4] = 0.8
    assert [spot.box[:2] for spot in candidate_regions(flat, 0.5, 10)] == [(3, 4), (3, 12), (15, 2)]


@settings(deadline=None)
@given(arrays(np.float32, (12, 14), elements=st.floats(0, 1, width=32)), st.floats(0.05, 0.95))
def test_the_spots_hold_every_pixel_above_the_threshold_once(chance, threshold):
    count = np.zeros(chance.shape, int)
    for spot in candidate_regions(chance, threshold, 10_000):
        top, left, bottom, right = spot.box
        count[top:bottom, left:right] += spot.shape
        assert top <= spot.center[0] < bottom and left <= spot.center[1] < right
    np.testing.assert_array_equal(count, chance > np.float32(threshold))


def square(box=(10, 12, 14, 18)) -> CandidateRegion:
    shape = np.ones((box[2] - box[0], box[3] - box[1]), bool)
    return CandidateRegion(0.9, ((box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2), max(shape.shape), box, shape)


def test_a_stamp_puts_the_place_on_the_crops_grid():
    own = region_mask(square(), (4, 5), 32, 0)
    want = np.zeros((32, 32), np.float32)
    want[6:10, 7:13] = 1
    np.testing.assert_array_equal(own, want)
    assert own.dtype == np.float32


def test_a_stamp_grows_by_its_margin():
    own = region_mask(square(), (4, 5), 32, 3)
    rows, cols = np.nonzero(own)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (3, 12, 4, 15)
    assert own[3, 4] == 0, "the margin is round"


@pytest.mark.parametrize("corner", [(12, 14), (-18, -14), (12, -14), (-18, 15)])
def test_a_stamp_is_cut_where_the_place_leaves_the_crop(corner):
    own = region_mask(square(), corner, 30, 0)
    whole = np.zeros((200, 200), np.float32)
    whole[60:64, 62:68] = 1
    np.testing.assert_array_equal(own, whole[50 + corner[0] : 80 + corner[0], 50 + corner[1] : 80 + corner[1]])
    assert 0 < own.sum() < 24


def test_a_place_outside_the_crop_leaves_no_stamp():
    assert not region_mask(square(), (50, 50), 32, 2).any()


@pytest.fixture
def evidence():
    return np.random.default_rng(1).normal(size=(3, 4, 6)).astype(np.float32)


def test_attention_on_one_cell_reads_that_cell(evidence):
    mask, own = np.zeros((32, 48), np.float32), np.zeros((32, 48), np.float32)
    mask[8:16, 24:32] = own[8:16, 24:32] = 1
    np.testing.assert_allclose(attention_pooling(evidence, mask, own), evidence[:, 1, 3], atol=1e-5)


def test_attention_is_the_mask_weighted_mean(evidence):
    rng = np.random.default_rng(2)
    mask, own = rng.random((32, 48), np.float32), np.ones((32, 48), np.float32)
    weight = (mask * own + 1e-3 * own).reshape(4, 8, 6, 8).mean((1, 3))
    want = (evidence * weight).sum((1, 2)) / weight.sum()
    np.testing.assert_allclose(attention_pooling(evidence, mask, own), want, atol=1e-5)


def test_another_place_in_the_same_crop_has_no_say(evidence):
    mask = np.ones((32, 48), np.float32)
    own = np.zeros((32, 48), np.float32)
    own[0:8, 0:8] = 1
    np.testing.assert_allclose(attention_pooling(evidence, mask, own), evidence[:, 0, 0], atol=1e-5)


def test_a_place_that_the_mask_gave_up_is_read_evenly(evidence):
    own = np.zeros((32, 48), np.float32)
    own[0:8, 0:16] = 1
    nothing = np.zeros((32, 48), np.float32)
    np.testing.assert_allclose(attention_pooling(evidence, nothing, own), evidence[:, 0, :2].mean(1), atol=1e-5)


def test_without_a_place_the_whole_crop_is_read(evidence):
    nothing = np.zeros((32, 48), np.float32)
    np.testing.assert_allclose(attention_pooling(evidence, nothing, nothing), evidence.mean((1, 2)), atol=1e-5)

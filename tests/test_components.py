"""Hysteresis, components per frame and links across frames: drawn cases, and laws against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.ops.components import hysteresis, label_frames, link

volumes = arrays(np.bool_, (3, 7, 9), elements=st.booleans())
probabilities = arrays(np.float32, (2, 7, 9), elements=st.floats(0, 1, width=32))


def boxes(shape, *corners):
    mask = np.zeros(shape, dtype=np.bool_)
    for frame, row0, col0, row1, col1 in corners:
        mask[frame, row0:row1, col0:col1] = True
    return mask


def test_hysteresis_keeps_the_skirt_of_a_peak_and_drops_a_hill():
    prob = np.zeros((1, 5, 9), np.float32)
    prob[0, 2, 1:4] = 0.4, 0.9, 0.4
    prob[0, 2, 6:9] = 0.4, 0.6, 0.4
    expected = boxes(prob.shape, (0, 2, 1, 3, 4))
    np.testing.assert_array_equal(hysteresis(prob, 0.7, 0.3), expected)


def test_hysteresis_goes_through_corners_but_not_through_frames():
    prob = np.zeros((2, 3, 3), np.float32)
    prob[0, 0, 0], prob[0, 1, 1], prob[1, 1, 1] = 0.9, 0.5, 0.5
    assert [tuple(at) for at in np.argwhere(hysteresis(prob, 0.7, 0.3))] == [(0, 0, 0), (0, 1, 1)]


def test_hysteresis_ignores_nan_and_names_a_wrong_order():
    prob = np.full((1, 2, 2), np.nan, np.float32)
    assert not hysteresis(prob, 0.7, 0.3).any()
    with pytest.raises(ValueError, match=r"low 0\.7 to high 0\.3"):
        hysteresis(prob, 0.3, 0.7)


@settings(deadline=None)
@given(probabilities, st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_hysteresis_is_that_of_scikit_image(prob, one, other):
    from skimage.measure import label

    low, high = min(one, other), max(one, other)
    ours = hysteresis(prob, high, low)
    for frame, plane in zip(ours, prob, strict=True):
        labels = label(plane >= low, connectivity=2)
        np.testing.assert_array_equal(frame, np.isin(labels, np.unique(labels[plane >= high])) & (plane >= low))
    assert (hysteresis(prob, high, high) == (prob >= high)).all()


def test_components_are_numbered_by_frame_row_and_column():
    mask = boxes((2, 10, 10), (0, 5, 0, 7, 2), (0, 0, 5, 2, 7), (0, 0, 0, 2, 2), (1, 3, 3, 4, 4))
    labels = label_frames(mask)
    assert labels.dtype == np.int32
    assert [labels[at] for at in ((0, 0, 0), (0, 0, 5), (0, 5, 0), (1, 3, 3))] == [1, 2, 3, 4]
    np.testing.assert_array_equal(labels > 0, mask)


def test_minimum_in_pixels_and_in_mm():
    mask = boxes((1, 20, 20), (0, 0, 0, 2, 2), (0, 5, 5, 8, 8))
    assert label_frames(mask, min_pixels=5).max() == 1
    assert label_frames(mask, min_pixels=10).max() == 0
    # 9 px of 1 mm² have the area of a disc of 3.39 mm
    assert label_frames(mask, min_mm=3.3, spacing=(2.0, 0.5)).max() == 1
    assert label_frames(mask, min_mm=3.4, spacing=(2.0, 0.5)).max() == 0
    assert label_frames(mask, min_mm=99.0).max() == 2


@settings(deadline=None)
@given(volumes)
def test_components_are_those_of_scikit_image(mask):
    from skimage.measure import label

    ours, offset = label_frames(mask), 0
    for frame, plane in zip(ours, mask, strict=True):
        expected = label(plane, connectivity=2)
        np.testing.assert_array_equal(frame, np.where(expected > 0, expected + offset, 0))
        offset += int(expected.max())


def test_overlapping_components_become_one_finding():
    mask = boxes((3, 12, 12), (0, 0, 0, 3, 3), (1, 2, 2, 5, 5), (2, 4, 4, 6, 6), (2, 9, 9, 11, 11))
    found = link(label_frames(mask))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found > 0, mask)
    assert set(found[mask]) == {1, 2}
    assert (found == 2).sum() == 4
    assert set(link(label_frames(mask), min_overlap=2)[mask]) == {1, 2, 3, 4}


def test_branches_that_meet_in_the_next_frame_are_one():
    mask = boxes((2, 6, 12), (0, 0, 0, 2, 2), (0, 0, 8, 2, 10), (1, 0, 0, 2, 10))
    assert link(label_frames(mask)).max() == 1


def test_close_centres_are_linked_in_mm():
    mask = boxes((2, 10, 20), (0, 2, 2, 4, 4), (1, 2, 6, 4, 8))
    labels = label_frames(mask)
    assert link(labels).max() == 2
    assert link(labels, max_mm=2.0, spacing=(1.0, 0.5)).max() == 1
    assert link(labels, max_mm=1.9, spacing=(1.0, 0.5)).max() == 2
    assert link(labels, max_mm=99.0).max() == 2


def test_a_gap_of_one_frame_separates():
    mask = boxes((3, 4, 4), (0, 0, 0, 2, 2), (2, 0, 0, 2, 2))
    assert link(label_frames(mask), max_mm=10.0, spacing=(1.0, 1.0)).max() == 2


def test_larger_findings_come_first_and_equal_ones_in_reading_order():
    mask = boxes((1, 10, 20), (0, 0, 0, 2, 2), (0, 0, 5, 2, 7), (0, 5, 5, 9, 9))
    found = link(label_frames(mask))
    assert [found[at] for at in ((0, 0, 0), (0, 0, 5), (0, 5, 5))] == [2, 3, 1]


@settings(deadline=None)
@given(volumes)
def test_laws_of_linking(mask):
    labels = label_frames(mask)
    found = link(labels)
    np.testing.assert_array_equal(found > 0, mask)
    sizes = np.bincount(found.ravel())[1:]
    assert sizes.all() and (np.diff(sizes) <= 0).all()
    for number in range(1, labels.max() + 1):
        assert len(np.unique(found[labels == number])) == 1
    overlap = mask[:-1] & mask[1:]
    np.testing.assert_array_equal(found[:-1][overlap], found[1:][overlap])
    np.testing.assert_array_equal(link(labels), found)


@settings(deadline=None)
@given(volumes)
def test_no_finding_can_be_taken_apart(mask):
    """What is linked is connected through its plane (8 ways) and through the pixel above or below."""
    from scipy.ndimage import label

    footprint = np.zeros((3, 3, 3))
    footprint[1], footprint[:, 1, 1] = 1, 1
    expected, count = label(mask, footprint)
    found = link(label_frames(mask))
    assert found.max(initial=0) == count
    pairs = np.unique(np.stack([found[mask], expected[mask]]), axis=1)
    assert pairs.shape[1] == count


def test_nothing_to_label():
    empty = np.zeros((2, 3, 3), np.bool_)
    assert not link(label_frames(empty), max_mm=5.0, spacing=(1.0, 1.0)).any()


@pytest.mark.parametrize("call", [lambda a: hysteresis(a.astype(np.float32), 1, 0), label_frames, link])
def test_two_dimensions_are_refused(call):
    with pytest.raises(ValueError, match=r"\[frames, rows, cols\]"):
        call(np.zeros((3, 3), np.int32))


def test_inputs_stay():
    mask = boxes((2, 5, 5), (0, 0, 0, 2, 2), (1, 1, 1, 3, 3))
    mask.setflags(write=False)
    labels = label_frames(mask)
    labels.setflags(write=False)
    assert link(labels).max() == 1

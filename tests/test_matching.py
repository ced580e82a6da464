"""The one rule by which findings hit lesions: closed forms on small masks, and laws over random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.learn.figures.matching import (
    best_overlap,
    box_iou,
    box_overlaps,
    false_positives,
    findings_of,
    hits,
    ignoring,
    match,
    one_lesion,
    overlaps,
    separate_lesions,
    touched,
)
from medvis.learn.figures.metrics import iou

MASKS = arrays(bool, (7, 9))
LABELS = arrays(np.int32, (7, 9), elements=st.integers(0, 3))


def mask(*boxes, shape=(20, 30)):
    """A mask of rectangles (top, bottom, left, right), ends excluded."""
    drawn = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        drawn[top:bottom, left:right] = True
    return drawn


def test_pieces_that_touch_at_a_corner_are_one_lesion():
    corner = mask((2, 4, 2, 4), (4, 6, 4, 6), (10, 12, 10, 12))
    assert separate_lesions(corner).max() == 2
    assert one_lesion(corner).max() == 1 and (one_lesion(corner) > 0).sum() == corner.sum()


def test_one_finding_over_two_lesions_hits_both():
    lesions = separate_lesions(mask((5, 10, 2, 8), (5, 10, 10, 16)))
    over_both = overlaps(mask((5, 10, 2, 16)), lesions)
    # 6 columns of the lesion, and 2 of the gap; the other lesion is left out.
    assert over_both == {1: pytest.approx(6 / 8), 2: pytest.approx(6 / 8)}
    assert hits(over_both, 0.5) == [1, 2] and hits(over_both, 0.8) == []


@given(MASKS, MASKS)
def test_a_lesion_is_touched_where_the_overlap_is_not_empty(first, second):
    matched = match(separate_lesions(first), one_lesion(second))
    assert touched(separate_lesions(first), second) == [bool(overlap) for overlap in matched.values()]


def test_a_finding_on_ignored_pixels_is_neither_hit_nor_false():
    lesion, unsure = mask((0, 10, 0, 10)), mask((0, 10, 8, 14), (15, 18, 20, 25))
    lesions = ignoring(separate_lesions(lesion), unsure)
    findings = np.zeros((20, 30), np.int32)
    findings[0:10, 0:14] = 1  # the lesion, and the ignored pixels beside it, which do not lower its IoU
    findings[16:20, 20:25] = 2  # partly on ignored pixels
    findings[12:14, 0:5] = 3  # elsewhere
    matched = match(findings, lesions)
    assert hits(matched[1], 1.0) == [1] and hits(matched[2], 0.0) == []
    assert false_positives(matched) == [3] and best_overlap({2: matched[2]}) == 0
    assert (lesions[lesion] == 1).all(), "what is marked stays a lesion"


def test_a_finding_that_touches_without_hitting_is_neither_hit_nor_false():
    lesions = separate_lesions(mask((0, 10, 0, 10)))
    findings = np.zeros((20, 30), np.int32)
    findings[0:10, 0:10] = 4
    findings[9, 9] = 5  # within the lesion, one pixel of a hundred
    findings[15:18, 20:25] = 7  # beside it
    matched = match(findings, lesions)
    assert matched == {4: {1: pytest.approx(0.99)}, 5: {1: pytest.approx(0.01)}, 7: {}}
    assert false_positives(matched) == [7]
    assert [number for number, found in matched.items() if hits(found, 0.3)] == [4]
    assert best_overlap(matched) == pytest.approx(0.99) and best_overlap({7: {}}) == best_overlap({}) == 0
    assert list(match(findings, lesions, [7, 4])) == [7, 4], "only the findings that count, in their order"


def test_the_least_overlap_itself_is_a_hit():
    assert hits({1: 0.3, 2: 0.2999}, 0.3) == [1]


@settings(deadline=None)
@given(MASKS, MASKS)
def test_with_one_lesion_the_overlap_is_the_plain_iou(finding, reference):
    expected = iou(finding, reference)
    assert overlaps(finding, one_lesion(reference)) == ({1: pytest.approx(expected)} if expected else {})


@settings(deadline=None)
@given(LABELS, MASKS)
def test_a_finding_is_false_just_where_it_shares_no_pixel(findings, reference):
    matched = match(findings, separate_lesions(reference))
    assert list(matched) == findings_of(findings)
    assert set(false_positives(matched)) == {n for n in matched if not ((findings == n) & reference).any()}
    assert all(0 < overlap <= 1 for found in matched.values() for overlap in found.values())


@settings(deadline=None)
@given(MASKS)
def test_the_reference_itself_hits_every_lesion_fully(reference):
    lesions = separate_lesions(reference)
    assert match(lesions, lesions) == {number: {number: 1.0} for number in range(1, lesions.max() + 1)}


def test_boxes_hold_both_of_their_ends():
    assert box_iou((0, 0, 9, 9), (0, 0, 9, 9)) == 1
    assert box_iou((0, 0, 9, 9), (5, 0, 14, 9)) == pytest.approx(50 / 150)
    assert box_iou((0, 0, 9, 9), (10, 0, 19, 9)) == 0, "neighbours share no pixel"


def test_a_box_is_compared_with_the_box_around_each_finding_inside_it():
    findings = np.zeros((20, 30), np.int32)
    findings[4:8, 4:8] = 1
    findings[15:18, 20:25] = 2
    assert box_overlaps(findings, (4, 4, 7, 7)) == {1: 1.0}
    assert box_overlaps(findings, (4, 4, 11, 7)) == {1: pytest.approx(0.5)}
    assert box_overlaps(findings, (10, 10, 12, 12)) == {}

"""A nodule lasts over slices, a vessel cut across does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_chest import chest, pipeline, scan_of

from medvis.ops.components import label_frames, link
from medvis.stages.persistence import expected_frames, likeliest, persistence
from medvis.stages.scoring import Score

STEPS = np.arange(9.0)


@pytest.mark.parametrize(
    ("diameter", "step", "count"), [(4.0, 2.5, 1), (8.0, 2.5, 3), (13.0, 2.5, 5), (8.0, 5.0, 1), (20.0, 5.0, 3)]
)
def test_a_sphere_shows_on_as_many_slices_as_it_is_thick(diameter, step, count):
    assert expected_frames(diameter, step * np.arange(21.0), key=10) == count


@given(st.floats(1, 60), st.floats(0.5, 10), st.integers(1, 30), st.data())
def test_nothing_is_expected_beyond_the_volume(diameter, step, count, data):
    key = data.draw(st.integers(0, count - 1))
    assert 1 <= expected_frames(diameter, step * np.arange(count), key) <= count


def volume(*frames_of: tuple[int, ...], side: int = 8):
    """Squares of `side` px, one a finding, on the frames given for each; components, links, and a score of 0.6 each."""
    mask = np.zeros((9, 30, 30 * len(frames_of)), bool)
    for index, frames in enumerate(frames_of):
        mask[list(frames), 10 : 10 + side, 30 * index + 10 : 30 * index + 10 + side] = True
    components = label_frames(mask, 1)
    linked = link(components, 1)
    numbers = [
        (int(label), int(np.flatnonzero((components == label).any((1, 2)))[0]))
        for label in range(1, components.max() + 1)
    ]
    scores = [Score(label, frame, side * side, None, 0.6, 0.0) for label, frame in numbers]
    return scores, components, linked


def test_a_finding_on_one_slice_of_many_counts_less():
    scores, components, linked = volume((3, 4, 5), (6,))
    lasting = persistence(scores, components, linked, (1.0, 1.0), 2.5 * STEPS)
    assert lasting[linked[4, 12, 12]] == pytest.approx(0.6), "9 mm on slices of 2.5 mm: three were expected, and came"
    assert lasting[linked[6, 12, 42]] == pytest.approx(0.2)


def test_more_slices_than_expected_do_not_count_for_more():
    scores, components, linked = volume(tuple(range(9)))
    assert persistence(scores, components, linked, (1.0, 1.0), 2.5 * STEPS)[1] == pytest.approx(0.6)


def test_thick_slices_ask_for_no_second_one():
    scores, components, linked = volume((6,))
    assert persistence(scores, components, linked, (1.0, 1.0), 8.0 * STEPS)[1] == pytest.approx(0.6)


def test_no_finding_has_no_persistence():
    empty = np.zeros((3, 8, 8), np.int32)
    assert persistence([], empty, empty, (1.0, 1.0), 2.5 * STEPS).tolist() == [1.0]


def test_segment_drops_what_does_not_last(monkeypatch):
    scan = chest()
    line = pipeline({"stages.segment.lasting": False})
    case, _ = line.run(line.accept(scan), last="infer")
    loose, _ = line.run(case, first="segment", last="segment")
    strict, _ = pipeline({"stages.segment.lasting": True}).run(case, first="segment", last="segment")
    monkeypatch.setattr("medvis.stages.persistence.expected_frames", lambda *_: 100)
    none, _ = pipeline({"stages.segment.lasting": True}).run(case, first="segment", last="segment")
    assert loose.mask.max() >= 3 and none.mask.max() == 0
    assert set(np.unique(strict.mask)) == set(range(strict.mask.max() + 1)), "numbered without gaps"
    one = {"stages.segment.lasting": True}
    single, _ = pipeline(one).run(pipeline(one).accept(scan_of(scan.pixels[2:3, ..., 0])), last="segment")
    assert single.mask.max() > 0, "a single slice asks for nothing more"


def test_a_finding_is_as_likely_as_its_likeliest_slice():
    scores, components, linked = volume((3, 4, 5), (6,))
    raised = [replace(score, probability=0.9) if score.frame == 4 else score for score in scores]
    best = likeliest(raised, components, linked)
    assert best[[0, linked[4, 12, 12], linked[6, 12, 42]]].tolist() == [1.0, 0.9, 0.6]
    empty = np.zeros((3, 8, 8), np.int32)
    assert likeliest([], empty, empty).tolist() == [1.0]


def kept(case, settings=None, **thresholds):
    """The mask of `segment` with these thresholds on the card and these settings."""
    from tiny_chest import Blobs

    line = pipeline({f"stages.segment.{name}": value for name, value in (settings or {}).items()}, Blobs(**thresholds))
    return line.run(case, first="segment", last="segment")[0]


def test_a_series_asks_for_more_than_a_slice():
    line = pipeline()
    case, _ = line.run(line.accept(chest()), last="infer")
    low = {"high": 0.5, "low": 0.4, "finding": 0.05}
    loose, strict = kept(case, thresholds=low), kept(case, thresholds={**low, "series": 0.9999999})
    assert loose.mask.max() >= 3 and strict.mask.max() == 0
    assert strict.scan.trail[-1].settings["series"] == 0.9999999
    by_hand = kept(case, {"series": 0.0}, thresholds={**low, "series": 0.9999999})
    assert np.array_equal(by_hand.mask, loose.mask)
    asked = kept(case, {"finding": 0.05}, thresholds={**low, "series": 0.9999999})
    assert np.array_equal(asked.mask, loose.mask), "a threshold that is set by hand counts for a series too"


def test_a_single_slice_does_not_know_the_threshold_of_a_series():
    line = pipeline()
    one = scan_of(chest().pixels[2:3, ..., 0])
    case, _ = line.run(line.accept(one), last="infer")
    thresholds = {"high": 0.5, "low": 0.4, "finding": 0.05}
    assert kept(case, thresholds={**thresholds, "series": 0.9999999}).mask.max() > 0

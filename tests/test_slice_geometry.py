"""Slices that are missing, uneven or sheared: closed forms of what they stand for; links and volumes obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvis.core.case import CandidateRow, Prediction
from medvis.core.geometry import Geometry
from medvis.ops.components import link
from medvis.ops.measure import measure
from medvis.ops.slice_geometry import depths_of, drift_of, heights_of, missing_in, runs_of
from medvis.preprocess.upright import Upright
from medvis.stages.persistence import expected_frames
from medvis.stages.slice_geometry import slice_geometry_of

AXIAL = np.array([1.0, 0, 0, 0, 1, 0])


def array(*values):
    return np.array(values, float)


def geometry(heights, sideways=0.0, orientation=AXIAL, spacing=(1.0, 1.0)):
    """Axial slices at these heights, each moved in y by a share of its height."""
    positions = np.array([[0.0, sideways * height, height] for height in heights])
    steps = np.diff(heights)
    step = float(steps[0]) if np.allclose(steps, steps[0]) else None
    return Geometry(spacing, step, positions, orientation)


@pytest.mark.parametrize(
    ("heights", "missing", "runs", "depths"),
    [
        ((0, 2, 4, 6), [], [0, 0, 0, 0], [2, 2, 2, 2]),
        ((0, 1, 2, 4, 5), [3], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]),
        ((0, 1, 2, 5.05, 6.05), [3, 4], [0, 0, 0, 1, 1], [1, 1, 1, 1, 1]),
        ((0, 1, 2.2, 3.1), None, [0, 0, 0, 0], [1, 1.1, 1.05, 0.9]),
        ((0, 1, 2, 4.5), None, [0, 0, 0, 1], [1, 1, 1, 1]),
        ((0, 7), [], [0, 0], [7, 7]),
    ],
)
def test_gaps_and_depths(heights, missing, runs, depths):
    found = missing_in(array(*heights))
    assert (found is None) == (missing is None)
    if missing is not None:
        np.testing.assert_allclose(found, missing, atol=0.06)
    assert runs_of(array(*heights)).tolist() == runs
    np.testing.assert_allclose(depths_of(array(*heights)), depths)


@given(st.lists(st.floats(0.5, 0.74), min_size=2, max_size=20))
def test_depths_fill_the_stack_without_gaps(steps):
    """Half an end step beyond either end; no step here is more than 1.5 usual ones."""
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    assert depths_of(heights).sum() == pytest.approx(heights[-1] + (steps[0] + steps[-1]) / 2)


def test_depths_and_runs_do_not_depend_on_the_direction():
    heights = array(0, 1, 2.2, 3.1, 6)
    np.testing.assert_allclose(depths_of(-heights), depths_of(heights))
    np.testing.assert_allclose(depths_of(heights[::-1])[::-1], depths_of(heights))


def test_a_tilt_shows_in_the_plane_and_not_along_the_normal():
    tilted = geometry((0, 5, 10), sideways=0.4)
    np.testing.assert_allclose(heights_of(tilted.positions, AXIAL), [0, 5, 10])
    np.testing.assert_allclose(drift_of(tilted.positions, AXIAL), [[0, 0], [2, 0], [4, 0]])
    assert slice_geometry_of(tilted, 3).moves == ((2.0, 0.0), (2.0, 0.0))


def test_what_is_no_stack_has_no_slice_geometry():
    assert slice_geometry_of(geometry((0, 0, 0)), 3) is None
    assert slice_geometry_of(Geometry(), 3) is None
    assert slice_geometry_of(Geometry(slice_spacing=2.0), 1) is None
    np.testing.assert_allclose(slice_geometry_of(Geometry(slice_spacing=2.0), 3).heights, [0, 2, 4])


def boxes(*places, frames, side=30):
    """Labels numbered through: a 4×4 square on each (frame, row, col)."""
    labels = np.zeros((frames, side, side), np.int32)
    for number, (frame, row, col) in enumerate(places, 1):
        labels[frame, row : row + 4, col : col + 4] = number
    return labels


def test_findings_do_not_link_across_a_gap():
    labels = boxes((0, 5, 5), (1, 5, 5), (2, 5, 5), frames=3)
    moves = slice_geometry_of(geometry((0, 1, 2, 4)), 4).moves
    assert moves == ((0.0, 0.0), (0.0, 0.0), None)
    assert link(labels).max() == 1
    assert link(labels, 1, 5.0, (1.0, 1.0), moves[1:]).max() == 2


def test_links_follow_the_tilt():
    """A straight rod along the patient's axis moves by 6 rows a slice on a tilted grid: never overlaps, is one."""
    labels = boxes((0, 20, 5), (1, 14, 5), (2, 8, 5), frames=3)
    assert link(labels).max() == 3
    moves = slice_geometry_of(geometry((0, 5, 10), sideways=1.2), 3).moves
    assert moves[0] == (6.0, 0.0)
    assert link(labels, 1, None, (1.0, 1.0), moves).max() == 1
    assert link(labels, 1, 0.5, (1.0, 1.0), moves).max() == 1
    astray = boxes((0, 8, 5), (1, 8, 5), frames=2)
    assert link(astray).max() == 1
    assert link(astray, 1, None, (1.0, 1.0), moves[:1]).max() == 2


def test_a_sphere_is_expected_where_there_are_slices():
    even = np.arange(0, 40, 2.5)
    assert expected_frames(13.0, even, 8) == 5
    missing = np.delete(even, [9, 10])
    assert expected_frames(13.0, missing, 8) == 3  # none beyond the gap
    assert expected_frames(13.0, array(0, 1, 2.2, 3.1, 9), 1) == 4


def centroid(place, size):
    return place.centroid_to_patient(*size.centroid[1:], size.frame_pixels)


@pytest.mark.parametrize("sideways", [0.0, 0.4])
def test_volumes_of_uneven_and_tilted_slices(sideways):
    """A cylinder of 16 mm² through slices at 0, 1, 2.2, 3.1 mm."""
    heights = (0, 1, 2.2, 3.1)
    labels = boxes(*((frame, 10, 10) for frame in range(4)), frames=4)
    labels[labels > 0] = 1
    place = geometry(heights, sideways)
    assert place.slice_spacing is None
    (found,) = measure(labels, labels.astype(np.float32), (1.0, 1.0), slice_geometry_of(place, 4).depths)
    assert found.volume_mm3 == pytest.approx(16 * (1 + 1.1 + 1.05 + 0.9))
    assert centroid(place, found) == pytest.approx((11.5, 11.5 + sideways * np.mean(heights), np.mean(heights)))


def test_a_centroid_between_two_slices_is_there():
    labels = boxes((0, 10, 10), (1, 10, 10), frames=2)
    labels[labels > 0] = 1
    (found,) = measure(labels, labels.astype(np.float32), (1.0, 1.0), 5.0)
    assert centroid(geometry((0, 5)), found) == pytest.approx((11.5, 11.5, 2.5))
    assert centroid(Geometry(), found) is None


FLIPS = [(row, col) for row in (1, -1) for col in (1, -1)]


@pytest.mark.parametrize(("row", "col"), FLIPS)
@pytest.mark.parametrize("plane", [(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)])
def test_only_what_is_mirrored_is_turned(plane, row, col):
    upright = np.array(plane, float)
    orientation = upright * np.repeat([row, col], 3)
    normal = np.cross(orientation[:3], orientation[3:])
    turn = Upright.of(Geometry(positions=np.outer(np.arange(3.0), normal), orientation=orientation))
    assert (turn.cols, turn.rows, turn.frames) == (row < 0, col < 0, row != col)
    stack = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(turn.stack(turn.stack(stack)), stack)
    np.testing.assert_array_equal(turn.planes(turn.planes(stack)), stack)
    if not (turn.rows or turn.cols):
        assert turn.planes(stack) is stack


def test_a_candidate_is_turned_with_its_pixels():
    turn = Upright(rows=True, cols=True)
    one = CandidateRow(3, (1, 2, 5, 7), (2.5, 4.0), np.zeros(1), np.zeros(1), None, 2)
    seen = turn.candidate(one, (20, 30))
    plane = np.zeros((20, 30))
    plane[1:5, 2:7] = 1
    row0, col0, row1, col1 = seen.box
    assert turn.planes(plane)[row0:row1, col0:col1].sum() == plane.sum()
    assert seen.center == (16.5, 25.0)
    assert turn.candidate(seen, (20, 30)) == one


def test_a_whole_prediction_is_turned():
    maps = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    given = Prediction(maps, maps[0], maps[0], ("a",))
    turned = Upright(rows=True).prediction(given)
    np.testing.assert_array_equal(turned.mask_logits[0, 0], maps[0, 0, ::-1])
    np.testing.assert_array_equal(turned.evidence[0], maps[0, 0, ::-1])
    assert Upright().prediction(given) is given

"""Measurements: closed forms of discs, ellipses and rectangles, and laws that hold for any shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.ops.diameters import diameters
from medvis.ops.measure import AS_DRAWN, NO_DEPTH, NO_SPACING, ONE_FRAME, measure

shapes = arrays(np.bool_, (9, 12), elements=st.booleans()).filter(np.any)
steps = st.tuples(st.floats(0.2, 3), st.floats(0.2, 3))


def ellipse(long_px, short_px, angle=0.0, size=201):
    row, col = np.mgrid[:size, :size] - (size - 1) / 2
    along = col * math.cos(angle) + row * math.sin(angle)
    across = row * math.cos(angle) - col * math.sin(angle)
    return (along / (long_px / 2)) ** 2 + (across / (short_px / 2)) ** 2 <= 1


def rectangle(long_px, short_px, angle, size=201):
    row, col = np.mgrid[:size, :size] - (size - 1) / 2
    along = col * math.cos(angle) + row * math.sin(angle)
    across = row * math.cos(angle) - col * math.sin(angle)
    return (np.abs(along) <= long_px / 2) & (np.abs(across) <= short_px / 2)


def only(mask, pixels=None, **known):
    volume = mask[None] if mask.ndim == 2 else mask
    pixels = np.zeros(volume.shape, np.float32) if pixels is None else pixels
    (found,) = measure(volume.astype(np.int32), pixels, **known)
    return found


def test_one_pixel_is_one_pixel_long():
    mask = np.zeros((5, 5), np.bool_)
    mask[2, 3] = True
    size = diameters(mask, (1.0, 1.0))
    assert (size.longest, size.perpendicular) == (1.0, 1.0)
    size = diameters(mask, (2.0, 0.5))
    assert (size.longest, size.perpendicular) == (2.0, 0.5)
    assert size.longest_axis in (((1.5, 3.0), (2.5, 3.0)), ((2.5, 3.0), (1.5, 3.0)))


@pytest.mark.parametrize("length", [2, 7, 30])
def test_a_bar_is_as_long_as_its_pixels_and_one_wide(length):
    mask = np.zeros((40, 40), np.bool_)
    mask[5, 3 : 3 + length] = True
    size = diameters(mask, (0.5, 0.7))
    assert size.longest == pytest.approx(length * 0.7)
    assert size.perpendicular == pytest.approx(0.5)


@pytest.mark.parametrize("diameter", [5, 8, 13, 40, 120])
def test_a_disc_measures_its_diameter(diameter):
    size = diameters(ellipse(diameter, diameter), (1.0, 1.0))
    assert size.longest == pytest.approx(diameter, abs=1.0)
    assert size.perpendicular == pytest.approx(diameter, abs=1.0)


@pytest.mark.parametrize("angle", np.linspace(0, math.pi, 9))
def test_an_ellipse_measures_its_axes_at_any_angle(angle):
    size = diameters(ellipse(120, 60, angle), (1.0, 1.0))
    assert size.longest == pytest.approx(120, abs=1.0)
    assert size.perpendicular == pytest.approx(60, abs=2.0)


def test_the_axes_of_an_ellipse_cross_at_a_right_angle_and_lie_where_drawn():
    size = diameters(ellipse(120, 60, math.pi / 6), (1.0, 1.0))
    one, other = np.diff(size.longest_axis, axis=0)[0], np.diff(size.perpendicular_axis, axis=0)[0]
    assert np.hypot(*one) == pytest.approx(size.longest)
    assert np.hypot(*other) == pytest.approx(size.perpendicular)
    assert abs(one @ other) <= 1e-9 * size.longest * size.perpendicular
    assert abs(math.degrees(math.atan2(one[0], one[1])) % 180 - 30) < 2


@pytest.mark.parametrize("angle", [0, 0.3, math.pi / 4, 1.2])
def test_a_rectangle_measures_its_diagonal_and_the_chord_across_it(angle):
    long_px, short_px = 100, 40
    size = diameters(rectangle(long_px, short_px, angle), (1.0, 1.0))
    diagonal = math.hypot(long_px, short_px)
    assert size.longest == pytest.approx(diagonal, abs=1.5)
    assert size.perpendicular == pytest.approx(short_px * diagonal / long_px, abs=2.0)


def test_the_spacing_stretches_rows_and_columns():
    size = diameters(ellipse(60, 60), (2.0, 0.5))
    assert size.longest == pytest.approx(120, abs=2.0)
    assert size.perpendicular == pytest.approx(30, abs=1.0)
    # an ellipse at an angle that the spacing makes a disc again
    row, col = np.mgrid[:201, :201] - 100
    size = diameters((row * 0.5) ** 2 + (col * 0.8) ** 2 <= 20**2, (0.5, 0.8))
    assert size.longest == pytest.approx(40, abs=0.81)
    assert size.perpendicular == pytest.approx(40, abs=0.81)


@settings(deadline=None)
@given(shapes, steps)
def test_a_quarter_turn_changes_no_length(mask, spacing):
    size, turned = diameters(mask, spacing), diameters(np.rot90(mask), spacing[::-1])
    assert turned.longest == pytest.approx(size.longest)
    assert turned.perpendicular == pytest.approx(size.perpendicular, abs=1e-6)


@settings(deadline=None)
@given(shapes, steps, st.floats(0.1, 10))
def test_lengths_scale_with_the_spacing(mask, spacing, factor):
    size, scaled = diameters(mask, spacing), diameters(mask, (spacing[0] * factor, spacing[1] * factor))
    assert scaled.longest == pytest.approx(size.longest * factor)
    assert scaled.perpendicular == pytest.approx(size.perpendicular * factor, abs=1e-6 * factor)


@settings(deadline=None)
@given(shapes, steps)
def test_the_perpendicular_is_never_the_longer_one(mask, spacing):
    size = diameters(mask, spacing)
    assert 0 < size.perpendicular <= size.longest
    at = np.argwhere(mask) * spacing
    between_centres = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)).max()
    assert between_centres < size.longest <= between_centres + np.hypot(*spacing) + 1e-9


@settings(deadline=None, max_examples=40)
@given(shapes, steps)
def test_the_perpendicular_is_the_longest_chord_by_brute_force(mask, spacing):
    """Chords across the hull at a thousand places: none is longer, one is as long."""
    from scipy.spatial import ConvexHull

    size = diameters(mask, spacing)
    along = np.diff(np.asarray(size.longest_axis) * spacing, axis=0)[0]
    unit = along / np.hypot(*along)
    at = np.argwhere(mask)
    middles = np.concatenate([at + step for step in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))]) * spacing
    x, y = middles @ unit, middles @ [-unit[1], unit[0]]
    planes = ConvexHull(np.stack([x, y], axis=1)).equations
    places = np.union1d(np.linspace(x.min(), x.max(), 999), x)
    steep = np.abs(planes[:, 1]) > 1e-12
    limits = -(planes[steep, 0] * places[:, None] + planes[steep, 2]) / planes[steep, 1]
    upper = np.where(planes[steep, 1] > 0, limits, np.inf).min(axis=1)
    lower = np.where(planes[steep, 1] < 0, limits, -np.inf).max(axis=1)
    assert size.perpendicular == pytest.approx((upper - lower).max(), rel=1e-6)


def test_a_finding_in_a_series():
    mask = np.zeros((4, 20, 20), np.bool_)
    mask[1, 5:8, 5:8], mask[2, 4:9, 5:9] = True, True
    values = np.zeros(mask.shape, np.float32)
    values[1], values[2] = 10, 40
    found = only(mask, values, spacing=(0.5, 2.0), slice_spacing=3.0)
    assert (found.number, found.key_frame, found.first_frame, found.last_frame) == (1, 2, 1, 2)
    assert found.box == (4, 5, 9, 9)
    assert (found.area_px, found.pixels) == (20, 29)
    assert found.area_mm2 == 20.0
    assert found.volume_mm3 == 29 * 3.0
    mean = (9 * 10 + 20 * 40) / 29
    assert found.centroid == pytest.approx(((9 * 1 + 20 * 2) / 29, 6.0, (9 * 6 + 20 * 6.5) / 29))
    assert found.intensity.mean == pytest.approx(mean)
    assert found.intensity.sd == pytest.approx(math.sqrt((9 * (10 - mean) ** 2 + 20 * (40 - mean) ** 2) / 29))
    assert (found.intensity.min, found.intensity.max) == (10, 40)
    assert found.reasons == dict.fromkeys(("longest_diameter_range_mm", "volume_range_mm3"), AS_DRAWN)


def test_a_sphere_has_its_volume():
    z, y, x = np.mgrid[:41, :61, :61] - np.array([20, 30, 30])[:, None, None, None]
    mask = (z * 1.0) ** 2 + (y * 0.7) ** 2 + (x * 0.7) ** 2 <= 15**2
    found = only(mask, spacing=(0.7, 0.7), slice_spacing=1.0)
    assert found.volume_mm3 == pytest.approx(4 / 3 * math.pi * 15**3, rel=0.01)
    assert found.longest_diameter_mm == pytest.approx(30, abs=0.7)
    assert found.key_frame == 20


def test_unknown_is_none_with_a_reason():
    mask = np.ones((1, 3, 3), np.bool_)
    found = only(mask)
    assert found.area_px == 9
    for name in ("area_mm2", "longest_diameter_mm", "perpendicular_diameter_mm"):
        assert getattr(found, name) is None and found.reasons[name] == NO_SPACING
    assert found.volume_mm3 is None and found.reasons["volume_mm3"] == ONE_FRAME
    assert np.hypot(*np.diff(found.longest_axis, axis=0)[0]) == pytest.approx(math.hypot(3, 2))
    assert found.longest_diameter_px == pytest.approx(math.hypot(3, 2))
    single = dict.fromkeys(("volume_mm3", "volume_range_mm3"), ONE_FRAME)
    drawn = {"longest_diameter_range_mm": AS_DRAWN}
    assert only(mask, spacing=(1.0, 1.0), slice_spacing=5.0).reasons == {**single, **drawn}
    deep = np.ones((2, 3, 3), np.bool_)
    flat = dict.fromkeys(("volume_mm3", "volume_range_mm3"), NO_DEPTH)
    assert only(deep, spacing=(1.0, 1.0)).reasons == {**flat, **drawn}
    assert only(deep, slice_spacing=1.0).reasons["volume_mm3"] == NO_SPACING
    assert only(deep, slice_spacing=1.0).volume_mm3 is None


def test_outline_and_diameters_are_those_of_the_largest_part():
    mask = np.zeros((30, 30), np.bool_)
    mask[2:5, 2:5], mask[20:26, 10:20] = True, True
    found = only(mask, spacing=(1.0, 1.0))
    assert found.area_px == 69 and found.box == (2, 2, 26, 20)
    assert found.longest_diameter_px == found.longest_diameter_mm
    assert found.perpendicular_diameter_px == found.perpendicular_diameter_mm
    assert sorted(found.contour) == [(20, 10), (20, 19), (25, 10), (25, 19)]
    assert found.longest_diameter_mm == pytest.approx(math.hypot(5, 10))


def test_the_contour_of_a_ring_is_its_outside():
    mask = ellipse(31, 31, size=41) & ~ellipse(11, 11, size=41)
    contour = np.array(only(mask, spacing=(1.0, 1.0)).contour)
    assert mask[tuple(contour.astype(int).T)].all()
    assert np.hypot(*(contour - 20).T).min() > 13


@settings(deadline=None)
@given(shapes, st.integers(0, 5), st.integers(0, 7))
def test_moving_a_finding_moves_its_place_and_nothing_else(mask, down, right):
    assume(mask.any())
    big, moved = np.zeros((2, 20, 25), np.bool_)
    big[:9, :12] = mask
    moved[down : down + 9, right : right + 12] = mask
    here, there = (only(each, spacing=(0.6, 0.9)) for each in (big, moved))
    assert there.longest_diameter_mm == here.longest_diameter_mm
    assert there.perpendicular_diameter_mm == here.perpendicular_diameter_mm
    assert there.box == tuple(a + b for a, b in zip(here.box, (down, right, down, right), strict=True))
    assert there.centroid == pytest.approx((0, here.centroid[1] + down, here.centroid[2] + right))
    assert there.contour == tuple((row + down, col + right) for row, col in here.contour)
    np.testing.assert_allclose(np.array(there.longest_axis) - [down, right], here.longest_axis)


def test_findings_come_in_the_order_of_their_numbers():
    labels = np.zeros((1, 9, 9), np.int32)
    labels[0, 0, 0], labels[0, 8, 8], labels[0, 4, 4] = 7, 2, 5
    assert [found.number for found in measure(labels, labels.astype(np.float32))] == [2, 5, 7]
    assert [found.intensity.mean for found in measure(labels, labels.astype(np.float32))] == [2, 5, 7]
    assert measure(np.zeros((1, 3, 3), np.int32), np.zeros((1, 3, 3), np.float32)) == ()


def test_wrong_shapes_are_said():
    with pytest.raises(ValueError, match=r"labels \[1, 3, 3\] on pixels \[1, 3, 4\]"):
        measure(np.zeros((1, 3, 3), np.int32), np.zeros((1, 3, 4), np.float32))
    with pytest.raises(ValueError, match="at least one pixel"):
        diameters(np.zeros((3, 3), np.bool_), (1.0, 1.0))

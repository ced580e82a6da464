"""Resampling against closed forms: constants, ramps, balls; and a whole diagnosis on another grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvis.ops.resample import Axis, resample

MM = st.floats(0.3, 6.0)
ORDERS = st.sampled_from(["linear", "cubic"])
SIZES = st.integers(1, 24)


def places(count: int, old: float, new: float) -> np.ndarray:
    """Where the new samples lie, in mm from the first old one."""
    return Axis.between(count, old, new).positions * old


@given(SIZES, MM, ORDERS)
def test_equal_spacing_changes_nothing(count, mm, order):
    assert np.allclose(Axis.between(count, mm, mm).weights(order), np.eye(count), atol=1e-12)


@given(SIZES, MM, MM)
def test_new_samples_lie_inside_and_apart_as_asked(count, old, new):
    axis = Axis.between(count, old, new)
    at = axis.positions * old
    assert at.min() >= 0 and at.max() <= (count - 1) * old + 1e-9
    assert np.allclose(np.diff(at), new)
    assert at[0] == pytest.approx((count - 1) * old - at[-1], abs=1e-6)  # as far from one end as from the other
    assert at[0] < new / 2 + 1e-6  # and another one would not fit


@given(SIZES, MM, MM, ORDERS, st.floats(-1000, 1000), st.floats(-50, 50))
def test_ramps_and_constants_are_exact(count, old, new, order, level, slope):
    axis = Axis.between(count, old, new)
    line = level + slope * old * np.arange(count)
    assert np.allclose(axis.weights(order) @ line, level + slope * axis.positions * old, atol=1e-6)


@given(SIZES, MM, MM)
def test_linear_weights_overshoot_nowhere(count, old, new):
    weights = Axis.between(count, old, new).weights()
    assert weights.min() >= -1e-12 and np.allclose(weights.sum(1), 1)


@given(SIZES, MM, MM)
def test_back_again_a_ramp_is_the_same_wherever_the_new_grid_reaches(count, old, new):
    forth = Axis.between(count, old, new)
    back = forth.back()
    inside = (np.arange(count) >= forth.positions[0] - 1e-9) & (np.arange(count) <= forth.positions[-1] + 1e-9)
    twice = back.weights() @ (forth.weights() @ np.arange(count))
    assert np.allclose(twice[inside], np.arange(count)[inside], atol=1e-6)
    assert len(back.positions) == count


@settings(max_examples=20, deadline=None)
@given(st.floats(2.1, 6.0), st.floats(0.0, 1.5))
def test_a_pattern_too_fine_for_the_new_grid_does_not_come_back_as_another(ratio, phase):
    """A wave of two samples a period has no place on a grid more than twice as coarse."""
    wave = np.cos(phase) * np.cos(np.pi * np.arange(200))
    axis = Axis.between(200, 1.0, ratio)
    assert np.ptp((axis.weights() @ wave)[5:-5]) < 0.25 * np.ptp(wave)


def ball(shape, spacing, centre, radius):
    """Share of each voxel inside a ball, and its exact volume; smooth at the edge over one voxel."""
    grid = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True)), indexing="ij")
    away = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)))
    return np.clip(0.5 + (radius - away) / max(spacing), 0, 1).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.floats(1.0, 2.5), st.floats(0.6, 1.0), st.floats(0.6, 1.0)),
    st.floats(9.0, 12.0),
    st.tuples(*[st.floats(-2.0, 2.0)] * 3),
    st.floats(0.8, 1.2),
    ORDERS,
)
def test_a_ball_keeps_its_place_and_its_size(spacing, radius, shift, new, order):
    shape = tuple(int(40 / mm) + 1 for mm in spacing)
    volume = ball(shape, spacing, [20 + at for at in shift], radius)
    out, _ = resample(volume, spacing, new, order)
    before = [places(n, mm, mm) for n, mm in zip(shape, spacing, strict=True)]
    after = [places(n, mm, new) for n, mm in zip(shape, spacing, strict=True)]
    assert np.allclose(centroid(out, after), centroid(volume, before), atol=0.1)
    assert (out > 0.5).sum() * new**3 == pytest.approx((volume > 0.5).sum() * np.prod(spacing), rel=0.03)


def centroid(volume, axes):
    return [np.average(at, weights=volume.sum(tuple({0, 1, 2} - {i}))) for i, at in enumerate(axes)]


@pytest.mark.parametrize("order", ["linear", "cubic"])
def test_padding_has_no_say(order):
    rng = np.random.default_rng(3)
    volume = np.full((9, 20, 20), 40, np.float32)
    valid = np.ones(volume.shape, bool)
    valid[:, :6], volume[:, :6] = False, rng.normal(-3000, 500, (9, 6, 20))
    out, seen = resample(volume, (2.0, 1.0, 1.0), 1.3, order, valid)
    assert seen is not None and seen.any() and not seen.all()
    assert np.allclose(out[seen], 40, atol=1e-2) and not out[~seen].any()
    whole, _ = resample(volume, (2.0, 1.0, 1.0), 1.3, order, np.ones(volume.shape, bool))
    plain, _ = resample(volume, (2.0, 1.0, 1.0), 1.3, order)
    assert np.allclose(whole, plain, atol=1e-2)


def test_it_never_writes_into_its_input_and_says_what_it_wants():
    volume = np.zeros((3, 4, 5), np.float32)
    volume.flags.writeable = False
    resample(volume, (1, 1, 1), 0.5)
    with pytest.raises(ValueError, match="to 0 mm; wanted: all above 0"):
        resample(volume, (1, 1, 1), 0)
    with pytest.raises(ValueError, match=r"\[frames, rows, cols\]"):
        resample(volume[0], (1, 1, 1), 1)

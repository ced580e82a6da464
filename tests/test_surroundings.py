"""The rim of a component: what share of it is aerated lung."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvis.ops.chest.surroundings import AERATED_HU, RIM_MM, aerated_rim

LUNG, TISSUE = -850.0, 40.0


def disc(row, col, radius, shape=(90, 100)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, cols - col) <= radius


def filled(value, shape=(90, 100)):
    return np.full(shape, value, np.float32)


@given(st.floats(0.4, 1.2), st.floats(0, 12), st.integers(0, 89), st.integers(0, 99))
@settings(deadline=None)
def test_in_the_midst_of_lung_it_is_all_and_in_tissue_nothing(step, radius, row, col):
    inside = disc(row, col, radius)
    for value, share in ((LUNG, 1.0), (TISSUE, 0.0), (AERATED_HU, 0.0)):
        hu = filled(value)
        hu[inside] = TISSUE
        assert aerated_rim(hu, inside, (step, step)) == share


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("step", [0.5, 0.7, 1.0])
def test_on_a_flat_wall_it_is_half(step, turns):
    hu = filled(LUNG)
    hu[45:] = TISSUE
    inside = disc(44.5, 50, 8)
    hu[inside] = TISSUE
    share = aerated_rim(np.rot90(hu, turns), np.rot90(inside, turns), (step, step))
    assert share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("step", [0.3, 0.5, 0.8])
def test_the_rim_reaches_from_one_to_four_millimetres(step):
    radius = 10.0
    inside = disc(45, 50, radius / step)
    ring = (np.hypot(*(np.mgrid[:90, :100] - np.array([45, 50])[:, None, None])) * step - radius).clip(0)
    for reach, share in ((RIM_MM[0] - step, 0.0), (RIM_MM[1] + 2 * step, 1.0), (2.0, None)):
        hu = np.where(ring <= reach, LUNG, TISSUE).astype(np.float32)
        areas = [pi * ((radius + end) ** 2 - radius**2) for end in (RIM_MM[0], reach, RIM_MM[1])]
        wanted = (areas[1] - areas[0]) / (areas[2] - areas[0]) if share is None else share
        assert aerated_rim(hu, inside, (step, step)) == pytest.approx(wanted, abs=0.12)


def test_millimetres_count_not_pixels():
    inside = disc(45, 50, 6)
    hu = np.where(disc(45, 50, 9), LUNG, TISSUE).astype(np.float32)
    fine, coarse = (aerated_rim(hu, inside, (step, step)) for step in (0.5, 1.2))
    assert fine < 0.3 and coarse > 0.7
    assert aerated_rim(hu, inside, (0.5, 2.88)) == aerated_rim(hu, inside, (sqrt(0.5 * 2.88),) * 2)


def test_what_is_beyond_the_picture_does_not_count():
    hu = filled(LUNG)
    inside = disc(0, 0, 5)
    assert aerated_rim(hu, inside, (0.7, 0.7)) == 1.0
    assert aerated_rim(hu, np.ones_like(inside), (0.7, 0.7)) is None, "there is no rim"
    assert aerated_rim(hu, np.zeros_like(inside), (0.7, 0.7)) is None, "nor of nothing"


def test_far_away_things_do_not_matter_and_the_input_stays_as_it_is():
    inside, hu = disc(30, 30, 5), filled(LUNG)
    hu[60:] = 3000.0
    before = hu.copy(), inside.copy()
    for array in (hu, inside):
        array.flags.writeable = False
    assert aerated_rim(hu, inside, (0.7, 0.7)) == 1.0
    assert (hu == before[0]).all() and (inside == before[1]).all()


def test_pixels_and_component_are_of_one_shape():
    with pytest.raises(ValueError, match=r"a component \[4, 5\] on pixels \[5, 4\]; wanted: \[rows, cols\] for both"):
        aerated_rim(np.zeros((5, 4), np.float32), np.ones((4, 5), bool), (1.0, 1.0))

"""The Hounsfield scale found again in pictures that were min–max scaled to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from medvis.ops.chest.hounsfield import estimate_scale, to_hounsfield
from medvis.phantom.volume import PhantomSpec, chest_phantom

SPEC = PhantomSpec(frames=3, shape=(384, 384), spacing=(0.9, 0.9))


@pytest.fixture(scope="module")
def volume():
    return chest_phantom(SPEC)[0]


def picture(hu):
    low, high = float(hu.min()), float(hu.max())
    return np.rint((hu - low) / (high - low) * 255).astype(np.uint8), (low, high)


def crops(volume):
    """128×128 crops around both lungs, each with lung and chest wall in it."""
    return [
        volume[frame, row : row + 128, col : col + 128] for frame in (0, 2) for row in (90, 150) for col in (40, 215)
    ]


def test_the_scale_of_crops_is_recovered(volume):
    """The bar is set by use: a lung window is 1500 HU wide, so 60 HU are 4 % of it."""
    errors = []
    for hu in crops(volume):
        grey, _ = picture(hu)
        found = to_hounsfield(grey)
        tissue = (hu > -950) & (hu < 150)
        errors.append(float(np.abs(found - hu)[tissue].mean()))
    assert np.median(errors) < 60, errors
    assert max(errors) < 120, errors


def test_whole_slices_are_recovered_too(volume):
    for hu in volume:
        grey, _ = picture(hu)
        found = to_hounsfield(grey)
        inside = (hu > -950) & (hu < 150)
        assert np.abs(found - hu)[inside].mean() < 80


def test_the_picture_is_mapped_linearly_between_the_two_ends(volume):
    grey, _ = picture(volume[1])
    low, high = estimate_scale(grey)
    found = to_hounsfield(grey)
    assert found.shape == grey.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, low + grey / 255 * (high - low), atol=0.01)
    assert low < -900 < 0 < high


def test_the_same_picture_gives_the_same_scale_in_any_shape(volume):
    grey, _ = picture(volume[1])
    assert estimate_scale(grey) == estimate_scale(grey) == estimate_scale(grey.ravel()[::-1])


def test_a_large_flat_area_does_not_outvote_the_rest(volume):
    """A table or a mask of one grey must not move the scale much."""
    hu = crops(volume)[1].copy()
    plain = estimate_scale(picture(hu)[0])
    grey, _ = picture(hu)
    grey = np.concatenate([grey, np.full_like(grey, 90)])
    assert estimate_scale(grey)[1] == pytest.approx(plain[1], rel=0.25)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_flat_picture_gives_a_finite_scale(value):
    low, high = estimate_scale(np.full((16, 16), value, np.uint8))
    assert np.isfinite([low, high]).all() and high > low


def test_the_input_is_left_alone(volume):
    grey, _ = picture(volume[0])
    grey.flags.writeable = False
    before = grey.copy()
    to_hounsfield(grey)
    np.testing.assert_array_equal(grey, before)

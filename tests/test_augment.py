"""Augmentation: every switch off is the identity, every one on does what it says, and chance comes from one place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medvis.learn.data.views import InputRange
from medvis.learn.training.augment import Augment, crop_maps, finish, sample, scanner
from medvis.learn.training.paste import paste, transplant

OFF = {
    "rotate": 0.0, "mirror": 0.0, "zoom": (1.0, 1.0), "elastic": 0.0, "window": (0.0, 0.0), "noise": 0.0, "blur": 0.0,
    "motion": 0.0, "absent": 0.0, "paste": 0.0, "smoothing": 0.0,
}  # fmt: skip


def switched(**on) -> Augment:
    return Augment(**{**OFF, **on})


def rng(seed=0):
    return np.random.default_rng(seed)


def scanned(values, chance, augment, input_range=InputRange(-2000, 2000), middle=-400):  # noqa: B008 - it is frozen
    """`scanner` of values in modality units, in these units."""
    return input_range.units(scanner(input_range.view(values), chance, augment, input_range, middle))


@pytest.fixture
def image():
    return rng(9).normal(-600, 200, (96, 96)).astype(np.float32)


def test_with_everything_off_the_crop_is_cut_and_nothing_else(image):
    crop = sample(image, crop_maps(rng(), switched(), 32, (47.5, 40.5)))
    np.testing.assert_allclose(crop, image[32:64, 25:57], atol=1e-3)
    np.testing.assert_array_equal(crop, image[32:64, 25:57])
    view = InputRange(-2000, 2000).view(crop)
    np.testing.assert_array_equal(scanner(view, rng(), switched(), InputRange(-2000, 2000), -400), view)


def test_beyond_the_edge_the_image_is_mirrored(image):
    crop = sample(image, crop_maps(rng(), switched(), 32, (15.5 - 10, 47.5)))
    wide = np.pad(image, ((10, 0), (0, 0)), mode="symmetric")
    np.testing.assert_allclose(crop, wide[:32, 32:64], atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_rotation_and_flip_keep_distances(seed):
    rows, cols = crop_maps(rng(seed), switched(rotate=1.0), 32, (50.5, 60.5))
    assert np.hypot(rows - 50.5, cols - 60.5) == pytest.approx(np.hypot(*(np.mgrid[:32, :32] - 15.5)), abs=1e-3)
    steps = np.hypot(np.diff(rows, axis=1), np.diff(cols, axis=1))
    np.testing.assert_allclose(steps, 1, atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_zoom_stays_in_its_range(seed):
    rows, _ = crop_maps(rng(seed), switched(zoom=(0.7, 1.4)), 32, (50.0, 60.0))
    step = float(np.diff(rows, axis=0).mean())
    assert 1 / 1.4 - 1e-3 <= step <= 1 / 0.7 + 1e-3


def test_zoom_uses_its_whole_range_evenly_in_the_logarithm():
    steps = [np.diff(crop_maps(rng(n), switched(zoom=(0.5, 2.0)), 8, (0, 0))[0], axis=0).mean() for n in range(200)]
    zooms = -np.log2(steps)
    assert zooms.min() < -0.9 and zooms.max() > 0.9 and abs(zooms.mean()) < 0.15


def test_bending_is_smooth_and_moderate():
    straight = crop_maps(rng(1), switched(), 64, (50, 50))
    bent = crop_maps(rng(1), switched(elastic=1.0), 64, (50, 50))
    for one, other in zip(straight, bent, strict=True):
        shift = other - one
        assert 0.5 < np.abs(shift).max() < 12
        assert np.abs(np.diff(shift, axis=0)).max() < 0.6, "no folds"


def test_the_same_chance_gives_the_same_crop():
    one, other = (crop_maps(rng(4), Augment(), 32, (40, 40)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, crop_maps(rng(5), Augment(), 32, (40, 40)))


def test_the_scale_of_hounsfield_units_is_shifted_and_stretched_about_tissue(image):
    moved = scanned(image, rng(3), switched(window=(35.0, 0.05)))
    stretch, shift = np.polyfit(image.ravel().astype(float), moved.ravel().astype(float), 1)
    assert stretch != pytest.approx(1, abs=1e-3) and 0.7 < stretch < 1.3
    np.testing.assert_allclose(moved, stretch * image + shift, atol=0.1)
    only_stretched = scanned(image, rng(3), switched(window=(0.0, 0.05)))
    assert sample_at(only_stretched, image, -400) == pytest.approx(-400, abs=0.5), "the middle stays"


def sample_at(moved, image, value):
    stretch, shift = np.polyfit(image.ravel().astype(float), moved.ravel().astype(float), 1)
    return stretch * value + shift


@pytest.mark.parametrize("part", ["blur", "motion"])
def test_blur_smooths_and_keeps_the_mean(image, part):
    for seed in range(4):
        soft = scanned(image, rng(seed), switched(**{part: 1.0}))
        assert np.abs(np.diff(soft, axis=0)).mean() <= np.abs(np.diff(image, axis=0)).mean() + 1e-3
        assert soft.mean() == pytest.approx(image.mean(), abs=10)
    assert soft.std() < image.std()


def test_noise_is_at_most_as_strong_as_allowed_and_not_always_there():
    flat = np.full((64, 64), -500, np.float32)
    levels = np.array([scanned(flat, rng(seed), switched(noise=40.0)).std() for seed in range(60)])
    assert 0.2 < (levels == 0).mean() < 0.65
    assert levels.max() < 45 and levels.max() > 20


def lesion():
    rows, cols = np.mgrid[:64, :64] - 31.5
    mask = (np.hypot(rows, cols) < 6).astype(np.float32)
    return np.where(mask > 0, 50, -850).astype(np.float32), mask


def test_a_lesion_is_pasted_into_lung():
    host = np.full((64, 64), -850, np.float32)
    host[:, :20] = 60
    found = 0
    for seed in range(10):
        hu, mask = paste(host, *lesion(), rng(seed))
        inside = mask > 0.5
        assert hu.shape == mask.shape == (64, 64) and hu.dtype == mask.dtype == np.float32
        assert (hu >= host - 1e-3).all(), "a lesion displaces air; what is denser shows through"
        middle = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert hu[middle].mean() > -100
        far = cv2.dilate(inside.astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
        np.testing.assert_allclose(hu[far], host[far], atol=1)
        rows, cols = np.nonzero(inside)
        found += 24 < cols.mean() < 56 and 8 <= rows.mean() < 56
    assert found == 10, "its centre is in the lung, away from the border"
    assert (host == np.where(np.arange(64) < 20, 60, -850)).all(), "the host itself stays as it was"


def test_where_there_is_no_lung_nothing_is_pasted():
    assert paste(np.full((64, 64), 50, np.float32), *lesion(), rng()) is None


@pytest.mark.parametrize("wrong", [{"zom": (1, 2)}, {"zoom": 1.0}, {"rotate": "much"}])
def test_an_unknown_or_wrong_switch_is_refused(wrong):
    with pytest.raises(ValidationError):
        Augment(**wrong)


def test_a_small_angle_stays_small_and_a_chest_is_never_upside_down():
    for seed in range(60):
        rows, cols = crop_maps(rng(seed), switched(rotate=1.0, angle=10.0, mirror=0.5), 32, (50.0, 50.0))
        down, across = rows[-1, 16] - rows[0, 16], cols[16, -1] - cols[16, 0]
        assert down > 0, "the top stays on top"
        assert np.degrees(np.arctan2(abs(cols[-1, 16] - cols[0, 16]), down)) <= 10.01
        assert abs(across) > 30


def test_each_flip_has_its_own_switch():
    upright = crop_maps(rng(), switched(), 32, (50.0, 50.0))
    mirrored = crop_maps(rng(), switched(mirror=1.0), 32, (50.0, 50.0))
    turned = crop_maps(rng(), switched(upside_down=1.0), 32, (50.0, 50.0))
    np.testing.assert_allclose(mirrored, (upright[0], upright[1][:, ::-1]), atol=1e-4)
    np.testing.assert_allclose(turned, (upright[0][::-1], upright[1]), atol=1e-4)


def test_colour_is_shifted_channel_by_channel_and_grey_is_not():
    grey, colour = np.full((16, 16), 100, np.float32), np.full((16, 16, 3), 100, np.float32)
    tinted = scanned(colour, rng(), switched(colour=0.1))
    assert np.ptp(tinted[0, 0]) > 1 and all(np.ptp(tinted[..., channel]) < 1e-3 for channel in range(3))
    np.testing.assert_allclose(scanned(grey, rng(), switched(colour=0.1)), grey)


def test_speckle_grows_with_the_value():
    half = np.concatenate([np.full((32, 32), 20), np.full((32, 32), 200)]).astype(np.float32)
    grain = np.mean([np.abs(scanned(half, rng(seed), switched(speckle=0.3)) - half) for seed in range(9)], 0)
    assert grain[32:].mean() / grain[:32].mean() == pytest.approx(10, rel=0.1)
    assert 0 < grain[32:].mean() < 60


def view_and_mask(size=64):
    return rng(2).random((1, size, size), np.float32), np.ones((1, size, size), np.float32)


def test_with_gamma_and_cutout_off_the_view_is_left_alone():
    view, mask = view_and_mask()
    before = rng(0).bit_generator.state
    chance = rng(0)
    same, also = finish(view, mask, chance, switched())
    assert same is view and also is mask and chance.bit_generator.state == before, "not one random number is used up"


def test_gamma_bends_the_curve_and_keeps_black_white_and_order():
    steps = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    bent, _ = finish(steps, steps, rng(3), switched(gamma=0.4))
    assert bent.flat[0] == 0 and bent.flat[-1] == 1 and (np.diff(bent.ravel()) > 0).all()
    assert np.abs(bent - steps).max() > 0.02


def test_cutout_takes_a_grey_square_out_of_view_and_mask_and_not_out_of_the_original():
    view, mask = view_and_mask()
    sides = []
    for seed in range(20):
        cut, left = finish(view, mask, rng(seed), switched(cutout=1.0))
        hole = (cut == 0.5)[0]
        assert (left[0] == 0).sum() == hole.sum() and np.array_equal(cut[0][~hole], view[0][~hole])
        sides.append(np.sqrt(hole.sum()))
    assert min(sides) >= 6 and max(sides) <= 22 and np.ptp(sides) > 5
    assert (mask == 1).all() and not (view == 0.5).any()


def pit(size=64, tone=60.0):
    rows, cols = np.mgrid[:size, :size] - (size - 1) / 2
    mask = (np.hypot(rows, cols) < 5).astype(np.float32)
    return np.where(mask[..., None] > 0, tone, 120.0).repeat(3, 2).astype(np.float32), mask


def test_a_pit_is_pasted_in_the_light_of_its_new_place():
    host, taken = np.full((64, 64, 3), 200, np.float32), np.zeros((64, 64), bool)
    taken[:, 32:] = True
    for seed in range(8):
        values, mask = transplant(host, taken, pit(), rng(seed))
        assert values.shape == host.shape and mask.shape == (64, 64) and values.dtype == np.float32
        rows, cols = np.nonzero(mask > 0.5)
        assert 60 < len(rows) < 95 and cols.mean() < 32
        middle = cv2.erode((mask > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert values[middle].mean() == pytest.approx(100, abs=15), "half as bright as what lies around it"
        far = cv2.dilate((mask > 0).astype(np.uint8), np.ones((11, 11), np.uint8)) == 0
        np.testing.assert_allclose(values[far], 200, atol=1e-2)
    assert (host == 200).all()


def test_without_a_place_or_a_target_nothing_is_transplanted():
    host, (donor, mask) = np.full((64, 64, 3), 200, np.float32), pit()
    assert transplant(host, np.ones((64, 64), bool), (donor, mask), rng()) is None
    assert transplant(host, np.zeros((64, 64), bool), (donor, np.zeros_like(mask)), rng()) is None


def test_a_grey_host_takes_a_grey_pit():
    donor, mask = pit()
    values, inside = transplant(
        np.full((64, 64), 200, np.float32), np.zeros((64, 64), bool), (donor[..., 0].copy(), mask), rng()
    )
    assert values.shape == inside.shape == (64, 64) and values[inside > 0.9].mean() < 140

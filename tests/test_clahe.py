"""CLAHE and the denoiser: closed forms, cv2 as the reference where it can be one, and blindness to padding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.ops.clahe import NEIGHBOURHOOD_SD, TOLERANCE, clahe, denoise

images = arrays(np.float32, (24, 32), elements=st.floats(0, 1, width=32))
methods = pytest.mark.parametrize("method", [clahe, denoise])


def texture(shape=(128, 128), seed=0):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=shape).astype(np.float32), (0, 0), 6)
    low, high = noise.min(), noise.max()
    return np.asarray((noise - low) / (high - low), np.float32)


@pytest.mark.parametrize("clip", [2.0, 4.0, 40.0])
@pytest.mark.parametrize("tiles", [(8, 8), (4, 2)])
def test_it_is_that_of_cv2_at_8_bits(clip, tiles):
    """Up to a bin (cv2 maps a level to the bin's end) and the counts that cv2 cannot spread evenly in whole numbers."""
    levels = (texture((512, 512)) * 255).astype(np.uint8)
    expected = cv2.createCLAHE(clip, tiles[::-1]).apply(levels).astype(int)
    difference = clahe(levels / np.float32(255), clip, tiles) * 255 - expected
    assert difference.min() > -7 and difference.max() < 2
    assert np.abs(difference).mean() < 2.5


def test_on_16_bits_the_clip_of_cv2_has_no_effect_and_ours_has():
    image = texture((512, 512))
    wide = (image * 65535).astype(np.uint16)
    theirs = [cv2.createCLAHE(clip, (8, 8)).apply(wide) for clip in (1.0, 2.0, 16.0)]
    assert np.array_equal(theirs[0], theirs[1]) and np.array_equal(theirs[0], theirs[2])
    spreads = [float(clahe(image, clip).std()) for clip in (1.0, 2.0, 4.0)]
    assert spreads[0] * 1.02 < spreads[1] < spreads[2] / 1.02


def test_without_clip_the_image_stays():
    image = texture()
    np.testing.assert_allclose(clahe(image, 1e-6), image, atol=1e-5)


@pytest.mark.parametrize("clip", [1.5, 2.0, 8.0])
def test_the_slope_is_limited(clip):
    image = np.tile(np.linspace(0.4, 0.6, 256, dtype=np.float32), (64, 1))
    out = clahe(image, clip, (1, 1))
    slope = np.diff(out[0]) / np.diff(image[0])
    expected = min(clip, 5.0) + max(0.0, 1 - 0.2 * clip)  # five times the density, cut, and the rest spread over all
    assert np.median(slope) == pytest.approx(expected, rel=0.05)
    assert slope.max() <= clip + 1


def test_no_grey_level_is_lost():
    image = texture((256, 256))
    assert np.unique(clahe(image)).size > 0.9 * np.unique(image).size


@settings(deadline=None, max_examples=25)
@given(images, st.floats(0.5, 50))
def test_one_tile_keeps_the_order_of_grey_values(image, clip):
    out = clahe(image, clip, (1, 1))
    order = np.argsort(image, axis=None)
    assert (np.diff(out.ravel()[order]) >= -1e-6).all()
    assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1


@methods
@settings(deadline=None, max_examples=25)
@given(image=images, padding=arrays(np.bool_, (24, 32)), other=st.floats(0, 1, width=32))
def test_padding_shapes_nothing_and_stays(method, image, padding, other):
    out = method(image, valid=~padding)
    changed = np.where(padding, np.float32(other), image)
    np.testing.assert_array_equal(method(changed, valid=~padding)[~padding], out[~padding])
    np.testing.assert_array_equal(out[padding], image[padding])
    if not padding.any():
        np.testing.assert_array_equal(out, method(image))


def test_padding_around_an_image_changes_it_little():
    image = texture((128, 128))
    framed = np.zeros((192, 192), np.float32)
    framed[32:160, 32:160] = image
    valid = framed > -1
    valid[:32] = valid[160:] = valid[:, :32] = valid[:, 160:] = False
    # the inner tiles of a 12 × 12 grid are those of the 8 × 8 grid of the bare image
    expected = clahe(image, 2.0, (8, 8))
    np.testing.assert_allclose(clahe(framed, 2.0, (12, 12), valid)[32:160, 32:160], expected, atol=1e-6)


def test_nothing_is_valid():
    image = texture((16, 16))
    for method in (clahe, denoise):
        np.testing.assert_array_equal(method(image, valid=np.zeros((16, 16), np.bool_)), image)


def test_colour_keeps_its_hue():
    grey = texture()
    colour = np.stack([grey * 0.8, grey * 0.5, grey * 0.3], axis=-1).astype(np.float32)
    out = clahe(colour)
    lab, changed = (cv2.cvtColor(each, cv2.COLOR_RGB2LAB) for each in (colour, out))
    assert changed[..., 0].std() > 1.05 * lab[..., 0].std()
    middle = (out.max(axis=-1) < 0.99) & (out.min(axis=-1) > 0.01)
    np.testing.assert_allclose(changed[middle][:, 1:], lab[middle][:, 1:], atol=1.0)


def test_grey_as_rgb_stays_grey():
    out = clahe(np.repeat(texture()[..., None], 3, axis=-1))
    np.testing.assert_allclose(out, out[..., :1].repeat(3, axis=-1), atol=2e-3)


@methods
@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 50, 1), (40, 50, 3)])
def test_any_shape_comes_back_and_the_input_stays(method, shape):
    image = np.random.default_rng(3).random(shape, dtype=np.float32)
    copy = image.copy()
    image.setflags(write=False)
    valid = np.ones(shape[:2], np.bool_)
    valid[0, 0] = False
    out = method(image, valid=valid)
    assert out.shape == shape and out.dtype == np.float32
    assert out.min() >= 0 and out.max() <= 1
    np.testing.assert_array_equal(image, copy)
    np.testing.assert_array_equal(method(image, valid=valid), out)


@methods
def test_a_constant_image_stays_constant(method):
    out = method(np.full((64, 64), 0.4, np.float32))
    assert np.ptp(out) < 1e-6
    assert abs(float(out[0, 0]) - 0.4) < 0.02


def test_noise_goes_and_the_edge_stays():
    step = np.zeros((80, 80), np.float32)
    step[:, 40:] = 0.5
    noisy = np.clip(step + 0.25 + np.random.default_rng(1).normal(0, 0.05, step.shape), 0, 1).astype(np.float32)
    out = denoise(noisy, 0.05)
    assert out[:, 3:37].std() < 0.4 * noisy[:, 3:37].std()
    assert (out[:, 40] - out[:, 39]).mean() > 0.45


def test_the_denoiser_is_a_bilateral_filter_of_the_valid_pixels():
    rng = np.random.default_rng(5)
    image, valid, strength = rng.random((12, 14), dtype=np.float32), rng.random((12, 14)) > 0.3, 0.1
    out = denoise(image, strength, valid)
    row, col = np.mgrid[:12, :14]
    for at in ((5, 6), (4, 9), (8, 4)):
        squared = (row - at[0]) ** 2 + (col - at[1]) ** 2
        weight = np.exp(-squared / 2 / NEIGHBOURHOOD_SD**2) * ((squared <= 9) & valid)
        weight = weight * np.exp(-((image - image[at]) ** 2) / 2 / (TOLERANCE * strength) ** 2)
        expected = (weight * image).sum() / weight.sum() if valid[at] else image[at]
        assert out[at] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clahe(np.zeros((4, 4), np.float32), 0.0), "clip 0"),
        (lambda: clahe(np.zeros((4, 4), np.float32), 2.0, (0, 8)), r"tiles \[0, 8\]"),
        (lambda: clahe(np.zeros((4, 4, 2), np.float32)), r"\[4, 4, 2\]"),
        (lambda: clahe(np.zeros(4, np.float32)), r"\[4\]"),
        (lambda: denoise(np.zeros((4, 4), np.float32), 0.0), "strength 0"),
        (lambda: denoise(np.zeros((4, 4), np.float32), 1.0, np.ones((4, 5), np.bool_)), r"\[4, 5\]"),
    ],
)
def test_wrong_settings_are_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()

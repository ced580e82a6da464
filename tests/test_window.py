"""VOI windows and the Modality LUT against the standard's own pseudo-code, and their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medvis.ops import modality, window

FUNCTIONS = (window.voi_linear, window.voi_linear_exact, window.voi_sigmoid)
FLOATS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=8), elements=st.floats(-4096, 32768, width=32))
CENTERS = st.integers(-2000, 4000).map(float)
WIDTHS = st.integers(1, 4000).map(float)


def by_the_book_linear(x, c, w):
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 1.0
    return (x - (c - 0.5)) / (w - 1) + 0.5


def by_the_book_exact(x, c, w):
    if x <= c - w / 2:
        return 0.0
    if x > c + w / 2:
        return 1.0
    return (x - c) / w + 0.5


def by_the_book_sigmoid(x, c, w):
    return 1 / (1 + math.exp(-4 * (x - c) / w))


@pytest.mark.parametrize(
    ("function", "book"),
    list(zip(FUNCTIONS, (by_the_book_linear, by_the_book_exact, by_the_book_sigmoid), strict=True)),
)
@pytest.mark.parametrize(
    ("center", "width"), [(2048, 4096), (2048, 1), (0, 100), (0, 2), (-600, 1500), (40.5, 400.25), (1, 1)]
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.int32])
def test_closed_form(function, book, center, width, dtype):
    values = np.concatenate([np.arange(-3000, 5000, 7), np.arange(-5, 6), [-1350, -601, -600, -599, 149, 150, 151]])
    if function is window.voi_sigmoid:
        values = values[np.abs(values - center) < 100 * width]
    expected = [book(float(x), center, width) for x in values]
    np.testing.assert_allclose(function(values.astype(dtype), center, width), expected, atol=2e-6)


def test_examples_of_the_standard():
    # PS3.3 C.11.2.1.2.1: c=2048, w=4096 is the identity of 0…4095; c=2048, w=1 a threshold; c=0, w=100 and w=1 below.
    ramp = np.arange(4096)
    np.testing.assert_allclose(window.voi_linear(ramp, 2048, 4096) * 4095, ramp, atol=1e-3)
    np.testing.assert_array_equal(window.voi_linear(np.array([2047, 2048]), 2048, 1), [0, 1])
    np.testing.assert_array_equal(window.voi_linear(np.array([-50, 50]), 0, 100), [0, 1])
    assert window.voi_linear(np.array([-49]), 0, 100)[0] > 0
    assert window.voi_linear(np.array([48]), 0, 100)[0] < 1
    np.testing.assert_array_equal(window.voi_linear(np.array([-1, 0]), 0, 1), [0, 1])


@given(FLOATS, CENTERS, WIDTHS, st.sampled_from(FUNCTIONS))
def test_within_the_unit_range_and_input_unchanged(pixels, center, width, function):
    before = pixels.copy()
    out = function(pixels, center, width)
    np.testing.assert_array_equal(pixels, before)
    assert out.dtype == np.float32
    assert out.shape == pixels.shape
    assert not np.shares_memory(out, pixels)
    assert np.all((out >= 0) & (out <= 1))


@given(FLOATS, CENTERS, WIDTHS, st.sampled_from(FUNCTIONS))
def test_monotone(pixels, center, width, function):
    ordered = np.sort(pixels.ravel())
    assert np.all(np.diff(function(ordered, center, width)) >= 0)


@given(st.floats(1e-38, 1e38), st.floats(-1e38, 1e38))
def test_extreme_windows_stay_finite(width, center):
    pixels = np.array([-3e38, -1.0, 0.0, 1.0, 3e38], np.float32)
    for function in (window.voi_linear_exact, window.voi_sigmoid):
        assert np.isfinite(function(pixels, center, width)).all()


@pytest.mark.parametrize(
    ("name", "center", "width"),
    [("LINEAR", 0, 0.5), ("LINEAR_EXACT", 0, 0), ("SIGMOID", 0, -1), ("LINEAR", math.nan, 9)],
)
def test_a_bad_width_is_refused(name, center, width):
    with pytest.raises(ValueError, match=f"wanted: a width .* for {name}"):
        window.window(np.zeros((2, 2)), center, width, name)


def test_by_name():
    pixels = np.linspace(-100, 100, 11, dtype=np.float32)
    for name, function in zip(window.FUNCTIONS, FUNCTIONS, strict=True):
        np.testing.assert_array_equal(window.window(pixels, 10, 50, name), function(pixels, 10, 50))
    with pytest.raises(ValueError, match="CUBIC"):
        window.window(pixels, 10, 50, "CUBIC")


def test_presets():
    assert window.preset("lung") == (-600, 1500)
    assert window.preset("brain") == (40, 80)
    assert all(width >= 1 for _, width in window.PRESETS.values())
    with pytest.raises(ValueError, match=r"no window named 'lungs'.*mediastinum"):
        window.preset("lungs")


def test_voi_lut_clamps_at_both_ends():
    table = [0, 10, 100, 255]
    pixels = np.array([-100, -2, -1, 0, 1, 500], np.float32)
    np.testing.assert_allclose(window.voi_lut(pixels, table, -2, 8), np.array([0, 0, 10, 100, 255, 255]) / 255)


def test_voi_lut_rounds_and_keeps_its_input():
    pixels = np.array([0.4, 0.6, 1.49], np.float32)
    before = pixels.copy()
    np.testing.assert_allclose(window.voi_lut(pixels, [0, 4095], 0, 12), [0, 1, 1])
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(window.voi_lut(pixels, [9, 9], 0, 3), [1, 1, 1])  # 9 > 2**3 - 1


def test_voi_lut_of_unsigned_pixels_below_its_first_value():
    np.testing.assert_allclose(window.voi_lut(np.array([0, 7], np.uint8), [1, 3], 5, 2), [1 / 3, 1])


@pytest.mark.parametrize(("table", "bits"), [([], 8), ([1, 2], 0), ([1, 2], 33)])
def test_a_bad_voi_lut_is_refused(table, bits):
    with pytest.raises(ValueError, match="VOI LUT"):
        window.voi_lut(np.zeros(3), table, 0, bits)


@given(FLOATS, st.integers(-100, 100), st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_voi_lut_is_the_table(pixels, first, table):
    expected = [table[int(min(max(round(float(x)) - first, 0), len(table) - 1))] / 255 for x in pixels.ravel()]
    np.testing.assert_allclose(window.voi_lut(pixels, table, first, 8).ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 0), (0.5, 7), (-1, 10)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, ">i2", np.float32])
def test_rescale(slope, intercept, dtype):
    stored = np.array([[0, 1], [100, 127]], dtype)
    out = np.empty((2, 2), np.float32)
    expected = stored.astype(float) * slope + intercept
    np.testing.assert_array_equal(modality.rescale(stored, slope, intercept), expected)
    assert modality.rescale(stored, slope, intercept, out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("slope", "intercept"), [(0, 1), (math.nan, 0), (1, math.inf)])
def test_a_bad_rescale_is_refused(slope, intercept):
    with pytest.raises(ValueError, match="rescale slope"):
        modality.rescale(np.zeros(2), slope, intercept)


def test_modality_lut():
    stored = np.array([[0, 5], [6, 99]], np.uint16)
    out = np.empty((2, 2), np.float32)
    expected = [[-10, -10], [20, 30]]
    np.testing.assert_array_equal(modality.modality_lut(stored, [-10, 20, 30], 5), expected)
    assert modality.modality_lut(stored, [-10, 20, 30], 5, out) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match="no entries"):
        modality.modality_lut(stored, [], 0)


def test_padding_mask():
    stored = np.array([-2000, -1999, 0, 5], np.int16)
    np.testing.assert_array_equal(modality.padding_mask(stored, -2000), [True, False, False, False])
    np.testing.assert_array_equal(modality.padding_mask(stored, -2000, 0), [True, True, True, False])
    np.testing.assert_array_equal(modality.padding_mask(stored, 0, -2000), [True, True, True, False])


@pytest.mark.parametrize(
    ("value", "allocated", "bits", "meant"),
    [(63536, 16, 16, -2000), (63536, 16, 12, -2000), (2096, 16, 12, -2000), (-2000, 16, 16, -2000), (100, 16, 12, 100)],
)
def test_signed_value(value, allocated, bits, meant):
    assert modality.signed_value(value, allocated, bits) == meant

"""The CT phantom: what it promises about place, size, contrast and noise, and that it is the same every time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from medvis.errors import SettingsError
from medvis.ops.chest.lungs import lung_field
from medvis.ops.measure import measure
from medvis.phantom.anatomy.plane import blank, joined, lobe
from medvis.phantom.volume import NODULES, NoduleSpec, PhantomSpec, chest_phantom, phantom_planes

SMALL = PhantomSpec(frames=14, shape=(256, 256), spacing=(1.4, 1.4), slice_spacing=4.0)


@pytest.fixture(scope="module")
def phantom():
    return chest_phantom(SMALL)


def test_shapes_types_and_range(phantom):
    hu, labels = phantom
    assert hu.shape == labels.shape == (14, 256, 256)
    assert hu.dtype == np.float32 and labels.dtype == np.int32
    assert hu.min() >= -1024 and hu.max() <= 3071
    np.testing.assert_array_equal(hu, np.rint(hu))
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4}


def test_the_same_spec_gives_the_same_pixels_and_another_seed_others(phantom):
    short = replace(SMALL, frames=2, shape=(96, 96))
    one, other, third = (chest_phantom(spec)[0] for spec in (short, short, replace(short, seed=1)))
    np.testing.assert_array_equal(one, other)
    assert np.mean(one != third) > 0.5
    for plane, whole in zip(phantom_planes(short), one, strict=True):
        np.testing.assert_array_equal(plane[0], whole)


def test_the_default_is_the_one_documented():
    spec = PhantomSpec()
    assert (spec.frames, spec.shape, spec.spacing, spec.slice_spacing) == (24, (512, 512), (0.7, 0.7), 2.5)
    assert [nodule.diameter_mm for nodule in spec.nodules] == [5, 8, 12, 20]


def test_nodules_lie_where_the_spec_says_and_have_its_size(phantom):
    hu, labels = phantom
    for found, nodule in zip(measure(labels, hu, SMALL.spacing, SMALL.slice_spacing), NODULES, strict=True):
        distance = np.subtract(found.centroid, SMALL.index_of(nodule)) * (SMALL.slice_spacing, *SMALL.spacing)
        assert np.linalg.norm(distance) < 1.5
        if nodule.diameter_mm >= 8:
            assert found.longest_diameter_mm == pytest.approx(nodule.diameter_mm, abs=1.5)
        if nodule.diameter_mm == 20:
            assert found.volume_mm3 == pytest.approx(nodule.volume_mm3, rel=0.03)


@pytest.mark.parametrize("diameter", [6.0, 11.0, 25.0])
def test_volume_and_diameter_at_fine_steps(diameter):
    nodule = NoduleSpec((0.3, 20.2, 85.1), diameter)
    spec = PhantomSpec(14, (120, 120), (0.8, 0.5), 2.0, (replace(nodule, center_mm=(0.3, 10.2, -5.1)),))
    _, labels = chest_phantom(spec)
    (found,) = measure(labels, labels.astype(np.float32), spec.spacing, spec.slice_spacing)
    assert found.volume_mm3 == pytest.approx(spec.nodules[0].volume_mm3, rel=0.08)
    assert found.longest_diameter_mm == pytest.approx(diameter, abs=0.9)
    assert found.perpendicular_diameter_mm == pytest.approx(diameter, abs=1.1)
    assert nodule.volume_mm3 == pytest.approx(4 / 3 * math.pi * (diameter / 2) ** 3)


@pytest.mark.parametrize(
    ("texture", "contrast", "middle", "rim"),
    [
        ("solid", 900, 35, 35),
        ("solid", 400, -465, -465),
        ("ground-glass", 900, -605, -605),
        ("part-solid", 900, 35, -605),
    ],
)
def test_contrast_and_texture(texture, contrast, middle, rim):
    nodule = NoduleSpec((0.0, 20.0, 85.0), 24.0, texture, contrast)
    spec = PhantomSpec(3, (320, 320), (0.8, 0.8), 2.0, (nodule,), noise_sd=0.0, psf_mm=0.0)
    hu, labels = chest_phantom(spec)
    _, row, col = spec.index_of(nodule)
    away = np.hypot(*(np.mgrid[:320, :320] - np.array([row, col])[:, None, None])) * 0.8
    assert np.median(hu[1][away < 3]) == pytest.approx(middle, abs=20)
    assert np.median(hu[1][(away > 8) & (away < 11)]) == pytest.approx(rim, abs=20)
    np.testing.assert_array_equal(labels[1][away < 11], 1)


def test_a_plane_that_cuts_half_of_a_ball_shows_half_of_it():
    nodule = NoduleSpec((0.0, 50.0, 75.0), 10.0)
    spec = PhantomSpec(2, (320, 320), (0.8, 0.8), 10.0, (nodule,), noise_sd=0.0, psf_mm=0.0)
    hu, _ = chest_phantom(spec)
    _, row, col = (round(at) for at in spec.index_of(nodule))
    # the ball reaches 5 of the 10 mm into each plane, where it is at most 5 mm thick
    assert hu[:, row, col] == pytest.approx([-865 + 450] * 2, abs=60)


def test_noise_and_blur_are_as_set():
    quiet = PhantomSpec(1, (160, 160), (0.7, 0.7), 2.5, (), noise_sd=0.0, psf_mm=0.0)
    loud = replace(quiet, noise_sd=25.0)
    difference = chest_phantom(loud)[0] - chest_phantom(quiet)[0]
    assert difference.std() == pytest.approx(25, rel=0.1)
    assert abs(difference.mean()) < 1
    sharp, soft = (np.abs(np.diff(chest_phantom(replace(quiet, psf_mm=mm))[0])).max() for mm in (0.0, 1.5))
    assert soft < 0.6 * sharp


def test_it_has_the_tissues_of_a_chest(phantom):
    hu, _ = phantom
    share = {
        name: np.mean((hu > low) & (hu < high))
        for name, low, high in (
            ("air", -1100, -950),
            ("lung", -940, -700),
            ("fat", -140, -60),
            ("soft", 0, 110),
            ("bone", 140, 900),
        )
    }
    assert share["air"] > 0.2 and 0.1 < share["lung"] < 0.4
    assert share["fat"] > 0.04 and share["soft"] > 0.1 and 0.02 < share["bone"] < 0.15


def test_its_lungs_are_found_and_its_nodules_are_in_them(phantom):
    hu, labels = phantom
    field = lung_field(hu, None, SMALL.spacing)
    assert field.found
    assert field.mask[labels > 0].all()
    assert field.mask.mean() < 0.45


def test_the_body_grows_with_the_scale():
    spec = PhantomSpec(1, (128, 128), (3.5, 3.5), 5.0, ())
    small, large = (chest_phantom(replace(spec, scale=scale))[0] for scale in (0.8, 1.2))
    ratio = np.sum(large[..., :80, :] > -300) / np.sum(small[..., :80, :] > -300)
    assert ratio == pytest.approx((1.2 / 0.8) ** 2, rel=0.25)


def test_a_nodule_outside_of_the_volume_leaves_no_mark():
    spec = PhantomSpec(2, (64, 64), (0.7, 0.7), 2.5, (NoduleSpec((500, 0, 0), 5), NoduleSpec((0, 500, 500), 5)))
    assert not chest_phantom(spec)[1].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoduleSpec((0, 0, 0), 0.0), "0 mm"),
        (lambda: NoduleSpec((0, 0, 0), 5.0, "cystic"), "solid, part-solid, ground-glass"),
        (lambda: NoduleSpec((0, 0, 0), 5.0, contrast_hu=-5), "-5 HU"),
        (lambda: PhantomSpec(frames=0), "0 frames"),
        (lambda: PhantomSpec(seed=-1), "seed -1"),
        (lambda: PhantomSpec(spacing=(0.0, 1.0)), "above 0"),
        (lambda: PhantomSpec(noise_sd=-1.0), "not below 0"),
    ],
)
def test_impossible_specs_are_said(make, message):
    with pytest.raises(SettingsError, match=message):
        make()


def test_a_circle_is_drawn_with_its_area_and_distances():
    canvas = blank((200, 200), (1.0, 1.0), 0.0, 0.0)
    straight = replace(canvas, x=canvas.x * 0 + canvas.cols, y=canvas.y * 0 + canvas.rows[:, None])
    distance = lobe(straight, (0.0, 0.0), (50.0, 50.0))
    assert distance[100, 100] < -40 and distance[100, 180] == pytest.approx(30.5, abs=0.1)
    straight.paint(1.0, distance)
    assert straight.hu.sum() == pytest.approx(math.pi * 50**2, rel=1e-3)
    np.testing.assert_allclose(lobe(straight, (0.0, 0.0), (50.0, 50.0), power=2.0001), distance, atol=0.05)
    np.testing.assert_array_equal(joined(distance, distance + 9), distance)
    assert (joined(distance, distance, 4) < distance).all()

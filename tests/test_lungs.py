"""The lung field: on drawn chests with known truth, against scikit-image, and on real slices where they are at hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvis.ops.chest.lungs import REACH_MM, body_of, disc, enclose, filled, hull, lung_field, mirrored, parenchyma

SPACING = (0.75, 0.75)
DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "chest-ct"
LEFT, RIGHT = ((195, 130), (70, 85)), ((195, 282), (70, 85))


def ellipse(shape, center, axes):
    row, col = np.ogrid[: shape[0], : shape[1]]
    return ((row - center[0]) / axes[1]) ** 2 + ((col - center[1]) / axes[0]) ** 2 <= 1


def chest(shape=(400, 412)):
    """A body of 40 HU in air, two lungs of −850 HU; (hu, lungs, body)."""
    body = ellipse(shape, (200, 206), (190, 140))
    lungs = ellipse(shape, *LEFT) | ellipse(shape, *RIGHT)
    hu = np.where(body, np.where(lungs, -850.0, 40.0), -1000.0).astype(np.float32)
    return hu, lungs, body


def inner(mask):
    """The mask without its rim, which a morphological opening rounds off."""
    return cv2.erode(mask.astype(np.uint8), disc(4)).astype(bool)


def test_the_lungs_are_inside_and_the_air_around_is_not():
    hu, lungs, body = chest()
    field = lung_field(hu[None], None, SPACING)
    assert field.found and field.reason is None
    assert field.mask.shape == (1, *hu.shape) and field.mask.dtype == np.bool_
    assert field.mask[0][lungs].all()
    assert not field.mask[0][~body].any()
    assert field.mask.mean() < 0.5


@pytest.mark.parametrize("diameter_mm", [10, 20, 30])
@pytest.mark.parametrize("angle", [0, 60, 120, 180, 240, 300])
def test_a_nodule_on_the_pleura_is_inside(diameter_mm, angle):
    hu, lungs, _ = chest()
    radius = diameter_mm / 2 / SPACING[0]
    (row, col), (width, height) = RIGHT
    along = np.deg2rad(angle)
    center = row + (height - radius) * np.sin(along), col + (width - radius) * np.cos(along)
    nodule = ellipse(hu.shape, center, (radius, radius)) & lungs
    hu[nodule] = 30
    assert lung_field(hu[None], None, SPACING).mask[0][nodule].all()


def test_a_solid_mass_within_the_lung_is_filled():
    hu, _, _ = chest()
    mass = ellipse(hu.shape, RIGHT[0], (40, 40))
    hu[mass] = 30
    assert lung_field(hu[None], None, SPACING).mask[0][mass].all()


def test_a_mass_in_the_corner_is_found_by_the_other_side():
    hu, lungs, _ = chest()
    corner = lungs & (np.add.outer(np.arange(400), -np.arange(412)) > 90)
    hu[corner] = 30
    assert corner.sum() * SPACING[0] ** 2 > 700
    assert lung_field(hu[None], None, SPACING).mask[0][corner].mean() >= 0.95


def test_soft_tissue_far_from_lung_is_left_out():
    hu, lungs, _ = chest()
    lungs &= np.abs(np.arange(412) - 206) > 125
    hu[(hu == -850) & ~lungs] = 40
    mask = lung_field(hu[None], None, SPACING).mask[0]
    assert mask[lungs].all()
    assert 125 * SPACING[0] > REACH_MM + 10
    assert not mask[:, 200:212].any()


def test_table_and_blanket_do_not_enclose_lung():
    hu, _, body = chest()
    expected = lung_field(hu[None], None, SPACING).mask
    hu[385:388, 40:372] = 200
    hu[342:386, 40:43] = 200
    hu[342:386, 369:372] = 200
    blanket = ellipse(hu.shape, (200, 206), (200, 150)) & ~ellipse(hu.shape, (200, 206), (197, 147))
    hu[blanket & ~body] = -100
    np.testing.assert_array_equal(lung_field(hu[None], None, SPACING).mask, expected)


def test_gas_is_no_lung():
    hu, lungs, body = chest()
    hu[lungs] = 40
    windpipe = ellipse(hu.shape, (150, 206), (12, 12))
    stomach = ellipse(hu.shape, (250, 130), (50, 40))
    hu[windpipe | stomach] = -1000
    field = lung_field(hu[None], None, SPACING)
    assert (field.found, field.searched) == (False, "body")
    assert field.mask[0][inner(body)].all(), "what may be a lung after all is searched"
    assert "no air inside the body is a lung" in (field.reason or "")
    assert body_of(hu, None, SPACING[0]).astype(bool)[windpipe | stomach].all()


def test_without_a_lung_nothing_outside_of_the_body_is_searched():
    hu, lungs, body = chest()
    hu[lungs] = 40
    fold, padding = np.s_[10:30, 20:60], np.s_[:, 200:]
    hu[fold] = -200
    assert body_of(hu, None, SPACING[0])[fold].any(), "too thick for a sheet"
    valid = np.ones((1, *hu.shape), bool)
    valid[0][padding] = False
    field = lung_field(hu[None], valid, SPACING)
    assert (field.found, field.searched) == (False, "body")
    assert field.mask[0][inner(body & valid[0])].all()
    assert not field.mask[0][~body].any() and not field.mask[0][padding].any()


def head(air, holder, frames=6):
    """A head of 15 × 19 cm in air of that HU with frontal sinus and mastoids, in a holder: hu [frames, rows, cols].

    The last frames are near the vertex, where the head is small and the holder is not.
    """
    shape, out = (360, 360), []
    row, col = np.ogrid[: shape[0], : shape[1]]
    for frame in range(frames):
        size = 1 - 0.13 * frame
        hu = np.full(shape, air, np.float32)
        hu[ellipse(shape, (180, 180), (106 * size, 133 * size))] = 40
        hu[ellipse(shape, (180, 180), (100 * size, 127 * size))] = 900
        hu[ellipse(shape, (180, 180), (92 * size, 117 * size))] = 35
        if frame < 2:
            hu[ellipse(shape, (85, 180), (18, 12))] = -950
            hu[ellipse(shape, (200, 115), (12, 18)) | ellipse(shape, (200, 245), (12, 18))] = -700
        away = np.hypot(row - 180, col - 180)
        hu[(away > 152) & (away < 164) & ((row > 100) | (holder == "closed"))] = -150
        out.append(hu + np.random.default_rng(frame).normal(0, 8, shape).astype(np.float32))
    return np.stack(out).astype(np.float32)


@pytest.mark.parametrize("holder", ["open", "closed"])
@pytest.mark.parametrize("air", [-1000, -955])
def test_the_air_around_a_head_is_no_lung_in_whatever_holder(air, holder):
    hu = head(air, holder)
    field = lung_field(hu, None, SPACING)
    assert (field.found, field.searched) == (False, "body")
    assert "no air inside the body is a lung" in (field.reason or "")
    skull = hu > 500
    assert field.mask[skull].mean() > 0.99, "what was taken for the body is searched, and a verdict left to a person"


def test_lungs_are_lungs_where_air_reads_too_high():
    hu, lungs, _ = chest()
    assert lung_field(np.where(hu < -900, hu + 45, hu)[None], None, SPACING).mask[0][lungs].all()


def test_a_crop_is_searched_as_a_whole_since_air_at_its_edge_is_lung():
    hu, lungs, _ = chest()
    row, col = (int(place) for place in np.argwhere(lungs).mean(0))
    crop = hu[row - 40 : row + 40, col - 70 : col + 10]
    field = lung_field(crop[None], None, SPACING)
    assert field.found or (field.mask.all() and field.searched == "image")


def test_the_neck_of_a_series_is_left_out_and_the_apex_kept():
    hu, lungs, _ = chest()
    apex = np.where(lungs, np.float32(40), hu)
    tip = ellipse(hu.shape, RIGHT[0], (14, 14))
    apex[tip] = -850
    neck = np.where(lungs, np.float32(40), hu)
    neck[ellipse(hu.shape, (60, 206), (14, 14))] = -900
    field = lung_field(np.stack([neck, apex, hu, hu, apex, neck]), None, SPACING)
    assert field.found
    assert not field.mask[[0, 5]].any()
    assert field.mask[1][tip].all() and field.mask[4][tip].all()


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0.0, "nothing in the image is below -400 HU"), (-1000.0, "nothing in the image is a body"), (np.nan, "below")],
)
def test_nothing_found_searches_every_valid_pixel(value, reason):
    valid = np.ones((2, 30, 40), dtype=np.bool_)
    valid[:, :3] = False
    field = lung_field(np.full((2, 30, 40), value, dtype=np.float32), valid, None)
    assert (field.found, field.searched) == (False, "image")
    assert reason in (field.reason or "")
    np.testing.assert_array_equal(field.mask, valid)
    assert not np.shares_memory(field.mask, valid)


def test_a_picture_in_grey_values_is_no_chest():
    grey = np.random.default_rng(0).integers(0, 256, (1, 64, 64)).astype(np.float32)
    field = lung_field(grey, None, None)
    assert not field.found and field.mask.all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 50), (3, 2, 2)])
def test_tiny_images(shape):
    assert lung_field(np.zeros(shape, np.float32), None, (1.0, 1.0)).mask.all()
    assert lung_field(np.full(shape, -900, np.float32), None, (1.0, 1.0)).mask.all()


def test_padding_counts_as_outside_whatever_it_holds():
    hu, _, body = chest()
    circle = ellipse(hu.shape, (200, 206), (205, 199))
    expected = lung_field(hu[None], None, SPACING).mask
    for value in (-2048.0, 3000.0, -850.0):
        padded = np.where(circle, hu, np.float32(value))
        np.testing.assert_array_equal(lung_field(padded[None], circle[None], SPACING).mask, expected)
    assert circle[body].all()


def test_the_input_stays_and_the_answer_is_repeatable():
    hu, _, body = chest()
    volume, valid = hu[None].copy(), body[None].copy()
    volume.setflags(write=False)
    valid.setflags(write=False)
    first = lung_field(volume, valid, SPACING).mask
    np.testing.assert_array_equal(first, lung_field(volume, valid, SPACING).mask)


def test_shapes_that_do_not_fit_are_said():
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        lung_field(np.zeros((4, 5), np.float32), None, None)
    with pytest.raises(ValueError, match=r"padding \[1, 4, 4\]"):
        lung_field(np.zeros((1, 4, 5), np.float32), np.ones((1, 4, 4), np.bool_), None)


blobs = arrays(np.bool_, (23, 31), elements=st.booleans())


@settings(max_examples=30, deadline=None)
@given(blobs, st.floats(0.5, 6))
def test_morphology_is_that_of_scikit_image(mask, radius):
    from skimage.morphology import convex_hull_image, dilation, disk, opening

    np.testing.assert_array_equal(disc(float(int(radius))), disk(int(radius)))
    bytes_ = mask.astype(np.uint8)
    footprint = disc(radius)
    np.testing.assert_array_equal(cv2.dilate(bytes_, footprint).astype(bool), dilation(mask, footprint))
    opened = cv2.morphologyEx(bytes_, cv2.MORPH_OPEN, footprint)
    np.testing.assert_array_equal(opened.astype(bool), opening(mask, footprint, mode="ignore"))
    bytes_[[2, 2, 20], [3, 28, 14]] = 1  # never a line: scikit-image has no hull for that
    ours, theirs = hull(bytes_).astype(bool), convex_hull_image(bytes_, offset_coordinates=False)
    assert ours[bytes_ > 0].all()
    assert not (theirs & ~dilation(ours, disk(1))).any() and not (ours & ~dilation(theirs, disk(1))).any()


@settings(max_examples=30, deadline=None)
@given(blobs)
def test_holes_are_filled_as_by_scipy(mask):
    from scipy.ndimage import binary_fill_holes

    np.testing.assert_array_equal(filled(mask.astype(np.uint8)).astype(bool), binary_fill_holes(mask))


@given(arrays(np.uint8, (3, 9), elements=st.integers(0, 1)), st.integers(0, 16))
def test_mirroring_twice_gives_back_what_stayed_inside(mask, twice):
    inside = np.isin(np.arange(9), twice - np.arange(9))
    np.testing.assert_array_equal(mirrored(mirrored(mask, twice), twice), mask * inside.astype(np.uint8))


def reference(plane, step):
    """One frame's region by scikit-image and scipy alone."""
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import label, regionprops
    from skimage.morphology import convex_hull_image, dilation, opening, remove_small_holes

    space = np.pad(~opening(plane >= -400, disc(2.5 / step), mode="ignore"), 1, constant_values=True)
    labels = label(space, connectivity=1)
    body = (labels != labels[0, 0])[1:-1, 1:-1]
    air = body & (plane < -400)
    depth = distance_transform_edt(air)
    lungs = np.zeros_like(air)
    for piece in regionprops(label(air, connectivity=1)):
        at = tuple(piece.coords.T)
        deep = depth[at] >= min(3 / step, 0.6 * depth[at].max())
        area = piece.area * step * step
        if area >= 60 and np.median(plane[at][deep]) >= (-940 if area < 800 else -970):
            lungs[at] = True
    near = distance_transform_edt(~remove_small_holes(lungs, max_size=lungs.size)) <= REACH_MM / step
    columns, trunk = np.flatnonzero(lungs.any(axis=0)), np.flatnonzero(body.any(axis=0))
    assert abs(columns[0] + columns[-1] - trunk[0] - trunk[-1]) <= 0.2 * trunk.size
    source = columns[0] + columns[-1] - np.arange(plane.shape[1])
    mirror = np.where((source >= 0) & (source < plane.shape[1]), lungs[:, source % plane.shape[1]], False)
    region = convex_hull_image(lungs | mirror, offset_coordinates=False) & near
    return dilation(region, disc(4 / step)) & body, lungs, body


def check_against_reference(plane, step):
    region, lungs, body = reference(plane, step)
    np.testing.assert_array_equal(body_of(plane, None, step).astype(bool), body)
    ours, _ = parenchyma(plane, body.view(np.uint8), step)
    np.testing.assert_array_equal(ours.astype(bool), lungs)
    mine = enclose(ours, body.view(np.uint8), step)
    assert (mine & region).sum() / (mine | region).sum() >= 0.985


def test_the_whole_region_is_that_of_scikit_image():
    hu, _, _ = chest()
    noisy = hu + cv2.GaussianBlur(np.random.default_rng(1).normal(0, 400, hu.shape), (0, 0), 2).astype(np.float32)
    check_against_reference(noisy, SPACING[0])


def real(name):
    pydicom = pytest.importorskip("pydicom")
    files = sorted((DATA / name).glob("*.dcm"))
    if not files:
        pytest.skip("the chest-ct slices are not beside this checkout")
    for file in files:
        dataset = pydicom.dcmread(file)
        hu = dataset.pixel_array * np.float32(dataset.RescaleSlope) + np.float32(dataset.RescaleIntercept)
        yield file, hu.astype(np.float32), tuple(float(value) for value in dataset.PixelSpacing)


@pytest.mark.parametrize("name", ["LIDC-IDRI-0001", "LIDC-IDRI-0002"])
def test_readers_nodules_are_inside_on_real_slices(name):
    for file, hu, spacing in real(name):
        field = lung_field(hu[None], (hu > -1500)[None], spacing)
        votes = cv2.imread(str(file.parent / "masks" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert field.found
        assert 0.15 < field.mask.mean() < 0.35
        if (votes >= 2).any():
            assert field.mask[0][votes >= 2].mean() >= 0.95


def test_scikit_image_agrees_on_a_real_slice():
    _, hu, spacing = next(real("LIDC-IDRI-0001"))
    check_against_reference(hu, spacing[0])

"""Whole pictures and tiles as training crops: what each is, and that the same numbers give the same crop."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_pictures import tile_recipe, whole_recipe, write_tiles, write_whole
from tiny_readers import reader_of

from medvis.errors import InputError
from medvis.learn.data.index import read_index
from medvis.learn.data.pictures import Pictures, fitted, load_pictures
from medvis.learn.data.views import InputRange
from medvis.learn.training.recipe import Recipe, TrainLabel
from medvis.learn.training.sampling import balanced, class_targets, planes, smoothed, targets_in
from medvis.learn.training.tiles import TileSampler
from medvis.learn.training.whole import PictureSampler, fitted_mask
from medvis.ops.fit import shape_in_square

INPUT_RANGE = InputRange(0, 255)
FULL = {
    "rotate": 1.0, "angle": 20, "mirror": 0.5, "zoom": [0.8, 1.2], "shift": 0.1, "elastic": 0.5, "window": [12, 0.1],
    "gamma": 0.2, "noise": 8, "speckle": 0.1, "colour": 0.1, "blur": 0.3, "motion": 0.3, "cutout": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return load_pictures(read_index(write_whole(tmp_path_factory.mktemp("whole")), "train"), reader_of("chest-tb"), 1)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    rows = read_index(write_tiles(tmp_path_factory.mktemp("tiles")), "train")
    return load_pictures([row for row in rows if row.mask], reader_of("ball-screw"), 3)


def pictures(data, **changes):
    return PictureSampler(data, Recipe(**whole_recipe(**changes)), INPUT_RANGE)


def tiles(data, **changes):
    return TileSampler(data, Recipe(**tile_recipe(**changes)), INPUT_RANGE)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("view", "mask", "classes", "known")
    )


@pytest.mark.parametrize("make", [pictures, tiles])
def test_a_crop_depends_on_seed_epoch_and_index_alone(make, request):
    data = request.getfixturevalue("whole" if make is pictures else "large")
    extra = {"augment": {**FULL, "absent": 0.3, "paste": 0.5}}
    one, other = make(data, **extra), make(data, **extra)
    for index in reversed(range(len(other))):
        other.crop(2, index, 32)  # what was asked before must not matter
    for index in range(len(one)):
        assert same(one.crop(1, index, 64), other.crop(1, index, 64))
    assert not same(one.crop(1, 0, 64), one.crop(2, 0, 64))
    assert not same(one.crop(1, 0, 64), make(data, seed=4, **extra).crop(1, 0, 64))


@pytest.mark.parametrize("size", [32, 96])
@pytest.mark.parametrize(("make", "channels"), [(pictures, 1), (tiles, 3)])
def test_a_crop_has_the_promised_shapes_and_ranges(make, channels, size, request):
    data = request.getfixturevalue("whole" if make is pictures else "large")
    sampler = make(data, augment={**FULL, "absent": 0.3, "paste": 1.0})
    for index in range(len(sampler)):
        crop = sampler.crop(0, index, size)
        assert crop.view.shape == (channels, size, size) and crop.mask.shape == (1, size, size)
        assert all(part.dtype == np.float32 for part in (crop.view, crop.mask, crop.classes, crop.known))
        for part in (crop.view, crop.mask, crop.classes):
            assert part.min() >= 0 and part.max() <= 1 + 1e-5


def test_with_everything_off_a_whole_picture_is_the_view_of_the_inference(whole):
    sampler = pictures(whole)
    seen = [sampler.crop(0, index, 64) for index in range(len(sampler))]
    views = [fitted(view, 64) for view in whole.views]
    for crop in seen:
        distance = [np.abs(crop.view - view).max() for view in views]
        row = int(np.argmin(distance))
        assert distance[row] == 0
        assert crop.classes.tolist() == [float(whole.rows[row].label == name) for name in ("blob", "clean")]
        assert crop.known.tolist() == [1, 1]
        np.testing.assert_allclose(crop.mask[0] * 255, fitted_mask(whole.masks[row], (48, 80), 64), atol=1e-3)
    assert len({crop.view.tobytes() for crop in seen}) == len(whole), "each picture comes once an epoch"


def test_without_masks_there_is_no_mask_channel(whole):
    assert pictures(whole, masks=False).crop(0, 0, 64).mask.shape == (0, 64, 64)


def test_a_picture_keeps_its_shape_and_is_mirrored_to_a_square():
    image = np.random.default_rng(0).random((48, 96, 3), np.float32)
    view = fitted(image, 96)
    assert view.shape == (3, 96, 96) and shape_in_square((48, 96), 96) == (48, 96)
    np.testing.assert_array_equal(view[:, :48], image.transpose(2, 0, 1))
    np.testing.assert_allclose(view[:, 48:], view[:, 47::-1])
    assert fitted(image, 32).shape == (3, 32, 32) and shape_in_square((48, 96), 32) == (16, 32)
    assert fitted_mask(None, (48, 96), 32).max() == 0


def test_a_label_of_its_own_is_there_where_the_mask_says_so(whole):
    sampler = pictures(whole, labels=[{"name": "disc"}])
    for index in range(len(sampler)):
        crop = sampler.crop(0, index, 64)
        assert crop.classes[0] == float(crop.mask.sum() > 4)


def test_tiles_are_taken_at_native_resolution_around_a_target(large):
    sampler, sizes = tiles(large), []
    for index in range(len(sampler)):
        crop = sampler.crop(0, index, 64)
        assert crop.mask.sum() >= 4 and crop.classes[0] == 1
        assert 0.7 < crop.view[:, crop.mask[0] < 0.01].mean(1)[0] / (150 / 255) < 1.1, "red comes first"
        sizes.append(float(crop.mask.sum()))
    assert min(sizes) < 40 < max(sizes), "small pits as well as large ones"


def test_away_from_targets_there_may_be_none_and_that_is_said(large):
    crops = [tiles(large, augment={"absent": 1.0}).crop(0, index, 32) for index in range(24)]
    empty = [crop for crop in crops if crop.mask.sum() < 4]
    assert len(empty) > 8 and all(crop.classes[0] == 0 and crop.known[0] == 1 for crop in empty)


def test_small_targets_are_pasted_in(large):
    plain = [tiles(large, augment={"absent": 1.0}).crop(0, index, 64) for index in range(24)]
    pasted = [tiles(large, augment={"absent": 1.0, "paste": 1.0}).crop(0, index, 64) for index in range(24)]
    more = [after.mask.sum() - before.mask.sum() for before, after in zip(plain, pasted, strict=True)]
    assert sum(amount > 4 for amount in more) >= 16
    assert all(4 < 2 * np.sqrt(amount / np.pi) < 17 for amount in more if amount > 4)
    changed = [np.abs(a.view - b.view).max() for a, b, amount in zip(plain, pasted, more, strict=True) if amount > 4]
    assert min(changed) > 0.05


def test_near_crops_show_targets_larger(large):
    far = [tiles(large).crop(0, index, 64).mask.sum() for index in range(24)]
    near = [tiles(large, augment={"near": 1.0, "near_zoom": [2.0, 2.001]}).crop(0, index, 64) for index in range(24)]
    assert np.mean([crop.mask.sum() for crop in near]) > 1.8 * np.mean(far)


def test_pictures_without_a_single_target_are_no_data_for_tiles(large):
    empty = Pictures(large.rows, large.views, [None] * len(large))
    with pytest.raises(InputError, match=r"no picture of the training split has a target"):
        tiles(empty)


def test_a_broken_picture_or_a_mask_of_another_size_is_one_line(tmp_path):
    folder = write_whole(tmp_path, 1)
    rows = read_index(folder, "train")
    rows[1].mask.write_bytes(read_index(folder, "val")[0].mask.read_bytes())
    import cv2

    cv2.imwrite(str(rows[0].mask), np.zeros((8, 9), np.uint8))
    with pytest.raises(InputError, match=r"\.png is 8 × 9 px; wanted: 48 × 80 px as .*\.png"):
        load_pictures(rows, reader_of("chest-tb"), 1)
    with pytest.raises(InputError, match=r"has 1 channel\(s\) in the model's view; wanted: 3, as train.channels says"):
        load_pictures(rows[1:], reader_of("chest-tb"), 3)
    rows[0].image.write_text("no picture")
    with pytest.raises(InputError, match=r"\.png is text; wanted: "):
        load_pictures(rows, reader_of("chest-tb"), 1)


NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=40)


@settings(deadline=None, max_examples=60)
@given(NAMES, st.floats(0, 1), st.integers(1, 90), st.integers(0, 99))
def test_classes_are_balanced_and_their_rows_taken_evenly(names, balance, count, seed):
    rows = balanced(names, balance, count, np.random.default_rng(seed))
    assert len(rows) == count
    taken = np.bincount(rows, minlength=len(names))
    kinds = sorted(set(names))
    for kind in kinds:
        of_kind = taken[[name == kind for name in names]]
        share = (1 - balance) * names.count(kind) / len(names) + balance / len(kinds)
        assert abs(of_kind.sum() - share * count) <= 1.01
        assert of_kind.max() - of_kind.min() <= 1


def labels(*kinds):
    return [TrainLabel(name=str(n), kind=kind) for n, kind in enumerate(kinds)]


def test_classes_are_known_where_the_label_is_one_of_theirs():
    rows = [SimpleNamespace(label=label, number=lambda _: None) for label in ("0", "1", "other", "")]
    got = [class_targets(row, labels("class", "class")) for row in rows]
    assert [target.tolist() for target, _ in got] == [[1, 0], [0, 1], [0, 0], [0, 0]]
    assert [known.tolist() for _, known in got] == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_smoothing_leaves_shares_that_sum_to_one():
    targets = np.array([1, 0, 0, 1], np.float32)
    soft = smoothed(targets, labels("class", "class", "class", "binary"), 0.3)
    np.testing.assert_allclose(soft, [0.8, 0.1, 0.1, 0.85], atol=1e-6)


def test_a_crop_with_next_to_nothing_of_a_target_is_empty():
    made = [TrainLabel(name="there"), TrainLabel(name="score", column="c")]
    own = np.array([1, 0.7], np.float32), np.array([1, 1], np.float32)
    full, none = np.ones((8, 8), np.float32), np.zeros((8, 8), np.float32)
    assert [part.tolist() for part in targets_in(full, own, made)] == [[1, pytest.approx(0.7)], [1, 1]]
    assert [part.tolist() for part in targets_in(none, own, made)] == [[0, 0], [1, 0]]
    assert [part.tolist() for part in targets_in(full, None, made)] == [[1, 0], [1, 0]]


def test_planes_put_the_channels_first():
    image = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    assert planes(image[..., 0]).shape == (1, 2, 4)
    np.testing.assert_array_equal(planes(image)[1], image[..., 1])


def test_every_bundled_recipe_of_pictures_names_labels_of_its_data(shared_data):
    from medvis.settings import load_task

    for task in ("steel", "chest-tb", "breast-ultrasound"):
        recipe = Recipe(**load_task(task).train)
        rows = read_index(shared_data / task, "train")
        assert {label.name for label in recipe.labels} == {row.label for row in rows}

"""Training crops: the same numbers give the same crop, and each of the three kinds is what it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_data import write_data
from tiny_readers import reader_of

from medvis.errors import SettingsError
from medvis.learn.data.ct_pictures import CtPictures, joined, load_ct_pictures
from medvis.learn.data.index import Row, read_index
from medvis.learn.data.views import InputRange
from medvis.learn.training.lesions import LesionSampler
from medvis.learn.training.recipe import Recipe, TrainLabel
from medvis.learn.training.sampling import class_targets
from medvis.settings import load_task, validated

REACH = InputRange(-1350, 1050)
OFF = {
    "rotate": 0.0, "mirror": 0.0, "zoom": (1.0, 1.0), "elastic": 0.0, "window": (0.0, 0.0), "noise": 0.0, "blur": 0.0,
    "motion": 0.0, "absent": 0.0, "paste": 0.0, "smoothing": 0.0,
}  # fmt: skip
LABELS = [
    {"name": "nodule"},
    {"name": "malignancy", "column": "median_malignancy", "low": 1, "high": 5},
    {"name": "calcification", "column": "median_calcification", "low": 6, "high": 3},
]


def recipe(augment=None, **changes) -> Recipe:
    body = {"labels": LABELS, "phases": [{"size": 32, "epochs": 1}], "augment": {**OFF, **(augment or {})}, **changes}
    return Recipe(**body)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    rows = read_index(write_data(tmp_path_factory.mktemp("data")), "train")
    return load_ct_pictures(rows, 2).shown(reader_of("lung-nodule"))


def lesions(scans, made, extra=None, reach=REACH):
    return LesionSampler(scans, made, reach, extra)


def hounsfield(crop, reach=REACH):
    return crop.view[0] * (reach.high - reach.low) + reach.low


def crops(sampler, size=64, epoch=0, count=None):
    return [sampler.crop(epoch, index, size) for index in range(count or len(sampler))]


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("view", "mask", "classes", "known")
    )


def test_a_crop_depends_on_seed_epoch_and_index_alone(scans):
    full = Recipe(labels=LABELS, phases=[{"size": 32, "epochs": 1}])
    one, other = lesions(scans, full), lesions(scans, full)
    crops(other, epoch=3)  # what was asked before must not matter
    for index in range(len(scans)):
        assert same(one.crop(1, index, 64), other.crop(1, index, 64))
    assert not same(one.crop(1, 0, 64), one.crop(2, 0, 64))
    assert not same(one.crop(1, 0, 64), one.crop(1, 1, 64))
    reseeded = lesions(scans, full.model_copy(update={"seed": 8}))
    assert not same(one.crop(1, 0, 64), reseeded.crop(1, 0, 64))


@pytest.mark.parametrize("size", [32, 64, 96])
def test_a_crop_has_the_promised_shapes_and_ranges(scans, size):
    sampler = lesions(scans, Recipe(labels=LABELS, phases=[{"size": 32, "epochs": 1}]))
    assert len(sampler) == len(scans)
    for crop in crops(sampler, size):
        assert crop.view.shape == crop.mask.shape == (1, size, size)
        assert crop.view.min() >= 0 and crop.view.max() <= 1
        assert crop.classes.shape == crop.known.shape == (3,)
        assert all(part.dtype == np.float32 for part in (crop.view, crop.mask, crop.classes, crop.known))
        assert crop.mask.min() >= 0 and crop.mask.max() <= 1 + 1e-5
        assert crop.classes.min() >= 0 and crop.classes.max() <= 1
        assert set(np.unique(crop.known)) <= {0, 1}


def test_without_augmentation_a_crop_is_a_piece_of_its_picture_off_centre(scans):
    places = []
    for index, crop in enumerate(crops(lesions(scans, recipe()), 64)):
        rows, cols = np.nonzero(crop.mask[0] > 0.5)
        assert crop.mask.sum() > 20, "the lesion is in it"
        places.append((rows.mean(), cols.mean()))
        pieces = np.lib.stride_tricks.sliding_window_view(scans.values[index], (64, 64))
        assert (pieces == crop.view[0]).all((2, 3)).any(), "cut out, bit for bit"
        assert hounsfield(crop)[crop.mask[0] > 0.5].mean() > -250
    assert np.std(places, axis=0).min() > 5, "nothing is to be learned from the place"
    assert np.ptp(places, axis=0).min() > 15


def test_absent_crops_look_elsewhere(scans):
    for crop in crops(lesions(scans, recipe({"absent": 1.0})), 32):
        assert crop.mask.sum() < 4
        assert crop.known.tolist() == [1, 0, 0] and crop.classes[0] == 0


def test_a_pasted_lesion_brings_its_own_targets(scans):
    pasted = [crop for crop in crops(lesions(scans, recipe({"absent": 1.0, "paste": 1.0})), 64) if crop.mask.sum() >= 4]
    assert len(pasted) >= 3
    for crop in pasted:
        assert crop.known.tolist() == [1, 1, 0] and crop.classes[0] == 1
        diameter = 2 * np.sqrt(crop.mask.sum() / np.pi)
        assert 3 < diameter < 17
        assert hounsfield(crop)[crop.mask[0] > 0.9].mean() > -400


def hard():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.6, 1.0, (2, 80, 80)).astype(np.float32)
    rows = [Row(str(n), "train", "g", "", None, None, {}) for n in range(2)]
    region = np.zeros(values.shape, bool)
    region[:, 40:44, 40:44] = True
    return joined([CtPictures(rows, values, np.zeros(values.shape, np.uint8), region)])


def test_hard_negatives_come_from_the_region_of_the_extra_pictures(scans):
    sampler = lesions(scans, recipe(hard_negative_share=0.5), hard())
    taken = [crop for crop in crops(sampler, 32) + crops(sampler, 32, epoch=1) if crop.view.min() >= 0.6]
    assert 3 < len(taken) < 21, "about half of them"
    assert all(crop.known.tolist() == [1, 0, 0] and crop.classes[0] == 0 for crop in taken)
    plain = crops(lesions(scans, recipe()), 32)
    assert not any(crop.view.min() >= 0.6 for crop in plain)


def test_labels_are_smoothed_towards_the_middle(scans):
    plain, smooth = (crops(lesions(scans, recipe({"smoothing": amount})), 64) for amount in (0.0, 0.1))
    for one, other in zip(plain, smooth, strict=True):
        np.testing.assert_allclose(other.classes, one.classes * 0.9 + 0.05, atol=1e-6)


def row(**fields):
    return Row("a", "train", "g", "", None, None, fields)


@pytest.mark.parametrize(
    ("fields", "targets", "known"),
    [
        ({"median_malignancy": "1"}, [1, 0, 0], [1, 1, 0]),
        ({"median_malignancy": "3", "median_calcification": "6"}, [1, 0.5, 0], [1, 1, 1]),
        ({"median_malignancy": "", "median_calcification": "3"}, [1, 0, 1], [1, 0, 1]),
        ({"median_calcification": "1"}, [1, 0, 1], [1, 0, 1]),
        ({"median_malignancy": "9"}, [1, 1, 0], [1, 1, 0]),
    ],
)
def test_a_rating_becomes_a_target_on_its_own_scale(fields, targets, known):
    """Calcification runs from 6 (absent) to 3 (present): a scale may run downwards, and is clipped at its ends."""
    got, sure = class_targets(row(**fields), recipe().labels)
    assert got.tolist() == pytest.approx(targets) and sure.tolist() == known


@settings(deadline=None)
@given(st.floats(-10, 10), st.floats(-5, 5), st.floats(-5, 5))
def test_targets_lie_between_nought_and_one(value, low, high):
    if abs(high - low) < 0.1:
        high = low + 1
    label = TrainLabel(name="x", column="c", low=low, high=high)
    targets, known = class_targets(row(c=str(value)), [label])
    assert 0 <= targets[0] <= 1 and known[0] == 1


def test_the_bundled_recipes_are_valid():
    config = load_task("lung-nodule")
    made = validated(Recipe, config.train, "train")
    assert [label.name for label in made.labels][:2] == ["nodule", "malignancy"]
    rating = next(label for label in made.labels if label.kind == "rating").card_label()
    assert (rating.kind, rating.low, rating.high) == ("rating", 1, 5)
    binary = made.labels[2].card_label()
    assert (binary.low, binary.high) == (0, 1), "a card's binary label is a probability, whatever scale taught it"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"labels": []}, "labels"),
        ({"phases": []}, "phases"),
        ({"phases": [{"size": 50, "epochs": 1}]}, "phases.0.size"),
        ({"batch": 1}, "batch"),
        ({"cuts": [[0, 1], [1, 2]]}, "cuts"),
        ({"augment": {"rotat": 1}}, "augment.rotat"),
        ({"network": {"streams": "triple"}}, "network.streams"),
        ({"network": {"widths": [8, 16, 16, 16, 16]}}, "network.widths.0"),
        ({"hard_negative_share": 1.0}, "hard_negative_share"),
        ({"augment": {"cutout": 2}}, "augment.cutout"),
        ({"network": {"overview": 4}}, "network.overview"),
        ({"balance": -1}, "balance"),
        ({"ema": 1.0}, "ema"),
    ],
)
def test_a_wrong_recipe_names_its_key(changes, key):
    body = {"labels": LABELS, "phases": [{"size": 32, "epochs": 1}], **changes}
    with pytest.raises(SettingsError, match=f"^train: {key}: "):
        validated(Recipe, body, "train")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": [{"name": "a", "kind": "class"}], "sampler": "pictures"}, "are two or more"),
        (
            {"labels": [{"name": n, "kind": "class", "normal": True} for n in "ab"], "sampler": "pictures"},
            "at most one of them normal",
        ),
        ({"labels": [{"name": n, "kind": "class"} for n in "ab"]}, "are for sampler: pictures"),
        ({"masks": False}, "are for sampler: pictures"),
        ({"channels": 3}, "lesions are in grey ct"),
    ],
)
def test_a_recipe_that_contradicts_itself_says_why(changes, why):
    with pytest.raises(SettingsError, match=why):
        validated(Recipe, {"labels": LABELS, "phases": [{"size": 32, "epochs": 1}], **changes}, "train")

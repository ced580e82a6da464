"""What is fitted on val for pictures: temperature, the threshold of a positive, outlines – with closed forms."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from tiny_bundle import pipeline_of, tiny_card
from tiny_whole import BREAST, CHEST, CLASSES_ONLY, OUTLINED, Tones, write_whole

from medvis.core.case import Prediction
from medvis.errors import InputError, ModelError
from medvis.learn.bundling.calibrate_whole import (
    SAME,
    calibrate_pictures,
    fit_positive,
    fit_temperature,
    mildest,
    nll,
    smoothed_nll,
    within,
)
from medvis.learn.bundling.outlines import (
    MarkedPicture,
    PictureComponent,
    PictureTrial,
    PictureTrials,
    components_of,
    fit_finding,
    probabilities_of,
)
from medvis.model.card import Card

HALF = 0.5


def quiet(*_):
    """No progress."""


def logits_of(seed: int, temperature: float, count: int = 4000):
    """Logits whose calibrated temperature is `temperature`: the truth is drawn from their softmax at it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 3))
    probability = softmax(logits / temperature, axis=1)
    return logits, np.array([rng.choice(3, p=row) for row in probability])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_the_one_that_the_truth_was_drawn_with(temperature):
    assert fit_temperature(*logits_of(0, temperature)) == pytest.approx(temperature, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), other=st.floats(0.06, 19.0))
def test_no_other_temperature_fits_better(seed, other):
    logits, truth = logits_of(seed, 1.7, 50)
    assert smoothed_nll(logits, truth, fit_temperature(logits, truth)) <= smoothed_nll(logits, truth, other) + 1e-9


def test_the_likelihood_of_even_odds():
    assert nll(np.zeros((5, 4)), np.array([0, 1, 2, 3, 0]), 2.0) == pytest.approx(np.log(4))


def test_the_threshold_of_a_positive_lies_in_the_gap():
    chance = np.array([0.1, 0.2, 0.3, 0.7, 0.9])
    threshold, balanced = fit_positive(chance, np.array([False, False, False, True, True]))
    assert threshold == pytest.approx(0.5) and balanced == 1


def test_the_threshold_is_drawn_to_the_rarer_kind_by_balance():
    chance = np.array([0.2, 0.4, 0.45, 0.5, 0.6])
    # One of five is abnormal: accuracy would call none positive, balance will not miss it.
    threshold, balanced = fit_positive(chance, np.array([False, False, True, False, False]))
    assert 0.4 < threshold <= 0.45 and balanced == pytest.approx(0.75)


def test_without_both_kinds_there_is_no_threshold_to_fit():
    threshold, balanced = fit_positive(np.array([0.2, 0.9]), np.array([True, True]))
    assert threshold == HALF and np.isnan(balanced)


def trial(finding=0.0, min_pixels=4, dice=0.7, dice_all=0.7, recall=0.8, extra=0.3):
    return PictureTrial(0.5, 0.5, min_pixels, finding, dice, dice_all, recall, extra)


def test_of_equals_the_mildest_is_taken():
    strict, mild, small = trial(0.5, 4, dice_all=0.8), trial(0.1, 16, dice_all=0.8 - SAME / 2), trial(0.1, 64)
    assert mildest([strict, mild, small], "dice_all") is mild


def test_the_bars_come_before_dice():
    wild, fair, tame = trial(dice=0.9, extra=2.0), trial(dice=0.8, recall=0.9), trial(dice=0.85, recall=0.5)
    bars = {"false_findings": 0.5, "recall": 0.85}
    assert within([wild, fair, tame], bars) is fair
    assert within([wild, fair, tame], {}) is wild
    assert within([wild, tame], bars) is tame, "false findings come before recall"
    assert within([wild], bars) is wild, "the fewest there are"


def test_within_the_bars_too_the_mildest_of_equals_is_taken():
    strict, mild = trial(0.3, dice=0.8, recall=0.9), trial(0.15, dice=0.8 - SAME / 2, recall=0.98)
    far = trial(0.05, dice=0.8 - 2 * SAME, recall=1.0)
    assert within([strict, mild, far], {"false_findings": 0.5, "recall": 0.85}) is mild


def marked(truth, logits, **changes):
    shape = truth.shape
    arrays = {"mask_logits": logits[None, None].astype(np.float32), "spread": np.zeros((1, *shape), np.float32)}
    return MarkedPicture.of(
        Prediction(evidence=np.zeros((0, 0, 0), np.float32), labels=("a",), **{**arrays, **changes}), truth
    )


def squares(*boxes, shape=(40, 40)):
    plane = np.zeros(shape, bool)
    for top, left, side in boxes:
        plane[top : top + side, left : left + side] = True
    return plane


def test_components_know_which_lesions_they_find():
    truth, found = squares((2, 2, 6), (20, 20, 8)), squares((2, 2, 6), (20, 24, 8), (32, 2, 3))
    picture = marked(truth, np.where(found, 4.0, -4.0))
    card = Card.model_validate(tiny_card(masks=["a"]))
    seen = components_of([picture], card, (0.5, 0.5), hit=0.3)
    assert [(one.area, one.inside, len(one.lesions)) for one in seen] == [(36, 36, 1), (64, 32, 1), (9, 0, 0)]
    strict = components_of([picture], card, (0.5, 0.5), hit=0.5)
    assert [len(one.lesions) for one in strict] == [1, 0, 0]
    tried = PictureTrials([picture], seen, probabilities_of(seen, None))
    everything = tried.at((0.5, 0.5), 4, 0.0)
    assert everything.recall == 1 and everything.extra == 1
    assert everything.dice == pytest.approx(2 * 68 / (109 + 100))
    large = tried.at((0.5, 0.5), 16, 0.0)
    assert large.extra == 0 and large.dice == pytest.approx(2 * 68 / 200)
    none = tried.at((0.5, 0.5), 4, 0.999)
    assert none.dice == 0 and none.recall == 0 and none.extra == 0


def test_a_clean_picture_counts_only_where_all_are_counted():
    clean = marked(squares(), np.full((40, 40), -4.0))
    missed = marked(squares((2, 2, 6)), np.full((40, 40), -4.0))
    tried = PictureTrials([clean, missed], [], np.zeros(0)).at((0.5, 0.5), 4, 0.0)
    assert tried.dice == 0 and tried.dice_all == HALF


def component(values, hit):
    return PictureComponent(0, 20, 20 if hit else 0, ((0, 1),) if hit else (), values)


def test_the_finding_is_fitted_where_val_can_tell():
    rng = np.random.default_rng(0)
    some = [component({"mask": float(rng.normal(2 if n % 2 else 0, 1)), "spread": 0.1}, bool(n % 2)) for n in range(60)]
    weights = fit_finding(some)
    assert set(weights) == {"mask", "spread", "bias"} and weights["mask"] > 0
    low, high = probabilities_of([component({"mask": value}, True) for value in (-1.0, 3.0)], weights)
    assert low < HALF < high
    assert fit_finding(some[1:20:2]) is None, "all of one kind"


def write_pictures(folder, rows):
    """An index.csv of (label, picture, mask or None), all of them val."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(["id", "split", "group", "label", "image", "mask"])
        for place, (label, pixels, mask) in enumerate(rows):
            cv2.imwrite(str(folder / "images" / f"{place}.png"), pixels)
            if mask is not None:
                cv2.imwrite(str(folder / "masks" / f"{place}.png"), mask.astype(np.uint8))
            told = f"masks/{place}.png" if mask is not None else ""
            out.writerow([place, "val", f"g{place}", label, f"images/{place}.png", told])
    return folder


def toned(tone, seed=0):
    noise = np.random.default_rng(seed).integers(-8, 9, (64, 64))
    return (np.full((64, 64), tone) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def chest(tmp_path):
    """Bright is tuberculosis; the model says so, but far too surely of one that is wrong."""
    rows = [("tuberculosis", toned(200, n), None) for n in range(4)] + [
        ("normal", toned(60, n), None) for n in range(4)
    ]
    data = write_pictures(tmp_path / "data", [*rows, ("normal", toned(190, 9), None), ("", toned(20), None)])
    return write_whole(tmp_path, CLASSES_ONLY), data


def test_classes_get_a_temperature_and_a_threshold(chest):
    task, data = chest
    model = Tones(CHEST, {"tuberculosis": (40.0, 0.8), "normal": (40.0, 0.25)})
    pipeline_of(task, None, model)
    told = []
    thresholds, calibration = calibrate_pictures(task, model, data, lambda *at: told.append(at))
    assert set(thresholds) == {"positive"} and told[-1] == (9, 9), "a picture that nobody labelled is left out"
    val = calibration["val_classes"]
    assert calibration["temperature"] > 1, "it was too sure"
    assert val["nll"]["after"] < val["nll"]["before"] and val["pictures"] == 9
    assert val["accuracy"] == pytest.approx(8 / 9, abs=1e-4)
    card = model.card.model_copy(update={"thresholds": thresholds, "calibration": calibration})
    model.card = card
    line = pipeline_of(task, None, model)
    from medvis.pipeline import load

    verdict = line.outcome(load(data / "images" / "0.png")).report.verdict
    assert verdict.decision in ("positive", "refer") and verdict.probability > thresholds["positive"]


def test_a_class_that_the_data_do_not_have_cannot_be_fitted(tmp_path):
    data = write_pictures(tmp_path / "data", [("rust", toned(90), None)])
    task, model = write_whole(tmp_path), Tones(CHEST, {})
    pipeline_of(task, None, model)
    with pytest.raises(InputError, match="val has no picture of a class that the model knows: tuberculosis, normal"):
        calibrate_pictures(task, model, data, quiet)


def outlined(tone, box=(16, 16, 24)):
    mask = squares(box, shape=(64, 64))
    return np.where(mask, tone, 40).astype(np.uint8), mask


@pytest.fixture
def breast(tmp_path):
    rows = [("malignant", *outlined(230, (10 + n, 12, 24))) for n in range(3)]
    data = write_pictures(tmp_path / "data", [*rows, ("normal", np.full((64, 64), 40, np.uint8) + toned(9), None)])
    return write_whole(tmp_path, OUTLINED), data


def test_outlines_get_thresholds_that_the_pipeline_uses(breast):
    task, data = breast
    model = Tones(BREAST, {"malignant": (20.0, 0.6), "normal": (20.0, 0.15)}, masks=["patch"])
    pipeline_of(task, None, model)
    thresholds, calibration = calibrate_pictures(task, model, data, quiet)
    assert {"positive", "high", "low", "min_pixels", "finding"} == set(thresholds)
    assert thresholds["min_pixels"] == 4 and thresholds["finding"] == 0, "nothing calls for more"
    assert calibration["val"]["dice"] > 0.85 and "finding" not in calibration, "too few to tell"
    assert "best mean Dice" in calibration["val"]["rule"]
    model.card = model.card.model_copy(update={"thresholds": {**thresholds, "min_pixels": 5000.0}})
    from medvis.pipeline import load

    line = pipeline_of(task, None, model)
    case, _ = line.run(line.accept(load(data / "images" / "0.png")))
    assert not case.mask.any(), "the card's smallest component counts where the settings say nothing"


def test_a_model_that_outlines_nothing_is_one_line(breast):
    task, data = breast

    class Blind(Tones):
        def __call__(self, batch, outputs):
            given = super().__call__(batch, outputs)
            return {name: value * 0 - 12 if name == "mask_logits" else value for name, value in given.items()}

    model = Blind(BREAST, {"malignant": (20.0, 0.6), "normal": (20.0, 0.15)}, masks=["patch"])
    pipeline_of(task, None, model)
    with pytest.raises(ModelError, match="the model outlines nothing on val"):
        calibrate_pictures(task, model, data, quiet)


@pytest.mark.parametrize("count", [3, 6, 18, 60])
def test_a_val_that_is_all_right_does_not_make_the_model_certain(count):
    """The rule of succession: of n cases that were all right, (n + 1) / (n + 2) is what can be said of the next."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, count)
    logits = rng.normal(0, 0.4, (count, 3))
    logits[np.arange(count), truth] += 2.5
    truth = logits.argmax(1)
    temperature = fit_temperature(logits, truth)
    assert softmax(logits / temperature, axis=1).max(1).mean() <= (count + 1) / (count + 2) + 0.005
    assert temperature > 0.25

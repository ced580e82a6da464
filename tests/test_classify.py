"""Classes of the whole picture: probabilities, order, words, and the verdict that rests on them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_heatmap import said, words  # noqa: F401 - a fixture
from tiny_chest import pipeline
from tiny_whole import BREAST, CHEST, STEEL, patch, picture, whole_card

from medvis.core.case import Case, Prediction
from medvis.core.wording import decimal, over_views, percent, size_of, slice_of, spacing_of
from medvis.errors import SettingsError, StageError
from medvis.stages.classify import Classify, ClassifySettings
from medvis.stages.judge import Judge, JudgeSettings


class Fixed:
    """A context whose model has one card and cannot be called."""

    def __init__(self, card, task=None):
        self.card, self.task = card, task or pipeline().config


def distribution(logits, labels, **card):
    return whole_card(labels, **card).label_set.distribution(np.array(logits, np.float32))


def prediction(logits, labels, spread=None, masks=0, shape=(32, 32), **card):
    zeros = np.zeros((1, *shape), np.float32)
    deviation = np.zeros(len(logits), np.float32) if spread is None else np.array(spread, np.float32)
    names = tuple(label["name"] for label in labels)
    maps = np.full((1, masks, *shape), -5, np.float32)
    values, known = np.array(logits, np.float32), distribution(logits, labels, **card)
    return Prediction(maps, zeros, zeros, names, values, deviation, distribution=known)


def case_of(logits, labels, **more):
    return Case(picture(patch()), "t", prediction=prediction(logits, labels, **more))


def classified(logits, labels, values=None, **card):
    stage = Classify(ClassifySettings(**(values or {})), Fixed(whole_card(labels, **card)))
    return stage(case_of(logits, labels, **card))


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2), st.floats(0.1, 10))
@settings(deadline=None)
def test_classes_are_the_softmax_at_the_cards_temperature(logits, temperature):
    readings = classified(logits, CHEST, calibration={"temperature": temperature}).classes
    got = {reading.name: reading.probability for reading in readings}
    gap = (np.float32(logits[1]) - np.float32(logits[0])) / temperature
    assert got["tuberculosis"] == pytest.approx(1 / (1 + math.exp(min(gap, 700))), abs=2e-4)
    assert sum(got.values()) == pytest.approx(1, abs=2e-4)
    assert [one.probability for one in readings] == sorted(got.values(), reverse=True)


def test_classes_have_the_words_and_codes_of_the_config_and_ties_the_order_of_the_card():
    code = {"scheme": "SCT", "value": "1", "meaning": "m"}
    case = classified([0.0, 1.0, 1.0], BREAST, {"names": {"malignant": "cancer"}, "codes": {"malignant": code}})
    assert [reading.name for reading in case.classes] == ["cancer", "normal", "benign"]
    assert case.classes[0].code.value == "1" and case.classes[1].code is None
    assert case.scan.trail[-1].settings["spread"] == 0


def test_binary_labels_stand_in_for_classes_each_with_its_own_scaling():
    labels = [{"name": "a", "kind": "binary", "platt": [2.0, -1.0]}, {"name": "b", "kind": "binary"}]
    found = classified([1.5, 0.5, 3.0], [*labels, {"name": "texture", "kind": "rating", "low": 1, "high": 5}]).classes
    assert [(one.name, one.probability) for one in found] == [
        ("a", pytest.approx(1 / (1 + math.exp(-2)), abs=1e-4)),
        ("b", pytest.approx(1 / (1 + math.exp(-0.5)), abs=1e-4)),
    ]


def test_probabilities_go_along_any_axis():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    labels = whole_card(STEEL).label_set
    shares = labels.probabilities(logits, axis=0)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(shares[:, 1, 2], labels.probabilities(logits[:, 1, 2]), atol=1e-7)


def test_a_tiled_task_has_no_classes_and_an_unknown_label_is_named():
    with pytest.raises(StageError, match="no class logits of the whole image; wanted: a task of kind: whole"):
        Classify(ClassifySettings(), Fixed(whole_card(CHEST)))(
            replace(
                case_of([0, 0], CHEST), prediction=replace(prediction([0, 0], CHEST), logits=None, distribution=None)
            )
        )
    with pytest.raises(SettingsError, match=r"stages.classify: 'flu' is no label.*one of tuberculosis, normal"):
        classified([0, 0], CHEST, {"names": {"flu": "influenza"}})


@pytest.mark.parametrize(("value", "text"), [(0, "<1%"), (0.001, "<1%"), (0.93, "93%"), (0.999, ">99%"), (1, ">99%")])
def test_a_probability_in_words_never_claims_certainty(value, text):
    assert percent(value) == text


def test_nor_does_one_in_a_table():
    assert [decimal(value) for value in (0, 0.004, 0.93, 0.996, 1)] == ["<0.01", "<0.01", "0.93", ">0.99", ">0.99"]
    assert over_views(0.126) == ", sd over the views 0.13" and over_views(None) == ""
    assert (slice_of(7, 5, 8, 13), slice_of(0, 0, 0, 4)) == ("8 of 13 (6-9)", "1 of 4"), "as people count"


def test_sizes_are_told_rows_first():
    assert (size_of(512, 512), size_of(512, 480)) == ("512 x 512 px", "512 x 480 px (rows x columns)")
    assert spacing_of((0.5703, 0.5703)) == "0.57 mm per px" and spacing_of(None) == "spacing unknown"
    assert spacing_of((0.5, 0.8)) == "0.5 mm between rows, 0.8 mm between columns"


def judged(logits, labels, values=None, findings=None, spread=None, **card):
    case = classified(logits, labels, None, **card)
    seen = replace(case.prediction, logits_spread=np.array(spread or [0.0] * len(labels), np.float32))
    mask = None if findings is None else np.zeros((1, 64, 128), np.int32)
    judge = Judge(JudgeSettings(**(values or {})), Fixed(whole_card(labels, **card)))
    return judge(replace(case, prediction=seen, findings=findings, mask=mask)).verdict


@pytest.mark.parametrize(
    ("logits", "labels", "changes", "decision", "reason"),
    [
        ([3, 0], CHEST, {}, "positive", "tuberculosis 95%"),
        ([0, 3], CHEST, {}, "negative", "normal 95%"),
        ([-1, 0], CHEST, {"thresholds": {"positive": 0.2}}, "positive", "tuberculosis 27% (positive from 20%)"),
        (
            [1, 0],
            CHEST,
            {"thresholds": {"positive": 0.9}},
            "refer",
            "likelier than not, yet under the threshold: tuberculosis 73% (positive from 90%)",
        ),
        (
            [1, 2, 1.5],
            BREAST,
            {"thresholds": {"positive": 0.9}},
            "refer",
            "likelier than not, yet under the threshold: malignant 51%, not normal 69% (positive from 90%)",
        ),
        ([0, 1], CHEST, {"thresholds": {"positive": 0.9}}, "negative", "normal 73%"),
        ([1, 2, 1.5], BREAST, {}, "positive", "malignant 51%, not normal 69%"),
        ([0, 1, 0], STEEL, {}, "positive", "middling 58%"),
        ([0, 0.1, 0], STEEL, {"thresholds": {"positive": 0.9}}, "positive", "middling 36%"),
        ([0.2, 0], CHEST, {"values": {"margin": 0.2}}, "refer", "tuberculosis 55% and normal 45% are too close"),
        ([3, 0], CHEST, {"spread": [0.3, 0.3]}, "refer", "the views disagree on the class (spread 0.30, above 0.25)"),
        ([3, 0, 0], BREAST, {"findings": ()}, "refer", "but no lung nodule could be outlined"),
    ],
)
def test_the_verdict_rests_on_the_classes(logits, labels, changes, decision, reason):
    verdict = judged(logits, labels, **changes)
    assert verdict.decision == decision
    assert verdict.reasons[0].startswith(reason) or reason in verdict.reasons[0]
    assert verdict.probability == pytest.approx(distribution(logits, labels).abnormal, abs=1e-4)


def test_a_mask_that_was_not_measured_cannot_be_judged():
    with pytest.raises(StageError, match="no findings; run 'measure'"):
        case = replace(classified([3, 0], CHEST), mask=np.zeros((1, 64, 128), np.int32))
        Judge(JudgeSettings(), Fixed(whole_card(CHEST)))(case)


def test_the_leading_label_is_never_normal_where_another_is_there():
    assert distribution([0.0, 0.0, 9.0], BREAST).leading.label.name == "benign", (
        "of two that are equal the card's first"
    )
    assert distribution([0.0], [CHEST[1]]).leading.label.name == "normal"

"""How likely a component is a true finding: the features, the match with a candidate, the logistic model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import tiny_card
from tiny_chest import scan_of

from medvis.core.case import Candidates, Prediction
from medvis.core.geometry import Geometry
from medvis.model.card import Card
from medvis.ops.chest.surroundings import aerated_rim
from medvis.stages.scoring import (
    REACH,
    features,
    finding_probability,
    logistic,
    match,
    score_components,
    surroundings,
)

RICH = {"mask": 0.4, "log_diameter_mm": 0.8, "class": 0.3, "air": 2.0, "bias": -2.5}
WEIGHTS = {"mask": 0.5, "spread": -4.0, "log_diameter_px": 1.0, "class": 0.25, "class_spread": -2.0, "bias": -1.5}


def card(**changes) -> Card:
    return Card.model_validate(tiny_card(**changes))


def candidates(*places, logits=None) -> Candidates:
    """Candidates at (frame, row, col)."""
    n = len(places)
    table = np.array(places, np.float32).reshape(n, 3)
    values = np.arange(2 * n, dtype=np.float32).reshape(n, 2) if logits is None else np.array(logits, np.float32)
    return Candidates(
        frame=table[:, 0].astype(np.int32),
        box=np.zeros((n, 4), np.int32),
        center=table[:, 1:],
        logits=values,
        spread=values / 100,
        embedding=np.zeros((n, 4), np.float32),
        views=np.ones(n, np.int32),
    )


def prediction(found: Candidates | None = None, frames=2) -> Prediction:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(frames, 1, 30, 40)).astype(np.float32)
    spread = rng.random((frames, 30, 40)).astype(np.float32) / 10
    return Prediction(logits, spread, np.zeros_like(spread), ("nodule", "texture"), candidates=found)


def disc(row, col, radius=3.0, shape=(30, 40)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, cols - col) <= radius


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(-1e6, 1e6)), st.floats(-1e6, 1e6))
@settings(deadline=None)
def test_the_logistic_model_is_its_formula_and_never_overflows(values, bias):
    weights = {"a": 0.5, "b": -0.25, "bias": bias}
    z = bias + 0.5 * values.get("a", 0) - 0.25 * values.get("b", 0)
    got = logistic(weights, values)
    assert 0 <= got <= 1
    assert got == pytest.approx(1 / (1 + math.exp(-max(min(z, 60), -60))))


def test_features_are_measured_inside_the_component_on_its_frame():
    found, inside = candidates((1, 10, 20), logits=[[2.5, -1.0]]), disc(10, 20)
    seen = prediction(found)
    values = features(seen, inside, 1, 0)
    assert values["mask"] == pytest.approx(seen.mask_logits[1, 0][inside].mean())
    assert values["spread"] == pytest.approx(seen.spread[1][inside].mean())
    assert values["log_diameter_px"] == pytest.approx(math.log(2 * math.sqrt(inside.sum() / math.pi)))
    assert (values["class"], values["class_spread"]) == (pytest.approx(2.5), pytest.approx(0.025))
    assert set(features(seen, inside, 1, None)) == {"mask", "spread", "log_diameter_px"}


def test_of_several_masks_the_strongest_counts():
    logits = np.stack([np.full((1, 30, 40), -2.0), np.full((1, 30, 40), 3.0)], 1).astype(np.float32)
    seen = Prediction(logits, np.zeros((1, 30, 40), np.float32), np.zeros((1, 30, 40), np.float32), ("nodule",))
    assert features(seen, disc(5, 5), 0, None)["mask"] == pytest.approx(3.0)


def test_a_component_belongs_to_the_nearest_candidate_of_its_own_frame():
    seen = prediction(candidates((0, 10, 20), (1, 28, 38), (1, 10, 26), (1, 10, 14)))
    assert match(seen, disc(10, 20), 0) == 0
    assert match(seen, disc(10, 15), 1) == 3
    assert match(seen, disc(10, 25), 1) == 2


@pytest.mark.parametrize(("distance", "row"), [(0, 0), (REACH, 0), (REACH + 1.5, None)])
def test_a_candidate_that_is_too_far_away_is_not_matched(distance, row):
    """Measured to the component's nearest pixel."""
    assert match(prediction(candidates((0, 5, 8 + distance))), disc(5, 5, 3), 0) == row


def test_there_is_nothing_to_match_without_candidates_or_on_another_frame():
    assert match(prediction(None), disc(5, 5), 0) is None
    assert match(prediction(candidates()), disc(5, 5), 0) is None
    assert match(prediction(candidates((1, 5, 5))), disc(5, 5), 0) is None


def test_the_probability_is_that_of_the_cards_calibration():
    values = {"mask": 2.0, "spread": 0.1, "log_diameter_px": 2.0, "class": 4.0, "class_spread": 0.05}
    z = 0.5 * 2 - 4 * 0.1 + 2 + 0.25 * 4 - 2 * 0.05 - 1.5
    fitted = card(calibration={"finding": WEIGHTS})
    assert finding_probability(values, fitted) == pytest.approx(1 / (1 + math.exp(-z)))
    assert finding_probability(values, card()) == pytest.approx(1 / (1 + math.exp(-2.0))), "else that of the mask"


def test_every_component_of_every_frame_gets_a_score():
    seen = prediction(candidates((1, 20, 30)))
    mask = np.zeros((2, 30, 40), np.int32)
    mask[0][disc(5, 5)] = 1
    mask[1][disc(5, 5, 2)] = 1
    mask[1][disc(20, 30)] = 7
    scores = score_components(seen, mask, card(calibration={"finding": WEIGHTS}))
    assert [(score.frame, score.label, score.candidate) for score in scores] == [(0, 1, None), (1, 1, None), (1, 7, 0)]
    assert [score.area for score in scores] == [int((mask[f] == n).sum()) for f, n in ((0, 1), (1, 1), (1, 7))]
    for score in scores:
        inside = mask[score.frame] == score.label
        values = features(seen, inside, score.frame, score.candidate)
        looked_at = score.candidate is not None
        assert score.probability == pytest.approx(logistic(WEIGHTS, values) if looked_at else 0)
        expected = values["class_spread"] if score.candidate == 0 else values["spread"]
        assert score.spread == pytest.approx(expected)
    assert score_components(seen, np.zeros_like(mask), card()) == []
    whole = score_components(prediction(None), mask, card(calibration={"finding": WEIGHTS}))
    assert all(score.probability > 0 for score in whole), "a whole task takes no closer look at anything"


def halves():
    """Two frames of lung beside tissue in HU, pixels of 0.8 mm."""
    hu = np.full((2, 30, 40), -850, np.float32)
    hu[:, :, 20:] = 30
    return scan_of(hu, geometry=Geometry(spacing=(0.8, 0.8)))


def test_the_surroundings_are_measured_in_hu_and_mm():
    scan, inside = halves(), disc(12, 20)
    values = surroundings(scan, inside, 1)
    assert values["air"] == aerated_rim(scan.pixels[1][..., 0], inside, (0.8, 0.8)) == pytest.approx(0.5, abs=0.1)
    assert values["log_diameter_mm"] == pytest.approx(math.log(2 * 0.8 * math.sqrt(inside.sum() / math.pi)))


def test_without_hu_or_mm_nothing_is_known_of_the_surroundings():
    scan, inside = halves(), disc(12, 20)
    unknown = [None, scan.derive(unit="grey"), scan.derive(geometry=Geometry(reasons={"spacing": "a picture"}))]
    assert [surroundings(one, inside, 0) for one in unknown] == [{}, {}, {}]
    assert surroundings(scan, np.ones((30, 40), bool), 0) == {}, "nor where there is nothing around it"


def test_the_model_with_the_surroundings_counts_where_all_of_it_is_known():
    both = card(calibration={"finding": WEIGHTS, "finding_hu": RICH})
    values = {"mask": 2.0, "spread": 0.1, "log_diameter_px": 2.0, "class": 4.0, "class_spread": 0.05}
    around = {"log_diameter_mm": 1.7, "air": 0.9}
    assert finding_probability({**values, **around}, both) == pytest.approx(logistic(RICH, {**values, **around}))
    assert finding_probability(values, both) == logistic(WEIGHTS, values)
    assert finding_probability({**values, "air": 0.9}, both) == logistic(WEIGHTS, values), "a part of it is not enough"
    del values["class"]
    assert finding_probability({**values, **around}, both) == logistic(WEIGHTS, values)


def test_scores_look_at_the_scan_where_it_is_given():
    scan, seen = halves(), prediction(candidates((0, 12, 10), (0, 12, 30)))
    seen.mask_logits[:] = 1.0
    mask = np.zeros((2, 30, 40), np.int32)
    mask[0][disc(12, 10)], mask[0][disc(12, 30)] = 1, 2
    both = card(calibration={"finding": WEIGHTS, "finding_hu": {**RICH, "class": 0.0}})
    in_lung, in_tissue = score_components(seen, mask, both, scan)
    assert in_lung.probability > in_tissue.probability + 0.3
    assert score_components(seen, mask, both) == score_components(seen, mask, card(calibration={"finding": WEIGHTS}))

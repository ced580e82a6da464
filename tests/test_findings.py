"""From maps to findings, a verdict and a report: segment, measure, judge and build on maps made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from test_scoring import candidates, card, disc
from tiny_chest import Blobs, pipeline, scan_of

from medvis.core.case import Case, Prediction
from medvis.core.geometry import Geometry
from medvis.core.report import Uncertainty
from medvis.errors import SettingsError, StageError
from medvis.ops.measure import NO_SPACING, ONE_FRAME
from medvis.stages.build import build_report
from medvis.stages.measure import NO_CANDIDATE, NO_LABEL, NO_POSITION, ON_ONE_SLICE
from medvis.stages.quality import image_quality

SHAPE = (64, 80)
PLACED = Geometry((0.5, 0.8), 2.0, np.array([[0.0, 0, 0], [0, 0, 2]]), np.array([1.0, 0, 0, 0, 1, 0]))


def maps(*blobs, frames=2):
    """A prediction with discs of (frame, row, col, radius, probability) on a ground of 1 %."""
    chance = np.full((frames, 1, *SHAPE), 0.01)
    for frame, row, col, radius, p in blobs:
        chance[frame, 0][disc(row, col, radius, SHAPE)] = p
    logits = np.log(chance / (1 - chance)).astype(np.float32)
    zeros = np.zeros((frames, *SHAPE), np.float32)
    return Prediction(logits, zeros + 0.05, zeros, ("nodule", "texture"))


def case_of(prediction, geometry=PLACED, **changes) -> Case:
    frames = len(prediction.mask_logits)
    rng = np.random.default_rng(0)
    scan = scan_of(rng.normal(-500, 100, (frames, *SHAPE)), geometry=geometry)
    view = rng.random((frames, *SHAPE, 1)).astype(np.float32)
    return Case(scan, "lung-nodule", view=view, prediction=prediction, **changes)


def run(case, overrides=None, last="judge", **changes):
    fixed = {"stages.segment.min_pixels": 4, "stages.segment.link_mm": 5, "stages.segment.lasting": False}
    fixed["stages.refine.method"] = "none"
    line = pipeline({**fixed, **(overrides or {})}, Blobs(**changes))
    return line.run(case, first="segment", last=last)[0]


TWO = ((0, 20, 20, 6, 0.9), (1, 21, 21, 5, 0.9), (1, 50, 60, 4, 0.8))


def test_components_over_the_thresholds_become_numbered_findings():
    case = run(case_of(maps(*TWO)))
    assert set(np.unique(case.mask)) == {0, 1, 2} and case.mask.dtype == np.int32
    np.testing.assert_array_equal(case.mask[0] == 1, disc(20, 20, 6, SHAPE))
    np.testing.assert_array_equal(case.mask[1] == 1, disc(21, 21, 5, SHAPE))
    np.testing.assert_array_equal(case.mask[1] == 2, disc(50, 60, 4, SHAPE))
    assert [finding.id for finding in case.findings] == [1, 2]


@pytest.mark.parametrize(
    ("blob", "thresholds", "kept"),
    [
        ((0, 20, 20, 6, 0.6), {"high": 0.5, "low": 0.4, "finding": 0.3}, True),
        ((0, 20, 20, 6, 0.6), {"high": 0.7, "low": 0.4, "finding": 0.3}, False),
        ((0, 20, 20, 6, 0.6), {"high": 0.5, "low": 0.4, "finding": 0.65}, False),
        ((0, 20, 20, 1, 0.6), {"high": 0.5, "low": 0.4, "finding": 0.3}, True),
        ((0, 20, 20, 0.5, 0.6), {"high": 0.5, "low": 0.4, "finding": 0.3}, False),
    ],
)
def test_the_cards_thresholds_decide(blob, thresholds, kept):
    assert run(case_of(maps(blob)), thresholds=thresholds).mask.any() == kept


def test_a_setting_beats_the_card_and_low_never_exceeds_high():
    case = run(case_of(maps((0, 20, 20, 6, 0.6))), {"stages.segment.high": 0.3}, thresholds={"high": 0.7, "low": 0.65})
    step = case.scan.trail[0]
    assert (step.name, step.settings["high"], step.settings["low"], step.settings["finding"]) == (
        "segment",
        0.3,
        0.3,
        0.5,
    )
    assert case.mask.any()


def test_a_finding_grows_down_to_the_low_threshold():
    blobs = maps((0, 20, 20, 8, 0.45), (0, 20, 20, 3, 0.9))
    case = run(case_of(blobs), thresholds={"high": 0.5, "low": 0.4, "finding": 0})
    np.testing.assert_array_equal(case.mask[0] > 0, disc(20, 20, 8, SHAPE))


def test_what_is_too_narrow_in_millimetres_is_dropped_where_they_are_known():
    narrow = {"stages.segment.min_diameter_mm": 20}
    assert not run(case_of(maps(*TWO)), narrow).mask.any()
    assert run(case_of(maps(*TWO), Geometry()), narrow).mask.any()


def test_neighbours_are_linked_by_distance_only_if_asked():
    apart = maps((0, 20, 20, 2, 0.9), (1, 20, 26, 2, 0.9))
    assert len(run(case_of(apart)).findings) == 1, "4.8 mm apart"
    assert len(run(case_of(apart), {"stages.segment.link_mm": None}).findings) == 2


def test_a_finding_is_measured_in_the_plane_and_in_the_patient():
    one, other = run(case_of(maps(*TWO))).findings
    inside = disc(20, 20, 6, SHAPE)
    assert (one.key_frame, one.first_frame, one.last_frame) == (0, 0, 1)
    assert one.area_px == inside.sum() and one.area_mm2 == pytest.approx(inside.sum() * 0.4, abs=0.01)
    assert one.volume_mm3 == pytest.approx((inside.sum() + disc(21, 21, 5, SHAPE).sum()) * 0.8, abs=0.01)
    # 13 pixels down and across: 10.4 mm wide, 6.5 mm high.
    assert one.longest_diameter_mm == pytest.approx(10.4, abs=0.3)
    assert one.perpendicular_diameter_mm == pytest.approx(6.5, abs=0.3)
    assert one.longest_diameter_px == pytest.approx(13, abs=0.4), "the line that is longest in mm, not in pixels"
    assert one.perpendicular_diameter_px == pytest.approx(13, abs=0.4)
    assert (one.box.frame, one.box.row0, one.box.col0, one.box.row1, one.box.col1) == (0, 14, 14, 27, 27)
    assert other.centroid == (1, 50, 60) and other.centroid_mm == (48.0, 25.0, 2.0)
    assert one.name == "lung nodule" and one.code.scheme == "SCT"
    assert one.probability == pytest.approx(0.9, abs=1e-3) and one.spread == pytest.approx(0.05)


def test_intensity_is_in_the_unit_of_the_scan():
    case = run(case_of(maps((0, 20, 20, 6, 0.9), frames=1)))
    values = case.scan.pixels[0, ..., 0][disc(20, 20, 6, SHAPE)]
    stats = case.findings[0].intensity
    assert stats.unit == "HU"
    want = (values.mean(), values.std(), values.min(), values.max())
    assert (stats.mean, stats.sd, stats.min, stats.max) == pytest.approx(want, abs=0.06)


def test_what_is_not_known_is_null_with_a_reason():
    finding = run(
        case_of(maps((0, 20, 20, 6, 0.9), frames=1), Geometry(reasons={"positions": "a photograph"}))
    ).findings[0]
    assert finding.area_mm2 is finding.longest_diameter_mm is finding.volume_mm3 is finding.centroid_mm is None
    assert finding.unknown["area_mm2"] == NO_SPACING and finding.unknown["volume_mm3"] == ONE_FRAME
    assert finding.unknown["centroid_mm"] == "a photograph"
    assert finding.unknown["malignancy"] == NO_LABEL
    bare = run(case_of(maps((0, 20, 20, 6, 0.9), frames=1), Geometry())).findings[0]
    assert bare.unknown["centroid_mm"] == NO_POSITION


LABELS = [
    {"name": "nodule", "kind": "binary"},
    {"name": "malignancy", "kind": "binary", "platt": [2.0, -0.5]},
    {"name": "texture", "kind": "rating", "low": 1, "high": 5},
    {"name": "calcification", "kind": "binary"},
]


def rated(geometry=PLACED, logits=(3.0, 0.4, 2.0, -2.0), place=(0, 20, 20), **changes):
    found = candidates(place, logits=[logits])
    seen = replace(
        maps((0, 20, 20, 6, 0.9), frames=1), labels=tuple(label["name"] for label in LABELS), candidates=found
    )
    return run(case_of(seen, geometry), labels=LABELS, **changes).findings[0]


def test_descriptors_are_read_on_the_scale_of_the_readers():
    texture, calcium = (one for one in rated().attributes)
    share = 1 / (1 + math.exp(-2))
    assert (texture.name, texture.value, texture.scale) == ("texture", "solid", "1–5")
    assert texture.score == pytest.approx(1 + 4 * share, abs=0.005)
    assert texture.spread == pytest.approx(4 * 0.02, abs=1e-3)
    assert (calcium.name, calcium.value, calcium.scale) == ("calcification", "absent", "probability")
    assert calcium.score == pytest.approx(1 - share, abs=0.005)


def test_malignancy_is_the_cards_calibration_of_descriptors_and_size():
    weights = {"malignancy": 1.5, "texture": 0.25, "log_area_mm2": 0.7, "bias": -2.0}
    finding = rated(calibration={"malignancy": weights})
    z = 1.5 * 0.4 + 0.25 * 2 + 0.7 * math.log(finding.area_mm2) - 2
    assert finding.malignancy == pytest.approx(1 / (1 + math.exp(-z)), abs=2e-3)
    assert "malignancy" not in finding.unknown


@pytest.mark.parametrize("changes", [{}, {"geometry": Geometry(), "calibration": {"malignancy": {"bias": 9.0}}}])
def test_without_that_calibration_or_a_size_the_labels_own_scaling_is_used(changes):
    assert rated(**changes).malignancy == pytest.approx(1 / (1 + math.exp(-(2 * 0.4 - 0.5))), abs=1e-3)


def test_a_place_that_was_not_looked_at_closely_is_no_finding_and_not_rated():
    with pytest.raises(IndexError):
        rated(place=(0, 60, 75))
    finding = rated(place=(0, 60, 75), thresholds={"high": 0.5, "low": 0.5, "finding": 0.0})
    assert finding.malignancy is None and finding.attributes == [] and finding.probability == 0
    assert finding.unknown["malignancy"] == NO_CANDIDATE


def test_the_differential_multiplies_finding_and_rating():
    finding = rated()
    p, m = finding.probability, finding.malignancy
    want = {"nodule that readers would rate malignant": p * m, "nodule that readers would rate benign": p * (1 - m)}
    by_name = {reading.name: reading.probability for reading in finding.differential}
    for name, value in want.items():
        assert by_name[name] == pytest.approx(value, abs=1e-3)
    assert sum(by_name.values()) == pytest.approx(1, abs=1e-3)
    assert [one.probability for one in finding.differential] == sorted(by_name.values(), reverse=True)


def test_an_unknown_setting_of_a_stage_is_named():
    with pytest.raises(SettingsError, match=r"^stages.measure.differential.0.colour"):
        pipeline({"stages.measure.differential": [{"name": "x", "when": {}, "colour": 1}]})


@pytest.mark.parametrize(
    ("blobs", "changes", "decision", "words"),
    [
        ((TWO[0],), {}, "positive", "1 finding (lung nodule), the likeliest 90%"),
        (TWO, {}, "positive", "2 findings (lung nodule)"),
        ((), {}, "negative", "no lung nodule was found"),
        (TWO, {"stages.judge.spread": 0.01}, "refer", "the views disagree on every finding"),
        ((), {"stages.judge.contrast": 1.0}, "refer", "too little to see a lesion by"),
    ],
)
def test_the_verdict_says_what_it_rests_on(blobs, changes, decision, words):
    verdict = run(case_of(maps(*blobs)), changes).verdict
    assert verdict.decision == decision
    assert words in "; ".join(verdict.reasons)
    assert verdict.probability == (pytest.approx(0.9, abs=1e-3) if blobs else None)
    assert len(verdict.codes) == len(verdict.reasons) and ("probability" in verdict.unknown) == (not blobs)


def test_an_empty_search_region_is_no_negative():
    verdict = run(case_of(maps(), region=np.zeros((2, *SHAPE), bool))).verdict
    assert (verdict.decision, verdict.codes) == ("refer", ["nothing-searched"])


@pytest.mark.parametrize(
    ("blobs", "thresholds", "nearest"),
    [
        ((), {"high": 0.5}, None),
        ((TWO[0],), {"high": 0.5, "finding": 0.95}, 0.9),
        ((TWO[2],), {"high": 0.5, "finding": 0.3, "series": 0.85}, 0.8),
    ],
)
def test_a_negative_tells_how_near_it_came(blobs, thresholds, nearest):
    case = run(case_of(maps(*blobs)), thresholds=thresholds)
    told = "" if nearest is None else f"; the likeliest place was left out with {nearest:.0%}"
    assert case.verdict.decision == "negative" and case.verdict.codes == ["no-findings"]
    assert case.verdict.probability == (None if nearest is None else pytest.approx(nearest, abs=1e-3))
    assert case.verdict.reasons == [f"no lung nodule was found in what was searched{told}"]
    [step] = [step for step in case.scan.trail if step.name == "segment"]
    assert step.settings["left_out"] == pytest.approx(nearest, abs=1e-3)
    assert "left_out" not in run(case_of(maps(TWO[0]))).scan.trail[0].settings


def test_a_positive_that_is_unlikelier_than_not_tells_from_where_on_there_are_findings():
    outlined = {"high": 0.3, "low": 0.2, "finding": 0.25}
    for chance, told in ((0.4, "the likeliest 40% (findings from 25%)"), (0.6, "the likeliest 60%")):
        [reason] = run(case_of(maps((0, 20, 20, 6, chance))), thresholds=outlined).verdict.reasons
        assert reason.endswith(told)


def test_no_finding_is_said_to_be_certain():
    [reason] = run(case_of(maps((0, 20, 20, 6, 0.998)))).verdict.reasons
    assert reason.endswith("the likeliest >99%")


def test_a_series_on_which_some_finding_is_certain_is_not_referred():
    seen = maps(*TWO)
    seen.spread[1][disc(50, 60, 4, SHAPE)] = 0.4
    assert run(case_of(seen)).verdict.decision == "positive"


def test_quality_is_measured_where_it_matters():
    case = case_of(maps(frames=1))
    view = case.view.copy()
    view[0, :32] = 0.5
    region = np.zeros((1, *SHAPE), bool)
    region[0, 40:60] = True
    valid = np.ones((1, *SHAPE), bool)
    valid[0, :16] = False
    inside = image_quality(replace(case, view=view, region=region, scan=case.scan.derive(valid=valid)))
    low, high = np.percentile(view[region], (5, 95))
    assert inside.contrast == pytest.approx(high - low, abs=1e-4)
    assert (inside.valid_fraction, inside.searched_fraction) == (0.75, round(20 / 64, 4))
    flat = image_quality(replace(case, view=np.full_like(view, 0.3)))
    assert (flat.contrast, flat.sharpness, flat.searched_fraction, flat.valid_fraction) == (0, 0, None, 1)


def test_quality_without_a_view_is_null():
    quality = image_quality(Case(scan_of(np.zeros((1, 8, 8))), "t"))
    assert quality.contrast is None and quality.sharpness is None


@pytest.mark.parametrize(("last", "message"), [("measure", "no verdict; run 'judge'"), ("segment", "no verdict")])
def test_a_report_of_an_unfinished_case_is_refused(last, message):
    line = pipeline()
    case, _ = line.run(case_of(maps()), first="segment", last=last)
    with pytest.raises(StageError, match=message):
        build_report(case, line.context, {})


def test_the_report_carries_spread_provenance_and_trail():
    line = pipeline()
    case, timings = line.run(case_of(maps(*TWO), notes=("assumed",)), first="segment")
    report = build_report(case, line.context, timings)
    assert report.notes == ["assumed", ON_ONE_SLICE.format("2")] and report.provenance.timings_s == timings
    assert [step["name"] for step in report.provenance.trail] == ["segment", "refine", "measure", "judge", "explain"]
    assert report.provenance.config_sha256 == line.config.sha256
    assert report.provenance.model_sha256 == card().model.sha256
    assert report.uncertainty == Uncertainty(views=1, largest_finding_spread=0.05, mean_mask_spread=0.05)

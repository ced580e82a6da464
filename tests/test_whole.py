"""Tasks that look at the whole picture, from its pixels to the report and the heatmap."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from test_heatmap import said, unwrapped, words  # noqa: F401 - a fixture
from tiny_bundle import pipeline_of
from tiny_chest import chest, pipeline
from tiny_whole import BREAST, CHEST, INPUT, OUTLINED, STEEL, Tones, patch, picture, whole_card, write_whole

from medvis.core.wording import percent
from medvis.errors import InputError, StageError
from medvis.io.readers.casefile import load_case, save_case
from medvis.io.writers.heatmap import draw
from medvis.io.writers.json_report import report_schema, report_text
from medvis.ops.measure import NO_SPACING
from medvis.ops.tta import AugmentedView
from medvis.pipeline import choose_task
from medvis.stages.build import NO_OUTLINE
from medvis.stages.explain import shifted
from medvis.stages.lesion_scores import score_lesions
from medvis.stages.measure import OF_THE_IMAGE, SURELY_NORMAL
from medvis.stages.views.whole import WholeImageViews, over_highest
from medvis.stages.window import COLOURS

SICK = {"tuberculosis": (100.0, 0.9)}
SOFT = {"benign": (50.0, 0.9), "malignant": (100.0, 0.9)}
MASKED = {"masks": ["lesion"], "thresholds": {"high": 0.5, "low": 0.4, "finding": 0.3}}


def run(labels, tones, tmp_path, scan=None, **changes):
    card = {key: changes.pop(key) for key in ("masks", "thresholds", "calibration") if key in changes}
    predictor = Tones(labels, tones, **card)
    line = pipeline_of(write_whole(tmp_path, **changes), predictor=predictor)
    return line.outcome(picture(patch()) if scan is None else scan), predictor


def test_evidence_lies_where_the_class_gets_its_logit_from_and_is_as_strong_as_the_class_is_likely(tmp_path):
    for tones, decision in ((SICK, "positive"), ({**SICK, "normal": (60.0, 0.2)}, "negative")):
        outcome, _ = run(CHEST, tones, tmp_path)
        case, verdict = outcome.case, outcome.report.verdict
        assert case.evidence_of == "tuberculosis" and case.evidence.shape == (1, 64, 128)
        assert case.evidence.max() == pytest.approx(verdict.probability, abs=0.01) and verdict.decision == decision
        assert case.evidence[0, 12:20, 76:84].min() > 0.9 * case.evidence.max(), "on the bright patch"
        assert not case.evidence[0, :, :32].any(), "what speaks against it adds nothing"


def test_evidence_of_what_is_just_positive_has_half_its_strength(tmp_path):
    chance = run(CHEST, {"tuberculosis": (30.0, 0.9)}, tmp_path)[0].report.verdict.probability
    for threshold, highest in ((chance, 0.5), (0.5, chance)):
        outcome, _ = run(CHEST, {"tuberculosis": (30.0, 0.9)}, tmp_path, thresholds={"positive": threshold})
        assert outcome.case.evidence.max() == pytest.approx(highest, abs=0.01)


def test_odds_are_counted_from_what_shall_be_even():
    assert [shifted(0.3, 1.0), shifted(0.2, 0.25), shifted(0.8, 4.0)] == pytest.approx([0.3, 0.5, 0.5])
    assert [shifted(0.5, 0.25), shifted(0.5, 4.0)] == pytest.approx([0.8, 0.2])
    np.testing.assert_array_equal(shifted(np.float32([0, 1]), 4.0), [0, 1])


def test_a_threshold_at_the_end_leaves_no_evidence_out_of_0_to_1(tmp_path):
    for threshold in (0.0, 1.0):
        evidence = run(CHEST, SICK, tmp_path, thresholds={"positive": threshold})[0].case.evidence
        assert np.isfinite(evidence).all() and 0 <= evidence.min() <= evidence.max() <= 1


def test_a_cell_is_weighed_against_all_other_classes():
    whole = WholeImageViews(whole_card(STEEL))
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0] = 3
    whole.add(
        AugmentedView(1.0, "none"), {"evidence": maps, "class_logits": maps.mean((1, 2)), "embedding": np.zeros(4)}
    )
    np.testing.assert_allclose(whole.shown(0, (64, 64)), 3 - math.log(2), rtol=1e-5)
    np.testing.assert_allclose(whole.shown(1, (64, 64)), -math.log(1 + math.exp(3)), rtol=1e-5)


def test_a_share_is_that_of_the_highest_log_odds_on_any_frame():
    np.testing.assert_allclose(over_highest(np.array([[4.0, 2.0], [0.0, -9.0]])), [[1.0, 0.5], [0.0, 0.0]])
    assert not over_highest(np.array([[-4.0, -1.0]])).any(), "nothing speaks for it"


def test_evidence_that_masks_have_taught_is_a_probability_of_its_place(tmp_path):
    case = run(BREAST, SOFT, tmp_path, **MASKED, stages=OUTLINED)[0].case
    assert case.evidence[0, 12:20, 76:84].min() > 0.9, "on the bright patch"
    assert case.evidence[0, :, :32].max() < 0.2


def test_the_views_agree_with_one_view_where_the_model_does_not_care(tmp_path):
    """The predictor looks at cells of 8 px only, and the picture is made of cells: flips must change nothing."""
    cells = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8)), np.ones((8, 8)))
    once, twice = (
        run(STEEL, {"dark": (9, 0.1), "bright": (9, 0.9)}, tmp_path, picture(cells), settings={"infer": infer})[0]
        for infer in ({"scales": {1.0: 1}, "flips": ["none"]}, {"scales": {1.0: 1}, "flips": ["none", "horizontal"]})
    )
    np.testing.assert_allclose(twice.case.prediction.evidence, once.case.prediction.evidence, atol=1e-5)
    np.testing.assert_allclose(twice.case.prediction.logits, once.case.prediction.logits, atol=1e-5)
    assert twice.case.prediction.logits_spread.max() < 1e-5
    assert (once.case.prediction.views, twice.case.prediction.views) == (1, 2)


def test_views_end_early_only_if_asked_and_only_if_they_agree(tmp_path):
    seen, scan = {}, picture(patch(box=(3, 60, 30, 91)))
    for agree in (0.0, 1e-6, 0.5):
        infer = {"scales": {1.0: 1, 0.5: 0.5, 1.5: 0.2}, "flips": ["none"], "agree": agree}
        seen[agree] = run(CHEST, SICK, tmp_path, scan, settings={"infer": infer})[0].case.prediction.views
    assert seen == {0.0: 3, 1e-6: 3, 0.5: 2}


def test_without_masks_none_are_asked_for(tmp_path):
    outcome, predictor = run(CHEST, SICK, tmp_path)
    assert outcome.case.prediction.mask_logits.shape == (1, 0, 64, 128)
    assert "mask_logits" not in predictor.asked
    assert set(predictor.batches) == {(2, 1, 64, 64), (2, 1, 32, 32)}, "the flips of a scale as one batch"


def test_of_several_frames_the_one_with_most_to_find_speaks(tmp_path):
    frames = np.stack([patch(tone=60), patch(), patch(tone=90)])[..., None]
    together, _ = run(CHEST, SICK, tmp_path, picture(frames, modality="US"))
    alone, _ = run(CHEST, SICK, tmp_path, picture(frames[1:2], modality="US"))
    assert together.report.classes == alone.report.classes
    assert together.case.evidence.shape == (3, 64, 128) and together.case.evidence[2].max() < 0.5
    draw(together)


def test_a_task_that_outlines_nothing_says_so_and_follows_the_schema(tmp_path):
    outcome, _ = run(CHEST, SICK, tmp_path)
    report = outcome.report
    assert report.findings == [] and NO_OUTLINE in report.notes
    assert report.uncertainty.class_margin == pytest.approx(
        report.classes[0].probability - report.classes[1].probability, abs=1e-4
    )
    assert report.uncertainty.class_spread == pytest.approx(outcome.case.prediction.logits_spread.max(), abs=1e-4)
    body, schema = json.loads(report_text(report)), report_schema()
    assert set(body) == set(schema["required"]) and body["classes"][0]["name"] == "tuberculosis"
    again, _ = run(CHEST, SICK, tmp_path)
    assert again.report.canonical() == report.canonical()


def test_a_case_file_keeps_classes_and_a_mask_of_no_channel(tmp_path):
    case = run(CHEST, SICK, tmp_path)[0].case
    back = load_case(save_case(case))
    assert back.classes == case.classes and back.evidence_of == "tuberculosis" and back.findings is None
    assert back.prediction.mask_logits.shape == (1, 0, 64, 128)


def test_nothing_can_be_outlined_without_a_mask(tmp_path):
    with pytest.raises(StageError, match=r"nothing to outline.*take 'segment' and 'measure' out"):
        run(CHEST, SICK, tmp_path, stages=OUTLINED)


def outlined(tmp_path, tones=None, measure=None, **changes):
    values = {"measure": {"malignancy": "malignant", **(measure or {})}, "judge": {"spread": 0.49}}
    return run(BREAST, tones or SOFT, tmp_path, stages=OUTLINED, settings=values, **{**MASKED, **changes})[0]


def test_an_outline_of_a_whole_image_is_rated_by_its_class(tmp_path):
    outcome = outlined(tmp_path)
    (finding,) = outcome.report.findings
    share = outcome.case.prediction.distribution.by_name
    assert finding.malignancy == pytest.approx(share["malignant"] / (share["malignant"] + share["benign"]), abs=1e-4)
    assert [one.name for one in finding.differential] == [
        f"{one.name} (of the whole image)" for one in outcome.report.classes
    ]
    assert finding.area_mm2 is None and finding.unknown["area_mm2"] == NO_SPACING
    assert OF_THE_IMAGE in outcome.report.notes and NO_OUTLINE not in outcome.report.notes
    inside = outcome.case.mask[0] == 1
    assert inside[2:30, 66:94].all() and inside.sum() < 1.4 * 32 * 32


def test_mask_and_class_must_both_be_right_where_nothing_was_calibrated(tmp_path):
    outcome = outlined(tmp_path)
    (finding,) = outcome.report.findings
    (score,) = score_lesions(outcome.case.prediction, outcome.case.mask, whole_card(BREAST))
    share = outcome.case.prediction.distribution.abnormal
    assert finding.probability == pytest.approx(score.probability * share, abs=1e-3)


def test_a_calibration_weighs_mask_and_class(tmp_path):
    weights = {"mask": 0.2, "class": 1.5, "bias": -0.5}
    outcome = outlined(tmp_path, calibration={"finding": weights})
    (finding,) = outcome.report.findings
    share = outcome.case.prediction.distribution.abnormal
    inside = outcome.case.mask[0] == 1
    z = 0.2 * outcome.case.prediction.mask_logits[0, 0][inside].mean() + 1.5 * math.log(share / (1 - share)) - 0.5
    assert finding.probability == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-3)


def test_rules_may_speak_of_classes(tmp_path):
    rules = [{"name": "cancer, by the whole image", "when": {"malignant": True}}]
    (finding,) = outlined(tmp_path, measure={"differential": rules}).report.findings
    assert [one.name for one in finding.differential] == ["cancer, by the whole image"]


def test_class_and_mask_never_contradict_each_other_in_silence(tmp_path):
    unseen = outlined(tmp_path, {"normal": (60.0, 0.2)})
    assert unseen.report.findings and unseen.report.verdict.decision == "refer"
    assert unseen.report.verdict.reasons == [
        "the class of the image says normal >99%, yet outlined: 1 finding (bright patch)"
    ]
    lost = outlined(tmp_path, thresholds={"high": 0.9999999})
    assert lost.report.findings == [] and lost.report.verdict.decision == "refer"
    assert "but no bright patch could be outlined" in lost.report.verdict.reasons[0]


def test_where_the_image_is_surely_normal_malignancy_is_unknown(tmp_path):
    (finding,) = outlined(tmp_path, {"normal": (9000.0, 0.2)}).report.findings
    assert finding.malignancy is None and finding.unknown["malignancy"] == SURELY_NORMAL


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, lambda x: x / 255),
        ({"bits": 12}, lambda x: (x - 10) / 200),
        ({"inverted": True}, lambda x: 1 - x / 255),
        ({"inverted": True, "bits": 16}, lambda x: 1 - (x - 10) / 200),
    ],
)
def test_the_model_sees_a_picture_as_a_screen_shows_it(tmp_path, changes, want):
    pixels = np.linspace(10, 210, 48 * 96).reshape(48, 96)
    line = pipeline_of(write_whole(tmp_path), predictor=Tones(CHEST, SICK))
    case, _ = line.run(line.accept(picture(pixels, **changes)), last="window")
    np.testing.assert_allclose(case.view[0, ..., 0], want(pixels), atol=1e-5)


def test_a_grey_picture_that_is_stored_in_colour_is_the_same_picture(tmp_path):
    grey = np.rint(patch())
    one, _ = run(CHEST, SICK, tmp_path, picture(grey))
    other, _ = run(CHEST, SICK, tmp_path, picture(np.stack([grey] * 3, -1)))
    assert other.report.classes == one.report.classes and COLOURS not in other.report.notes
    tinted, _ = run(CHEST, SICK, tmp_path, picture(np.stack([grey, grey, grey / 2], -1)))
    assert COLOURS in tinted.report.notes


def test_the_picture_names_the_evidence_and_lists_the_classes(tmp_path, said):  # noqa: F811
    outcome, _ = run(CHEST, SICK, tmp_path)
    draw(outcome)
    text = words(said)
    assert "Image: evidence for tuberculosis (coloured)" in text
    assert "evidence for tuberculosis (model activation)" in unwrapped(said), "what the colours stand for"
    assert "CLASSES OF THE WHOLE IMAGE" in text and f"| {percent(outcome.report.classes[0].probability)} |" in text
    assert "FINDINGS" not in text and "no finding |" not in text
    assert "window" not in text and "mm" not in text, "a picture is shown as it is, and has no scale"


def test_the_picture_of_an_outline_says_whose_rating_it_is(tmp_path, said):  # noqa: F811
    draw(outlined(tmp_path))
    text = words(said)
    assert "FINDINGS (1)" in text and "malignant (whole image)" in text and "readers" not in text
    assert "malignant: by the image's class, not proven by pathology" in unwrapped(said)


def test_a_dicom_picture_finds_its_task_and_a_plain_one_does_not(tmp_path, monkeypatch):
    paths = [
        write_whole(tmp_path, task=name, accepts={"raster": True, "channels": [1, 3], **accepts})
        for name, accepts in (
            ("breast", {"modalities": ["US"], "body_parts": ["BREAST"]}),
            ("chest", {"modalities": ["CR", "DX"], "body_parts": ["CHEST", "THORAX"]}),
            ("steel", {"auto": False}),
        )
    ]
    monkeypatch.setattr("medvis.pipeline.task_names", lambda: paths)
    assert choose_task(picture(patch(), modality="US", body_part="BREAST")) == "breast"
    assert choose_task(picture(patch(), modality="DX", body_part="CHEST")) == "chest"
    with pytest.raises(InputError, match="names no modality"):
        choose_task(picture(patch()))
    with pytest.raises(InputError, match="no task for"):
        choose_task(picture(patch(), modality="DX", body_part="HAND"))


def test_a_colour_task_of_tiles_goes_all_the_way_without_millimetres(tmp_path):
    class Pits(Tones):
        def __call__(self, batch, outputs):
            assert batch.shape[1] == 3
            dark = ((0.3 - batch.mean(1)) * 30).clip(-12, 12)[:, None].astype(np.float32)
            cells = dark.reshape(len(batch), 1, dark.shape[2] // 8, 8, dark.shape[3] // 8, 8).mean((3, 5))
            given = {"mask_logits": dark, "evidence": cells, "embedding": np.zeros((len(batch), 4), np.float32)}
            return {name: given[name] for name in outputs}

    pixels = np.random.default_rng(0).normal(150, 5, (150, 370, 3)).clip(0, 255)
    pixels[60:72, 200:216] = 20
    stages = ("window", "enhance", "infer", "segment", "measure", "judge", "explain")
    predictor = Pits([{"name": "pitting", "kind": "binary"}], {}, masks=["pitting"], input={**INPUT, "channels": 3})
    values = {"window": {"range": "stored"}, "infer": {"region": "all", "tile": 96, "overlap": 32}}
    line = pipeline_of(write_whole(tmp_path, stages, kind="tiled", settings=values), predictor=predictor)
    outcome = line.outcome(picture(pixels))
    (finding,) = outcome.report.findings
    assert finding.area_px == pytest.approx(192, abs=30) and finding.centroid == pytest.approx((0, 65.5, 207.5), abs=1)
    assert finding.area_mm2 is finding.longest_diameter_mm is None and finding.unknown["area_mm2"] == NO_SPACING
    assert outcome.report.verdict.decision == "positive" and outcome.report.classes == []
    draw(outcome)


def test_the_scan_of_another_task_has_no_opinion():
    assert pipeline().outcome(chest()).report.classes == []

"""Inference: tiles, the closer look, and the whole view, with a predictor whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from tiny_chest import EVERYWHERE, SPEC, Blobs, chest, pipeline, scan_of, truth

from medvis.core.case import Case, Prediction
from medvis.core.logits import sigmoid
from medvis.ops.tiles import cover
from medvis.settings import load_task

NATIVE = {"stages.infer.scales": {1.0: 1.0}, "stages.infer.flips": ["none"]}


def inferred(scan, overrides=None, predictor=None, task="lung-nodule"):
    line = pipeline(overrides, predictor, task)
    return line.run(Case(scan, task), last="infer")[0]


@pytest.fixture(scope="module")
def looked() -> Case:
    return inferred(chest())


def test_the_nodules_of_the_phantom_are_found_where_they_are():
    outcome = pipeline().outcome(chest())
    mask, labels = outcome.case.mask, truth()
    for number, nodule in enumerate(SPEC.nodules, start=1):
        here = labels == number
        found = int(np.bincount(mask[here]).argmax())
        assert found > 0, f"nodule {number} was missed"
        both = (here & (mask == found)).sum() / (here | (mask == found)).sum()
        assert both > 0.7, f"nodule {number}: IoU {both:.2f}"
        finding = next(one for one in outcome.report.findings if one.id == found)
        apart = np.subtract(finding.centroid, SPEC.index_of(nodule)) * (SPEC.slice_spacing, *SPEC.spacing)
        assert np.linalg.norm(apart) < 2
        assert finding.longest_diameter_mm == pytest.approx(nodule.diameter_mm, abs=2.5)
        z, y, x = nodule.center_mm
        assert finding.centroid_mm == pytest.approx((x, y, z), abs=2), "in patient coordinates as well"


def test_only_the_region_is_spoken_of(looked):
    prediction, region = looked.prediction, looked.region
    assert 0.1 < region.mean() < 0.5
    outside = np.broadcast_to(~region[:, None], prediction.mask_logits.shape)
    assert (prediction.mask_logits[outside] == Prediction.OUTSIDE).all()
    assert (prediction.evidence[~region] == 0).all() and (prediction.spread[~region] == 0).all()
    assert (prediction.mask_logits[~outside] > Prediction.OUTSIDE).all()


def test_candidates_are_described_row_by_row(looked):
    found = looked.prediction.candidates
    n = len(found)
    assert n >= 9, "three nodules on three frames at the least"
    assert found.frame.shape == found.views.shape == (n,) and found.frame.dtype == found.views.dtype == np.int32
    assert found.box.shape == (n, 4) and found.center.shape == (n, 2)
    assert found.logits.shape == found.spread.shape == (n, 2) and found.embedding.shape == (n, 4)
    assert (np.diff(found.frame) >= 0).all()
    sides = found.box[:, 2:] - found.box[:, :2]
    assert found.box.min() >= 0 and found.box[:, 2:].max() <= 320, "inside the image, which is large enough"
    held = (found.box[:, :2] > 0) & (found.box[:, 2:] < 320)
    assert np.abs(found.center - (found.box[:, :2] + found.box[:, 2:]) / 2)[held].max() <= 1, "centred where it can be"
    assert (sides[:, 0] == sides[:, 1]).all() and (sides % 32 == 0).all() and sides.min() == 96
    assert looked.prediction.labels == ("nodule", "texture")


def test_more_views_are_taken_only_until_they_agree(looked):
    found = looked.prediction.candidates
    settings = load_task("lung-nodule").stages["infer"]
    most = len(settings["scales"]) * len(settings["flips"])
    assert found.views.min() >= 2 and found.views.max() <= most
    assert found.views.min() < most, "someone was settled early"
    assert looked.prediction.views == found.views.sum() + SPEC.frames
    every = inferred(chest(), {"stages.infer.candidate.reject": 0, "stages.infer.candidate.agree": 0})
    assert every.prediction.views > looked.prediction.views


def test_a_single_view_has_no_spread():
    case = inferred(chest(), NATIVE)
    assert (case.prediction.candidates.views == 1).all()
    assert case.prediction.spread.max() < 1e-3 and case.prediction.candidates.spread.max() < 1e-3


def logits(tile, overlap=32):
    overrides = {**NATIVE, **EVERYWHERE, "stages.infer.tile": tile, "stages.infer.overlap": overlap}
    # No closer look: only the tiles are on trial.
    case = inferred(chest(), {**overrides, "stages.infer.candidate.probability": 0.999999999}, Blobs(0.4))
    return case.prediction.mask_logits


def test_a_near_view_shows_the_middle_of_the_crop_as_large_as_the_others():
    scales = {"stages.infer.scales": {1.0: 1.0, 2.0: 1.0}, "stages.infer.flips": ["none"]}
    blobs = Blobs()
    near = inferred(chest(), scales, blobs).prediction
    sides = {shape[-1] for shape in blobs.batches if shape[-1] <= 128}
    assert sides == {96, 128}, "the whole crop, then its middle 64 px at twice the size"
    native = inferred(chest(), NATIVE).prediction
    both = (near.mask_logits > 0) & (native.mask_logits > 0)
    assert both.sum() > 0.8 * (native.mask_logits > 0).sum(), "in the same place"
    assert len(near.candidates) == len(native.candidates)


def test_the_size_of_the_tiles_does_not_matter():
    small, large, whole = (logits(tile)[:, 0] for tile in (96, 192, 320))
    assert small.min() > Prediction.OUTSIDE, "every pixel was looked at"
    for other in (large, whole):
        away = ~(near_seam(96) | near_seam(192))
        assert away.mean() > 0.5
        np.testing.assert_allclose(small[:, away], other[:, away], atol=1e-3)
        assert ((sigmoid(small) > 0.5) == (sigmoid(other) > 0.5)).mean() > 0.999, "and a seam changes little"


def near_seam(tile, overlap=32):
    """Where a tile's border is so near that the blob finder looks over it."""
    near = np.zeros(SPEC.shape, bool)
    for top, left in cover(np.ones(SPEC.shape, bool), tile, overlap):
        inner = np.zeros_like(near)
        inner[top + 4 : top + tile - 4, left + 4 : left + tile - 4] = True
        near[top : top + tile, left : left + tile] |= ~inner[top : top + tile, left : left + tile]
    return near


def test_the_predictor_gets_batches_it_can_take(looked):
    predictor = Blobs()
    inferred(chest(), None, predictor)
    assert all(shape[1] == 1 and shape[2] % 32 == 0 and shape[3] % 32 == 0 for shape in predictor.batches)
    assert max(shape[0] for shape in predictor.batches) > 1, "candidates go through together"


def test_progress_is_told_frame_by_frame():
    line, ticks = pipeline(), []
    line.context.tick = lambda done, total: ticks.append((done, total))
    line.run(Case(chest(), "t"), last="infer")
    assert ticks == [(frame, SPEC.frames) for frame in range(SPEC.frames)]


def test_without_a_lung_the_whole_image_is_searched_and_the_report_says_so():
    frames = np.random.default_rng(0).normal(40, 20, (1, 128, 128))
    outcome = pipeline().outcome(scan_of(frames))
    assert outcome.case.region.all()
    assert any("No lung field was found" in note and "image was searched" in note for note in outcome.report.notes)
    assert outcome.report.verdict.decision == "refer"
    assert "the search region was not found" in outcome.report.verdict.reasons[0]


def test_in_a_head_nothing_outside_of_it_is_found_and_a_person_is_asked():
    row, col = np.mgrid[:256, :256]
    away = np.hypot(row - 128, col - 128)
    head = np.where(away < 95, 35.0, -1000.0)
    head[(away > 88) & (away < 95)] = 900
    tube = np.hypot(row - 20, col - 30) < 9
    head[tube] = 60
    outcome = pipeline().outcome(scan_of(np.stack([head] * 3)))
    assert outcome.report.verdict.decision == "refer" and "search-region-not-found" in outcome.report.verdict.codes
    assert not outcome.case.region[:, tube].any() and not outcome.case.mask[:, tube].any()
    everywhere = pipeline(EVERYWHERE).outcome(scan_of(np.stack([head] * 3)))
    assert everywhere.case.mask[:, tube].any(), "the model would have outlined it"


def test_padding_is_not_searched():
    valid = np.ones((1, 128, 128), bool)
    valid[0, :, 64:] = False
    frames = np.random.default_rng(0).normal(-500, 300, (1, 128, 128))
    case = inferred(scan_of(frames, valid=valid), EVERYWHERE)
    np.testing.assert_array_equal(case.region, valid)
    assert (case.prediction.mask_logits[0, 0][~valid[0]] == Prediction.OUTSIDE).all()


def test_an_empty_lung_gives_no_candidate_and_a_negative_verdict():
    outcome = pipeline(predictor=Blobs(level=0.95)).outcome(chest())
    found = outcome.case.prediction.candidates
    assert len(found) == 0 and found.box.shape == (0, 4) and found.logits.shape == (0, 2)
    assert outcome.report.findings == [] and not outcome.case.mask.any()
    assert outcome.report.verdict.decision == "negative" and outcome.report.verdict.probability is None
    assert outcome.report.uncertainty.largest_finding_spread is None
    assert outcome.report.uncertainty.mean_mask_spread is None


def test_no_more_candidates_than_allowed_are_looked_at():
    case = inferred(chest(), {"stages.infer.candidate.most": 1})
    assert np.bincount(case.prediction.candidates.frame).max() == 1


def test_an_image_smaller_than_a_tile_is_looked_at_too():
    frames = np.full((1, 40, 50), -900.0)
    rows, cols = np.mgrid[0:40, 0:50]
    frames[0][np.hypot(rows - 20, cols - 30) < 6] = 100
    case = pipeline(EVERYWHERE).outcome(scan_of(frames)).case
    inside = np.hypot(rows - 20, cols - 30) < 6
    assert case.mask.shape == (1, 40, 50)
    assert (inside & (case.mask[0] == 1)).sum() / (inside | (case.mask[0] > 0)).sum() > 0.8


@pytest.fixture
def whole(tmp_path):
    """A task of kind `whole` in a YAML of the user's own."""
    body = load_task("lung-nodule").model_dump(mode="json", exclude={"train", "card"})
    body.update(task="whole-chest", kind="whole")
    body["stages"]["infer"] = {"scales": {0.75: 0.5, 1.0: 1.0}, "flips": ["none", "horizontal"]}
    path = tmp_path / "whole-chest.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return str(path)


CARD = {"input": {"channels": 1, "multiple_of": 32, "crop": 160, "unit": "HU"}}


def test_a_whole_task_looks_at_the_entire_image_once_a_view(whole):
    predictor = Blobs(**CARD)
    case = inferred(chest(), None, predictor, whole)
    prediction = case.prediction
    # 320 px are fitted into the 160 px that the card asks for, times 0.75 and 1.
    assert {shape[2:] for shape in predictor.batches} == {(160, 160), (128, 128)}
    assert prediction.views == sum(shape[0] for shape in predictor.batches) == 4 * SPEC.frames
    assert prediction.mask_logits.shape == (5, 1, 320, 320) and prediction.mask_logits.dtype == np.float32
    assert prediction.evidence.shape == prediction.spread.shape == (5, 320, 320)
    assert prediction.evidence.min() >= 0 and prediction.evidence.max() <= 1
    assert prediction.candidates is None and case.region is None
    assert prediction.logits.shape == prediction.logits_spread.shape == (2,)
    assert prediction.embedding.shape == (4,)


def test_a_whole_task_speaks_for_its_strongest_frame(whole):
    frames = np.full((3, 64, 64), -900.0)
    frames[1, 8:56, 8:56] = 200.0
    frames[2, 20:30, 20:30] = 200.0
    together = inferred(scan_of(frames), None, Blobs(**CARD), whole).prediction
    alone = inferred(scan_of(frames[1:2]), None, Blobs(**CARD), whole).prediction
    np.testing.assert_allclose(together.logits, alone.logits, atol=1e-5)
    np.testing.assert_allclose(together.embedding, alone.embedding, atol=1e-5)
    np.testing.assert_allclose(together.mask_logits[1], alone.mask_logits[0], atol=1e-5)


def test_a_whole_task_finds_a_blob_in_place_on_an_oblong_image(whole):
    frames = np.full((1, 96, 150), -900.0)
    frames[0, 30:60, 90:130] = 200.0
    outcome = pipeline(None, Blobs(**CARD), whole).outcome(scan_of(frames))
    (finding,) = outcome.report.findings
    assert finding.centroid == pytest.approx((0, 44.5, 109.5), abs=1.0)
    assert finding.area_px == pytest.approx(1200, rel=0.1)
    hot = outcome.case.evidence[0] > 0.5
    assert hot[40:50, 100:120].all() and not hot[:20].any() and not hot[:, :70].any()
    assert [one.name for one in finding.attributes] == ["texture"], "of the whole image"
    assert "malignancy" in finding.unknown

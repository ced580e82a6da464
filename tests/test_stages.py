"""Every registered stage passes one sweep; window, enhance and explain also one by one."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tiny_bundle import pipeline_of
from tiny_chest import Blobs, chest, pipeline, scan_of, truth
from tiny_whole import CHEST, Tones, patch, picture, write_whole

from medvis import plugins
from medvis.core.case import Case
from medvis.core.geometry import Geometry
from medvis.errors import InputError, ModelError, StageError
from medvis.ops.window import window as voi_window
from medvis.stages.base import Context

ORDER = ("window", "enhance", "infer", "segment", "measure", "judge", "explain")
WHOLE = ("classify",)  # the stages that are for tasks of kind `whole` only
METHODS = {"enhance": ({"method": "clahe"}, {"method": "denoise"}, {"method": "none"})}


VARIANTS = [
    pytest.param(name, values, id=f"{name} {values.get('method', '')}".strip())
    for name in plugins.names("medvis.stages")
    for values in METHODS.get(name, ({},))
]


def stage_of(name: str, values=None):
    """A registered stage with the settings of the bundled task, where that has some."""
    line = pipeline(predictor=Tones(CHEST, {})) if name in WHOLE else pipeline()
    kind = plugins.load("medvis.stages", name)
    return kind(kind.Settings(**{**line.config.stages.get(name, {}), **(values or {})}), line.context)


def arrays(value, seen=None):
    """Every array that can be reached from a frozen object."""
    if isinstance(value, np.ndarray):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from arrays(getattr(value, field.name))


def freeze(case: Case) -> list[np.ndarray]:
    """Makes every array of a case read-only; returns copies to compare with."""
    for array in arrays(case):
        array.flags.writeable = False
    return [array.copy() for array in arrays(case)]


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The case as each built-in stage finds it; any other stage is given the finished one."""
    line, found = pipeline(), {}
    case = line.accept(chest(valid=truth() >= 0))
    for name in ORDER:
        found[name] = case
        case, _ = line.run(case, first=name, last=name)
    whole = pipeline_of(
        write_whole(tmp_path_factory.mktemp("whole")), predictor=Tones(CHEST, {"tuberculosis": (20, 0.9)})
    )
    looked, _ = whole.run(whole.accept(picture(patch())), last="infer")
    return {**dict.fromkeys(plugins.names("medvis.stages"), case), **dict.fromkeys(WHOLE, looked), **found}


@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_a_stage_keeps_the_contract(before, name, values):
    stage, case = stage_of(name, values), before[name]
    copies = freeze(case)
    first, second = stage(case), stage(case)
    assert type(first) is Case and first is not case
    for array, copy in zip(arrays(case), copies, strict=True):
        np.testing.assert_array_equal(array, copy)  # beside being read-only
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.findings == second.findings and first.verdict == second.verdict and first.notes == second.notes
    assert first.classes == second.classes and first.evidence_of == second.evidence_of
    assert [step.name for step in first.scan.trail] == [*(step.name for step in case.scan.trail), name]
    json.dumps(first.scan.trail[-1].settings, allow_nan=False)
    assert all(getattr(first, given) is not None for given in stage.gives)
    assert first.scan.geometry == case.scan.geometry and first.scan.source == case.scan.source
    np.testing.assert_array_equal(first.scan.pixels, case.scan.pixels)


@pytest.mark.parametrize(("name", "values"), VARIANTS)
def test_what_a_stage_gives_lies_on_the_grid_of_the_scan(before, name, values):
    case = stage_of(name, values)(before[name])
    grid = case.scan.pixels.shape[:3]
    for field in ("region", "mask", "evidence"):
        assert getattr(case, field) is None or getattr(case, field).shape == grid
    if case.view is not None:
        assert case.view.shape == case.scan.pixels.shape and case.view.dtype == np.float32
        assert case.view.min() >= 0 and case.view.max() <= 1
    if case.prediction is not None:
        masks = 0 if name in WHOLE else 1
        assert case.prediction.mask_logits.shape == (grid[0], masks, *grid[1:])
        assert case.prediction.spread.shape == case.prediction.evidence.shape == grid


@pytest.mark.parametrize("name", [name for name in plugins.names("medvis.stages") if name != "window"])
def test_a_stage_without_what_it_needs_says_what_to_run(name):
    stage = stage_of(name)
    need = stage.needs[0].split("|")[0]
    with pytest.raises(StageError, match=rf"stage '{name}' has no {need}; run '\w+' before it"):
        stage(Case(chest(), "lung-nodule"))


def test_a_context_without_a_model_says_so():
    with pytest.raises(ModelError, match=r"task 'lung-nodule' has no model; name a bundle in its YAML"):
        _ = Context(pipeline().config).predictor


def test_the_model_is_opened_once_and_only_when_it_is_needed():
    opened = []
    context = Context(pipeline().config, lambda: opened.append(1) or Blobs())
    assert opened == []
    assert context.card is context.predictor.card and opened == [1]


def windowed(scan, task="lung-nodule", **settings):
    overrides = {f"stages.window.{key}": value for key, value in settings.items()}
    line = pipeline(overrides, task=task)
    case, _ = line.run(Case(scan, task), last="window")
    return case


def test_the_view_is_the_window_of_the_config():
    case = windowed(chest())
    np.testing.assert_allclose(case.view, voi_window(chest().pixels, -150, 2400, "LINEAR_EXACT"), atol=1e-6)
    wanted = {"preset": None, "center": -150.0, "width": 2400.0, "function": "LINEAR_EXACT"}
    wanted |= {"range": "valid", "grey": False}
    assert case.scan.trail[-1].settings == wanted


def test_without_a_window_the_view_is_the_range_of_the_valid_pixels():
    frames = np.linspace(-1000, 1000, 40 * 40).reshape(1, 40, 40)
    valid = frames < 500
    view = windowed(scan_of(frames, valid=valid), center=None, width=None).view[..., 0]
    assert view[valid].min() == 0 and view[valid].max() == pytest.approx(1)
    assert (view[~valid] == 0).all(), "padding is black"


def test_padding_is_black_in_a_window_too():
    frames = np.full((1, 40, 40), 300.0)
    frames[0, :5] = -500
    valid = np.ones((1, 40, 40), bool)
    valid[0, 20:] = False
    view = windowed(scan_of(frames, valid=valid)).view[..., 0]
    assert (view[0, 20:] == 0).all() and (view[0, 6:20] > 0.5).all()


@pytest.mark.parametrize(
    ("frames", "changes", "message"),
    [
        (np.zeros((1, 1, 1)), {}, r"chest is 1×1 pixels; wanted: at least 32×32"),
        (np.zeros((1, 31, 64)), {}, r"chest is 31×64 pixels"),
        (np.full((1, 64, 64), 7.0), {}, r"chest holds one value only \(7 HU\); wanted: an image with contrast"),
        (np.zeros((1, 64, 64)), {"valid": np.zeros((1, 64, 64), bool)}, "chest holds nothing but padding"),
        (np.zeros((1, 64, 64)), {"unit": "US"}, r"chest is in unit 'US'; wanted: HU for this task"),
        (np.zeros((1, 64, 64)), {"unit": "grey", "bits": 16}, r"chest is in unit 'grey'; wanted: HU"),
    ],
)
def test_an_image_that_cannot_be_looked_at_is_refused_in_one_line(frames, changes, message):
    with pytest.raises(InputError, match=message):
        windowed(scan_of(frames, **changes))


def test_a_picture_of_a_ct_is_put_on_an_estimated_scale_and_says_so():
    hu = chest().pixels[2:3, ..., 0]
    grey = np.rint((hu - hu.min()) / np.ptp(hu) * 255)
    scan = scan_of(grey, unit="grey", bits=8, modality=None, geometry=Geometry())
    case = windowed(scan)
    assert "estimated Hounsfield scale" in case.notes[0]
    assert (case.scan.unit, case.scan.fact("window", "estimated_unit")) == ("grey", "HU")
    np.testing.assert_array_equal(case.scan.pixels, scan.pixels)
    tissue = (hu > -950) & (hu < 150)
    assert np.abs(case.view[..., 0] - windowed(scan_of(hu)).view[..., 0])[tissue].mean() < 60 / 2400
    assert scan.unit == "grey" and scan.pixels.max() == 255, "the scan that was given stays as it was"


def test_enhancement_changes_the_view_and_none_does_not():
    scan = chest()
    views = {}
    for method in ("none", "clahe", "denoise"):
        case, _ = pipeline({"stages.enhance.method": method}).run(Case(scan, "t"), last="enhance")
        views[method] = case.view
    np.testing.assert_array_equal(views["none"], windowed(scan).view)
    lung = (scan.pixels < -700) & (scan.pixels > -950)
    assert views["clahe"][lung].std() > 1.5 * views["none"][lung].std(), "contrast of the lung is stretched"
    assert np.abs(np.diff(views["denoise"], axis=2)).mean() < np.abs(np.diff(views["none"], axis=2)).mean()


@pytest.mark.parametrize("method", ["clahe", "denoise"])
def test_enhancement_does_not_look_at_padding(method):
    frames = np.random.default_rng(0).normal(-600, 200, (1, 64, 64))
    valid = np.ones((1, 64, 64), bool)
    valid[0, :, 48:] = False
    line = pipeline({"stages.enhance.method": method})
    views = []
    for filler in (-1000.0, 3000.0):
        scan = scan_of(np.where(valid, frames, filler), valid=valid)
        views.append(line.run(Case(scan, "t"), last="enhance")[0].view[valid])
    np.testing.assert_array_equal(*views)


def test_evidence_below_the_floor_is_not_shown(before):
    shown = stage_of("explain", {"floor": 0.4, "odds": 1})(before["explain"]).evidence
    seen = before["explain"].prediction.evidence
    np.testing.assert_allclose(shown, np.where(seen >= np.float32(0.4), seen, 0), atol=1e-6)
    assert 0 < (shown > 0).sum() < (seen > 0).sum()


def test_the_weight_that_evidence_was_trained_with_is_taken_out_of_its_odds(before):
    shown = stage_of("explain", {"floor": 0, "odds": 4})(before["explain"]).evidence.astype(np.float64)
    seen = before["explain"].prediction.evidence.astype(np.float64)
    between = (seen > 0.01) & (seen < 0.99)
    odds = (seen / (1 - seen))[between]
    np.testing.assert_allclose((shown / (1 - shown))[between], odds / 4, rtol=1e-3)
    assert (shown[seen == 0] == 0).all()

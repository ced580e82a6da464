"""The pipeline: which task, which scans, in what order, and the same report whichever way it is run."""

from __future__ import annotations

import math
import shutil

import dicom_maker as maker
import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from tiny_chest import Blobs, chest, pipeline, scan_of

import medvis
from medvis.builtin_tasks import configs_folder
from medvis.core.case import Case
from medvis.core.display import Display
from medvis.core.report import Report
from medvis.errors import InputError, ModelError, SettingsError
from medvis.phantom.series import write_phantom
from medvis.phantom.volume import NoduleSpec, PhantomSpec
from medvis.pipeline import Pipeline, choose_task, load
from medvis.plugins import load as load_plugin
from medvis.preprocess.enhance import EnhanceSettings
from medvis.settings import load_task

BUNDLE = load_plugin("medvis.bundles", "lung-nodule")
needs_bundle = pytest.mark.skipif(not (BUNDLE / "model.onnx").is_file(), reason="the bundle is not in this checkout")


def small(**changes):
    return scan_of(np.random.default_rng(0).normal(-500, 300, (1, 64, 64)), **changes)


@pytest.fixture
def write(tmp_path):
    """Writes a task's YAML: the bundled one with changes."""

    def write(name="mine", **changes):
        body = yaml.safe_load((configs_folder() / "lung-nodule.yaml").read_text(encoding="utf-8"))
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**body, "task": name, **changes}, sort_keys=False), encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("part", ["CHEST", "LUNG", "THORAX", "CHEST_TO_PELVIS", None])
def test_a_chest_ct_is_for_the_lung_nodule_task(part):
    assert choose_task(small(body_part=part)) == "lung-nodule"


@pytest.mark.parametrize(
    ("facts", "described"),
    [
        ({"modality": "MR"}, "modality MR, body part CHEST"),
        ({"modality": "US", "body_part": None}, "modality US, body part not given"),
        ({"body_part": "HEAD"}, "modality CT, body part HEAD"),
    ],
)
def test_a_scan_that_no_task_is_for_is_one_clear_line(facts, described):
    with pytest.raises(InputError) as caught:
        choose_task(small(**facts))
    line = caught.value.line
    assert line.startswith(f"no task for chest ({described}); wanted: --task with one of ")
    assert "lung-nodule" in line and line.endswith("see 'medvis tasks'")


def test_a_picture_cannot_tell_what_it_is_for():
    with pytest.raises(InputError, match=r"chest .*names no modality.*; wanted: --task with one of .*lung-nodule"):
        choose_task(small(modality=None, body_part=None, unit="grey", bits=8))


def test_a_scan_that_several_tasks_are_for_asks_which(monkeypatch, write):
    paths = [write("one"), write("two"), write("never", accepts={"modalities": ["CT"], "auto": False})]
    monkeypatch.setattr("medvis.pipeline.task_names", lambda: paths)
    with pytest.raises(InputError, match=r"chest \(.*\) fits several tasks; wanted: --task one or two$"):
        choose_task(small())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"modality": "MR"}, r"chest is of modality MR; wanted: CT for task 'lung-nodule'; see 'medvis tasks'"),
        ({"body_part": "KNEE"}, r"chest shows KNEE; wanted: CHEST or LUNG or THORAX for task 'lung-nodule'"),
        ({"pixels": np.zeros((1, 40, 40, 3), np.float32)}, r"chest has 3 channels; wanted: 1 for task 'lung-nodule'"),
    ],
)
def test_a_scan_that_does_not_fit_the_task_is_refused(facts, message):
    with pytest.raises(InputError, match=message):
        pipeline().accept(small(**facts))


def test_a_picture_is_taken_where_the_task_takes_pictures(write):
    picture = small(modality=None, body_part=None, unit="grey", bits=8)
    assert pipeline().accept(picture).scan is picture
    strict = write(accepts={"modalities": ["CT"], "raster": False})
    with pytest.raises(InputError, match=r"chest is a picture without a modality; wanted: CT for task 'mine'"):
        pipeline(task=strict).accept(picture)


def test_an_accepted_scan_becomes_a_case_of_the_task_as_it_was_asked_for(write):
    path = write()
    case = pipeline(task=path).accept(small())
    assert isinstance(case, Case) and case.task == path, "so that the next command finds the same YAML"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["enhance", "window"], "stage 'enhance' needs view before it"),
        (["window", "segment"], "stage 'segment' needs prediction before it"),
        (["window", "infer", "measure"], "stage 'measure' needs mask, scores before it"),
        (["window", "infer", "segment", "judge"], "stage 'judge' needs findings or classes before it"),
    ],
)
def test_stages_in_an_impossible_order_are_refused_before_a_pixel_is_read(write, stages, message):
    with pytest.raises(SettingsError, match=f"task 'mine': {message}"):
        Pipeline(write(stages={name: {} for name in stages}))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"stages.sharpen.much": 1}, r"unknown stage 'sharpen'; wanted: one of classify, enhance"),
        ({"stages.infer.tiles": 3}, r"^stages.infer.tiles: extra inputs"),
        ({"stages.infer.tile": 100}, r"^stages.infer.tile: .*multiple of 32"),
        ({"stages.infer.candidate.probability": 2}, r"^stages.infer.candidate.probability"),
        ({"stages.segment.high": "much"}, r"^stages.segment.high"),
        ({"stages.window.function": "CUBIC"}, r"^stages.window.function"),
        ({"stages.infer.resample.spacing_mm": math.inf}, r"^stages.infer.resample.spacing_mm: .*finite"),
        ({"display.width": math.inf}, r"display.width: .*finite"),
    ],
)
def test_a_wrong_setting_is_named_with_its_stage(overrides, message):
    with pytest.raises(SettingsError, match=message):
        Pipeline("lung-nodule", overrides)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"preset": "lungs"}, r"no window named 'lungs'; wanted: one of abdomen"),
        ({"preset": None, "center": 0, "width": 0.5, "function": "LINEAR"}, r"window 0/0.5 .*a width of at least 1"),
    ],
)
def test_a_window_that_cannot_be_is_a_wrong_setting(window, message):
    with pytest.raises(SettingsError, match=message):
        pipeline({f"stages.window.{name}": value for name, value in window.items()}).run(Case(small(), "t"))


@pytest.mark.parametrize("tiles", [[0, 8], [8, -1]])
def test_clahe_needs_tiles(tiles):
    with pytest.raises(ValidationError, match="greater than 0"):
        EnhanceSettings(tiles=tiles)


def test_an_override_reaches_its_stage_and_the_trail():
    case, _ = pipeline({"stages.window.center": 40}).run(Case(small(), "t"), last="window")
    assert case.scan.trail[-1].settings["center"] == 40


def test_one_run_and_stage_by_stage_give_the_same_report():
    line = pipeline()
    at_once = line.outcome(chest())
    case = line.accept(chest())
    for stage in line.stages:
        case, timings = pipeline().run(case, first=stage.name, last=stage.name)
        assert list(timings) == [stage.name]
    step_by_step = line.conclude(case)
    assert at_once.report.canonical() == step_by_step.report.canonical()
    assert at_once.report != step_by_step.report, "only the timings differ"
    assert set(at_once.report.provenance.timings_s) == {stage.name for stage in line.stages}
    np.testing.assert_array_equal(at_once.case.mask, step_by_step.case.mask)
    np.testing.assert_array_equal(at_once.case.evidence, step_by_step.case.evidence)


def test_a_pipeline_serves_many_scans_and_remembers_none():
    line = pipeline()
    first = line.outcome(chest()).report.canonical()
    line.outcome(small())
    assert line.outcome(chest()).report.canonical() == first


def test_the_outcome_holds_what_the_writers_need():
    outcome = pipeline().outcome(chest())
    assert isinstance(outcome.report, Report)
    assert outcome.display == Display(name="lung", center=-600.0, width=1500.0)
    facts = outcome.report.scan
    assert (facts.frames, facts.rows, facts.cols, facts.channels, facts.unit) == (5, 320, 320, 1, "HU")
    assert facts.spacing_mm == (1.1, 1.1) and facts.slice_spacing_mm == 2.5
    assert Report.model_validate_json(outcome.report.model_dump_json()) == outcome.report


def test_a_part_of_the_stages_can_be_run():
    line = pipeline()
    case, timings = line.run(Case(small(), "t"), last="enhance")
    assert list(timings) == ["window", "enhance"] and case.prediction is None
    with pytest.raises(SettingsError, match=r"task 'lung-nodule' has no stage 'sharpen'; wanted: one of window, "):
        line.run(case, first="sharpen")


def test_the_model_is_not_opened_before_it_is_needed(write):
    line = Pipeline(write(bundle="absent"))
    case, _ = line.run(line.accept(small()), last="enhance")
    with pytest.raises(ModelError, match=r"no model card .*absent.card\.yaml; wanted: a bundle folder, or one of"):
        line.run(case, first="infer")


def test_a_task_without_a_bundle_says_so(write):
    line = Pipeline(write(bundle=None))
    with pytest.raises(SettingsError, match=r"task 'mine' names no bundle; wanted: bundle: NAME or a folder"):
        _ = line.context.predictor


def test_an_unknown_backend_lists_the_known_ones(write):
    with pytest.raises(SettingsError, match=r"unknown backend 'gpu'; wanted: one of .*onnx"):
        _ = Pipeline(write(backend="gpu")).context.predictor


@needs_bundle
def test_a_users_own_yaml_finds_the_bundle_beside_it(write, tmp_path, monkeypatch):
    shutil.copytree(BUNDLE, tmp_path / "my-bundle")
    line = Pipeline(write(bundle="my-bundle"))
    monkeypatch.chdir("/")
    assert line.context.card.task == "lung-nodule"
    loaded = line.context.predictor
    shutil.rmtree(tmp_path / "my-bundle")
    assert line.context.predictor is loaded, "loaded once"


@pytest.fixture(scope="module")
def dicom(tmp_path_factory):
    """One phantom slice with a nodule as a DICOM file."""
    spec = PhantomSpec(frames=1, nodules=(NoduleSpec((0.0, 14.0, 92.0), 14.0),))
    return write_phantom(spec, tmp_path_factory.mktemp("phantom"))[0]


@needs_bundle
def test_the_shipped_model_finds_a_plain_nodule(dicom):
    report = medvis.diagnose(dicom)
    assert report.task == "lung-nodule" and report.scan.modality == "CT"
    row, col = PhantomSpec(frames=1).index_of(NoduleSpec((0.0, 14.0, 92.0), 14.0))[1:]
    near = [one for one in report.findings if np.hypot(one.centroid[1] - row, one.centroid[2] - col) < 6]
    assert len(near) == 1
    assert near[0].longest_diameter_mm == pytest.approx(14, abs=4)
    assert near[0].malignancy is not None and near[0].attributes
    assert medvis.diagnose(dicom, task="lung-nodule").canonical() == report.canonical()


@needs_bundle
def test_the_public_functions_take_overrides(dicom):
    report = medvis.diagnose(str(dicom), overrides={"stages.segment.finding": 0.999})
    assert report.findings == []
    assert report.provenance.config_sha256 != load_task("lung-nodule").sha256
    assert medvis.load(dicom).frames == 1


def test_a_third_partys_predictor_needs_nothing_but_a_card():
    report = Pipeline("lung-nodule", None, Blobs(version="9")).outcome(scan_of(chest().pixels[..., 0])).report
    assert report.provenance.model_name == "tiny 9"
    assert report.findings and report.findings[0].centroid_mm is None


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_localizer_is_not_diagnosed_as_a_file_or_as_a_folder(tmp_path, as_folder):
    """PS3.3 C.8.2.1.1.1: value 3 of Image Type. Alone in a file it was called negative."""
    ds = maker.ct(np.full((64, 64), -500) + np.arange(64), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    path = maker.save(ds, tmp_path / "scout" / "a.dcm")
    with pytest.raises(InputError, match="localizer"):
        line = Pipeline("lung-nodule")
        line.accept(load(path.parent if as_folder else path))


@pytest.mark.parametrize(("orientation", "plane"), [(maker.CORONAL, "coronal"), (maker.SAGITTAL, "sagittal")])
def test_slices_of_another_plane_than_the_model_has_learned_are_refused(tmp_path, orientation, plane):
    ds = maker.ct(np.full((64, 64), -500) + np.arange(64), ImageOrientationPatient=list(orientation))
    with pytest.raises(InputError, match=f"shows {plane} slices; wanted: axial"):
        Pipeline("lung-nodule").accept(load(maker.save(ds, tmp_path / "a.dcm")))

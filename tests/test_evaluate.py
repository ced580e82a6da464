"""Evaluation: figures by the shipped pipeline, on crops and on whole slices, with intervals and baselines."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256

import cv2
import numpy as np
import pytest
from tiny_chest import EVERYWHERE, NODULES, Blobs, pipeline
from tiny_data import write_data
from tiny_sets import write_index

from medvis.dicom.write_ct import SeriesFacts, write_ct_series
from medvis.errors import InputError
from medvis.learn.bundling.card_file import add_figures, write_card
from medvis.learn.data.scans import LabelledScan, labelled_scans
from medvis.learn.measuring.evaluate import baselines_hold, evaluate
from medvis.learn.measuring.evaluate_crops import evaluate_crops
from medvis.learn.measuring.evaluate_slices import evaluate_slices
from medvis.learn.measuring.evaluation import Evaluation, FigureMaker
from medvis.model.bundle import read_card
from medvis.model.card import Card, Figure
from medvis.phantom.series import geometry_of
from medvis.phantom.volume import PhantomSpec, chest_phantom
from medvis.settings import Measured

LABELS = [{"name": "nodule", "kind": "binary"}, {"name": "malignancy", "kind": "binary", "platt": [1.0, 0.0]}]
SIZE_ONLY = {"malignancy": {"malignancy": 0.0, "log_area_mm2": 1.5, "bias": -7.14}}


def quiet(*_):
    """No progress."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("crops"))


@pytest.fixture(scope="module")
def crops(data):
    model = Blobs(labels=LABELS, calibration=SIZE_ONLY, thresholds={"high": 0.5, "low": 0.4, "finding": 0.3})
    return evaluate_crops(pipeline(EVERYWHERE, model), data, "test", quiet)


def figure(evaluation, start) -> Figure:
    return next(one for one in evaluation.figures if one.name.startswith(start))


def test_crops_give_dice_recall_and_false_findings_with_intervals(crops):
    assert [one.name.split()[0] for one in crops.figures[:4]] == ["Dice,", "Dice,", "Recall", "False"]
    for one in crops.figures[:4]:
        low, high = one.ci95
        assert low <= one.value <= high and one.n == 12
    assert 0.2 < figure(crops, "Dice, mean").value < 1
    assert figure(crops, "Recall").value > 0.8
    assert crops.facts == {"crops": 12, "patients": 3, "side_px": 96, "seed": 0}


def test_the_disc_at_the_known_centre_is_quoted_beside(crops):
    baseline = figure(crops, "Dice, mean").baseline
    assert baseline.startswith("disc of radius 5 at the known centre 0.")
    assert 0.3 < float(baseline.partition(";")[0].split()[-1]) < 0.7


def test_malignancy_is_judged_per_nodule_and_beside_plain_area(crops):
    one = figure(crops, "AUC")
    assert one.value == 1 and one.n == 6 and one.baseline == "area of the reference mask alone 1.000"
    assert figure(crops, "Sensitivity").n == figure(crops, "Specificity").n == 3
    assert figure(crops, "Sensitivity").value == figure(crops, "Specificity").value == 1


def test_a_model_that_finds_nothing_scores_nought_and_is_not_called_right(data):
    blind = evaluate_crops(pipeline(EVERYWHERE, Blobs(level=2.0, labels=LABELS)), data, "test", quiet)
    assert figure(blind, "Dice, mean").value == 0 and figure(blind, "Recall").value == 0
    assert figure(blind, "False").value == 0
    assert figure(blind, "AUC").value == 0.5 and figure(blind, "Sensitivity").value == 0


def test_without_both_ratings_no_rating_is_judged(data, tmp_path):
    folder = write_data(tmp_path / "benign")
    path = folder / "index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("malignant,", "benign,"), encoding="utf-8")
    only = evaluate_crops(pipeline(EVERYWHERE, Blobs(labels=LABELS)), folder, "test", quiet)
    assert len(only.figures) == 4


def test_ratings_that_mean_nothing_are_counted(data, tmp_path):
    path = write_data(tmp_path / "odd") / "index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("malignant,", "malignnt,"), encoding="utf-8")
    odd = evaluate_crops(pipeline(EVERYWHERE, Blobs(labels=LABELS)), path.parent, "test", quiet)
    assert odd.facts["labels that the task does not know"] == {"malignnt": 6}


def test_an_evaluation_is_repeatable_json_and_lines(crops, data):
    model = Blobs(labels=LABELS, calibration=SIZE_ONLY, thresholds={"high": 0.5, "low": 0.4, "finding": 0.3})
    again = evaluate_crops(pipeline(EVERYWHERE, model), data, "test", quiet)
    assert json.dumps(again.as_dict(), allow_nan=False) == json.dumps(crops.as_dict())
    assert crops.data == f"{data.name} test", "the data set's name, not its place"
    name, text = crops.lines()[0]
    assert name == crops.figures[0].name and text.startswith(f"{crops.figures[0].value:.3f}  [") and "n=12" in text


def test_a_line_holds_what_is_known():
    one = Figure(name="x", value=0.5)
    full = Figure(name="y", value=0.5, ci95=(0.4, 0.6), n=3, bar="≥ 0.4", baseline="0.1")
    lines = Evaluation("t", "1", "d", [one, full]).lines()
    assert lines == [("x", "0.500"), ("y", "0.500  [0.400, 0.600]  n=3  bar ≥ 0.4 reached  baseline: 0.1")]


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Two folders of slices with masks: one with nodules in the middle, one without any."""
    root = tmp_path_factory.mktemp("slices")
    for name, nodules in (("with", NODULES), ("without", ())):
        spec = PhantomSpec(frames=3, shape=(256, 256), spacing=(1.375, 1.375), slice_spacing=6.0, nodules=nodules)
        volume, labels = chest_phantom(spec)
        folder = root / name
        facts = SeriesFacts("PHANTOM", name, "Synthetic", None, spec.slice_spacing)
        paths = write_ct_series(volume, geometry_of(spec), folder, facts, False)
        (folder / "masks").mkdir()
        for path, mask in zip(sorted(paths), labels, strict=True):
            cv2.imwrite(str(folder / "masks" / f"{path.stem}.png"), ((mask == 3) * 3).astype(np.uint8))
    return root


def test_slices_are_judged_alone_and_as_series(slices):
    told = []
    found = evaluate_slices(pipeline(), slices, lambda *at: told.append(at))
    assert [one.name.rsplit(", ", 1)[1] for one in found.figures] == ["each slice alone"] * 2 + ["as series"] * 2
    assert figure(found, "Recall").value == 1 and figure(found, "Recall").n >= 1
    assert figure(found, "False findings a slice").n == 6
    assert figure(found, "False findings a slice").value > 0, "the unmarked nodules count as false"
    best = {name: value for name, (value, _) in found.facts["slices"].items()}
    assert len(best) == 6 and {"with/0001.dcm", "without/0001.dcm"} <= set(best), "slices of one name are kept apart"
    assert sum(value is not None for value in best.values()) == figure(found, "Recall").n
    assert told[-1] == (12, 12) and len(told) == 8
    assert (found.facts["readers"], found.data) == (2, slices.name)


@pytest.fixture
def listed(slices, tmp_path):
    """The two scans in a set with series.csv: `with` for tests, `without` for training, each of three readers."""
    root = tmp_path / "listed"
    shutil.copytree(slices, root)
    return root


def list_scans(root, **rows):
    lines = [f"{name},{values}" for name, values in rows.items()]
    (root / "series.csv").write_text("\n".join(["folder,patient,split,complete,readers", *lines]), encoding="utf-8")


def test_scans_of_other_splits_are_never_measured(listed):
    list_scans(listed, **{"with": "P1,test,1,3", "without": "P2,train,1,3"})
    assert labelled_scans(listed, "test") == [LabelledScan(listed / "with", "P1", complete=True, least=2)]
    assert labelled_scans(listed / "with", "test") == [LabelledScan(listed / "with", "P1", complete=True, least=2)]
    found = evaluate_slices(pipeline(), listed, quiet)
    assert {name.partition("/")[0] for name in found.facts["slices"]} == {"with"}
    with pytest.raises(InputError, match=r"series.csv has no scan of split 'test'; wanted: one of train"):
        evaluate("lung-nodule", listed / "without", "test", quiet)
    with pytest.raises(InputError, match=r"no scan of split 'val'; wanted: one of test, train"):
        evaluate("lung-nodule", listed, "val", quiet)


def test_a_scan_that_is_read_without_a_mark_has_masks_that_are_empty(listed):
    shutil.rmtree(listed / "without" / "masks")
    list_scans(listed, **{"with": "P1,train,1,3", "without": "P2,test,1,4"})
    assert [scan.masked for scan in labelled_scans(listed, "test")] == [True]
    list_scans(listed, **{"with": "P1,train,1,3", "without": "P2,test,1,0"})
    assert labelled_scans(listed, "test") == [], "nobody has read it"
    list_scans(listed, **{"with": "P1,train,1,3", "without": "P2,test,0,4"})
    assert labelled_scans(listed, "test") == [], "not all of it is marked"


def test_scans_that_nobody_has_marked_or_read_are_named_and_not_measured(listed, monkeypatch):
    monkeypatch.setattr("medvis.pipeline.open_model", lambda _: pipeline().context.predictor)
    shutil.rmtree(listed / "without" / "masks")
    list_scans(listed, **{"with": "P1,test,1,3", "without": "P2,test,0,4"})
    facts = evaluate("lung-nodule", listed, "test", quiet).facts
    assert facts["not_measured"] == ["without"]
    assert {name.partition("/")[0] for name in facts["slices"]} == {"with"}


def test_a_slice_without_a_mask_is_a_slice_on_which_nothing_is_marked(slices, listed):
    before = evaluate_slices(pipeline(), slices, quiet)
    empty = [path for path in listed.glob("*/masks/*.png") if not cv2.imread(str(path), cv2.IMREAD_UNCHANGED).any()]
    assert empty
    for path in empty:
        path.unlink()
    after = evaluate_slices(pipeline(), listed, quiet)
    assert (after.figures, after.facts) == (before.figures, before.facts)


def test_findings_are_false_only_where_all_is_marked_and_nothing_is_ignored(listed):
    before = evaluate_slices(pipeline(), listed, quiet)
    list_scans(listed, **{"with": "P1,test,0,3", "without": "P2,train,1,3"})
    found = evaluate_slices(pipeline(), listed, quiet)
    assert [one.name.split(" (")[0] for one in found.figures] == ["Recall of slices with a nodule"] * 2
    assert {extra for _, extra in found.facts["slices"].values()} == {None}
    assert "false" not in found.worst[0].description
    (listed / "series.csv").unlink()
    (listed / "with" / "ignore").mkdir()
    for path in (listed / "with" / "masks").glob("*.png"):
        everywhere = np.full(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape, 255, np.uint8)
        cv2.imwrite(str(listed / "with" / "ignore" / path.name), everywhere)
    ignored = evaluate_slices(pipeline(), listed, quiet)
    extra = {name: [row[name][1] for row in (before.facts["slices"], ignored.facts["slices"])] for name in
             before.facts["slices"]}  # fmt: skip
    assert any(was for name, (was, _) in extra.items() if name.startswith("with/")), "else nothing is tested"
    assert all(now == (0 if name.startswith("with/") else was) for name, (was, now) in extra.items())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("folder,split\nwith,test", r"series.csv has no column 'complete' .*; wanted: columns folder, split, complete"),
        ("folder,split,complete,readers\nwith,test,1,few", r"has readers 'few' for with; wanted: a whole number"),
        (b"folder,split,complete\nwith\xff,test,1", r"series.csv cannot be read"),
    ],
)
def test_a_list_of_scans_that_cannot_be_read_is_one_line(listed, table, message):
    (listed / "series.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(InputError, match=message):
        labelled_scans(listed, "test")


def test_where_no_slice_has_a_nodule_nothing_is_said_about_recall(slices):
    found = evaluate_slices(pipeline(), slices / "without", quiet)
    assert [one.name.split(",")[0] for one in found.figures] == ["False findings a slice"] * 2


def test_the_layout_tells_what_is_measured(slices, data, tmp_path, monkeypatch):
    assert labelled_scans(slices, "any") == [
        LabelledScan(slices / name, name, complete=True, least=None) for name in ("with", "without")
    ]
    assert labelled_scans(slices / "with", "any") == [LabelledScan(slices / "with", "with")]
    with pytest.raises(InputError, match=r"no folder .*gone; wanted: a data set"):
        evaluate("lung-nodule", tmp_path / "gone", "test", quiet)
    with pytest.raises(InputError, match=r"is no data set; wanted: index.csv with images, .* or folders of NAME.dcm"):
        evaluate("lung-nodule", tmp_path, "test", quiet)
    with pytest.raises(InputError, match=r"no slices with masks in"):
        evaluate_slices(pipeline(), tmp_path, quiet)
    monkeypatch.setattr("medvis.pipeline.open_model", lambda _: Blobs(labels=LABELS))
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_card(bundle, Blobs(labels=LABELS).card)
    assert evaluate("lung-nodule", data, "val", quiet, bundle).data == f"{data.name} val"
    assert evaluate("lung-nodule", slices / "without", "test", quiet, bundle).data == "without"


def test_figures_are_put_on_the_card_and_replaced_by_newer_ones(tmp_path):
    card: Card = Blobs().card
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card

    def add(command, **values):
        figures = [Figure(name=name, value=value) for name, value in values.items()]
        return add_figures(tmp_path, Evaluation("blobs", "1", "set test", figures), command)

    first, second = add("measure all", a=1, b=2), add("measure b", b=3, c=4)
    assert [(one.name, one.value) for one in second.figures] == [("a", 1), ("b", 3), ("c", 4)]
    assert first.measured_by == "measure all" and second.measured_by == "measure all\nmeasure b"
    assert add("measure all").measured_by == second.measured_by, "a command is told once, where it stood"
    assert read_card(tmp_path).figures == second.figures
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.yaml"], "no part file is left"


GROUPS = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("key", "values", "ci"),
    [
        ("false_findings", [1, 1, 1], (0.206, 2.922)),  # scipy.stats.chi2: 3 events in 3 pictures
        ("false_findings", [0, 0, 0], (0.0, 1.230)),  # 0 events in 3: ln(1 / 0.025) / 3
        ("other_findings", [2, 2, 2], (0.734, 4.353)),
        ("accuracy", [1, 1, 1], (0.292, 1.0)),  # 0.025 ** (1 / 3)
        ("recall", [False, False, False], (0.0, 0.708)),
        ("dice", [0.0, 0.0, 0.0], None),
        ("normal_pixels", [0.0, 0.0, 0.0], None),
    ],
)
def test_where_all_rows_are_alike_the_interval_is_that_of_the_kind(key, values, ci):
    (figure,) = FigureMaker(Measured()).mean(key, "a figure", values, GROUPS)
    assert figure.ci95 == (None if ci is None else pytest.approx(ci, abs=1e-3))


def test_what_others_reach_holds_for_their_own_data_only(tmp_path):
    """A baseline of a task's YAML was measured on one data set; on another it would be read as if it held there."""
    mine, other = write_index(tmp_path / "mine"), write_index(tmp_path / "other", 3)
    settings = Measured(baselines_on=sha256((mine / "index.csv").read_bytes()).hexdigest())
    assert baselines_hold(settings, mine) and not baselines_hold(settings, other)
    assert not baselines_hold(Measured(), mine) and not baselines_hold(settings, tmp_path)

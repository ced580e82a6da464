"""Evaluation on labelled pictures: classes, outlines, lesions, series with boxes, and trivial methods beside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import pipeline_of
from tiny_chest import NODULES, pipeline
from tiny_sets import CLASS_SIDES, add_row, breast, tiled, write_coco, write_index, write_mvtec
from tiny_whole import CHEST, CLASSES_ONLY, STEEL, Tones, whole_card, write_whole

from medvis.dicom.write_ct import SeriesFacts, write_ct_series
from medvis.errors import InputError
from medvis.learn.bundling.card_file import write_card
from medvis.learn.data.examples import Example
from medvis.learn.measuring.class_sides import ClassPredictions, class_predictions, class_sides
from medvis.learn.measuring.evaluate import evaluate
from medvis.learn.measuring.evaluate_pictures import evaluate_pictures
from medvis.learn.measuring.evaluate_series import evaluate_series, read_boxes
from medvis.learn.measuring.evaluate_verdicts import verdict_figures
from medvis.learn.measuring.evaluation import KEYS, FigureMaker
from medvis.learn.measuring.predictions import PicturePrediction, match_findings, without_threshold
from medvis.model.card import Card
from medvis.phantom.series import geometry_of
from medvis.phantom.volume import PhantomSpec, chest_phantom
from medvis.pipeline import Pipeline
from medvis.settings import Measured, load_task
from medvis.tasks import task_names

GROUPS = [str(index) for index in range(6)]


def quiet(*_):
    """No progress."""


def value(evaluation, start):
    return next(one for one in evaluation.figures if one.name.startswith(start))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve pictures of test, a malignant one that looks normal, and one that nobody has labelled."""
    folder = write_index(tmp_path_factory.mktemp("sets") / "set")
    image, mask = "images/test-normal-0.png", "masks/test-malignant-0.png"
    add_row(folder, id="odd", label="malignant", image=image, mask=mask)
    add_row(folder, id="nobody", label="unlabelled", image=image)
    return folder


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    return evaluate_pictures(breast(tmp_path_factory.mktemp("task")), data, "test", quiet)


def test_classes_are_counted(found):
    assert value(found, "Accuracy").value == pytest.approx(12 / 13)
    assert value(found, "Accuracy").baseline == "always 'malignant' 0.385"
    assert value(found, "Balanced").value == pytest.approx((1 + 0.8 + 1) / 3)
    assert value(found, "Macro-F1").value == pytest.approx((1 + 8 / 9 + 8 / 9) / 3)
    assert found.facts["confusion"]["malignant"] == {"benign": 0, "malignant": 4, "normal": 1}
    assert 0 < value(found, "Calibration error").value < 0.5 and 0 < value(found, "Brier").value < 1


def judged_verdicts(rows, labels):
    """Value, count and baseline of the figures of verdicts; a row: true class, probabilities, verdict."""
    predictions = [
        PicturePrediction(Example(str(n), str(n), label, Path()), probabilities, verdict, None)
        for n, (label, probabilities, verdict) in enumerate(rows)
    ]
    found = verdict_figures(FigureMaker(Measured()), class_predictions(predictions, whole_card(labels)))
    return [(pytest.approx(one.value), one.n, one.baseline) for one in found]


def test_what_the_verdict_leaves_to_a_person_gets_right_and_overlooks():
    even = {"tuberculosis": 0.5, "normal": 0.5}
    verdicts = ["positive", "negative", "refer"]
    rows = [(label, even, verdict) for label in ("tuberculosis", "normal") for verdict in verdicts]
    assert judged_verdicts(rows, CHEST) == [
        (1 / 3, 6, None),
        (2 / 4, 4, "always 'positive' 0.500"),
        (1 / 3, 3, None),
    ]


def test_where_all_is_a_defect_a_verdict_is_right_if_its_class_is():
    dark = {"dark": 0.8, "middling": 0.1, "bright": 0.1}
    rows = [
        (label, dark, verdict) for label, verdict in (("dark", "positive"), ("bright", "positive"), ("bright", "refer"))
    ]
    assert judged_verdicts(rows, STEEL) == [
        (1 / 3, 3, None),
        (1 / 2, 2, "always 'dark' 0.500"),
    ]
    assert judged_verdicts([("dark", dark, None)], STEEL) == []


def test_the_two_sides_of_the_yaml_are_told_apart_with_bar_and_baseline(found):
    auc = value(found, "AUC, malignant against benign")
    assert (auc.value, auc.n, auc.bar, auc.reached, auc.baseline) == (
        pytest.approx(0.8),
        9,
        "≥ 0.9",
        False,
        "others 0.7",
    )
    assert value(found, "Sensitivity as shipped, malignant").value == pytest.approx(0.8)
    assert value(found, "Specificity as shipped, malignant").value == 1
    assert value(found, "Sensitivity as shipped, not normal").value == pytest.approx(8 / 9)
    assert value(found, "AUC, not normal against normal").bar is None


def test_outlines_are_judged_where_there_is_a_lesion_and_where_there_is_none(found):
    dice = value(found, "Dice, mean")
    assert dice.n == 9 and 0.8 < dice.value < 0.9 and dice.reached is False, "one of nine is missed"
    assert value(found, "IoU").value < dice.value < value(found, "Dice, median").value
    assert (value(found, "Pictures without").value, value(found, "Pictures without").n) == (1, 4)
    assert value(found, "Share of their pixels").value == 0
    assert value(found, "Share of their pixels").ci95 is None, "an amount that does not vary has no interval"
    for one in found.figures:
        if one.name.startswith("Share of their pixels"):
            continue
        assert one.ci95 is not None and one.ci95[0] <= one.value <= one.ci95[1]


def test_what_nobody_labelled_is_in_no_figure(found):
    facts = found.facts
    assert (facts["pictures"], facts["unlabelled, left out"], facts["outlined"], facts["lesions"]) == (13, 1, 13, 9)


def test_the_worst_case_comes_first_and_json_holds_all(found):
    assert len(found.worst) == 5 and found.worst[0].id == "odd" and found.worst[0].score == 0
    assert found.worst[0].description.startswith("true malignant, said normal 0.")
    assert "576 px marked, 0 px outlined" in found.worst[0].description
    body = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert body["worst"][0]["id"] == "odd" and "plots" not in body


def test_every_plot_is_drawn(found, tmp_path):
    pytest.importorskip("matplotlib")
    worst = {f"worst-{place}.png" for place in range(1, 6)}
    assert set(found.plots) == {
        "roc.png",
        "reliability.png",
        "confusion.png",
        "froc.png",
        "reliability-findings.png",
        *worst,
    }
    for name in ("roc.png", "confusion.png", "reliability.png", "froc.png", "worst-1.png"):
        found.plots[name](tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("write", "split", "count"), [(write_coco, "val", 3), (write_mvtec, "test", 5)])
def test_other_layouts_give_the_same_kind_of_figures(tmp_path, write, split, count):
    found = evaluate_pictures(breast(tmp_path), write(tmp_path / "set"), split, quiet)
    assert value(found, "Accuracy").value == 1 and value(found, "Accuracy").n == count
    assert value(found, "Dice, mean").value > 0.9 and value(found, "Pictures without").value == 1


def test_a_tiled_task_is_judged_lesion_by_lesion(data, tmp_path):
    bars = {"bars": {"recall": 0.85, "false_findings": 0.5}, "small": 0.05}
    found = evaluate_pictures(tiled(tmp_path, evaluate=bars), data, "test", quiet)
    recall = value(found, "Recall of lesions (IoU")
    assert (recall.value, recall.n, recall.reached) == (pytest.approx(8 / 9), 9, True)
    small = value(found, "Recall of lesions below 5.0%")
    assert (small.value, small.n) == (1, 4)
    assert value(found, "False findings a picture").value == 0
    assert value(found, "Recall of lesions with at most 0.5").value == pytest.approx(8 / 9)
    assert found.facts["recall of lesions at false findings a picture"]["1"] == pytest.approx(0.889)
    assert not any(one.name.startswith("Accuracy") for one in found.figures)


def test_classes_without_a_normal_one_are_ranked_each_against_the_others(tmp_path):
    names = [label["name"] for label in STEEL]
    predictions = [
        PicturePrediction(Example(g, g, names[int(g) % 3], tmp_path), _shares(names, int(g) % 3), None, None)
        for g in GROUPS
    ]
    classes = class_predictions(predictions, whole_card(STEEL))
    assert classes is not None and not class_sides(FigureMaker(Measured()), classes)
    assert (
        class_predictions(
            [PicturePrediction(Example("x", "x", "rust", tmp_path), _shares(names, 0), None, None)], whole_card(STEEL)
        )
        is None
    )


def _shares(names, place):
    return {name: 0.8 if index == place else 0.1 for index, name in enumerate(names)}


def test_one_disease_and_its_absence_are_one_pair_of_sides(tmp_path):
    probabilities = [0.9, 0.4, 0.6, 0.2]
    labels = ["tuberculosis", "Tuberculosis", "normal", "good"]
    predictions = [
        PicturePrediction(Example(str(i), str(i), label, tmp_path), {"tuberculosis": p, "normal": 1 - p}, None, None)
        for i, (label, p) in enumerate(zip(labels, probabilities, strict=True))
    ]
    card = whole_card(CHEST, thresholds={"positive": 0.3})
    classes = class_predictions(predictions, card)
    assert classes is not None and classes.truth.tolist() == [0, 0, 1, 1]
    (only,) = class_sides(FigureMaker(Measured(class_sides=("tuberculosis", "normal"))), classes)
    assert (only.key, only.name, only.predicted.tolist()) == (
        "auc",
        "tuberculosis against normal",
        [True, True, True, False],
    )


def test_a_binary_label_stands_against_its_absence(tmp_path):
    card: Card = whole_card([{"name": "fracture", "kind": "binary"}])
    predictions = [
        PicturePrediction(Example(label, label, label, tmp_path), {"fracture": p}, None, None)
        for label, p in (("fracture", 0.7), ("normal", 0.2))
    ]
    classes = class_predictions(predictions, card)
    assert isinstance(classes, ClassPredictions) and classes.names == ("fracture", "normal")
    assert classes.probability.tolist() == [[0.7, pytest.approx(0.3)], [0.2, 0.8]]


def test_a_finding_over_two_lesions_hits_both_and_one_beside_is_false(tmp_path):
    unthresholded = without_threshold(tiled(tmp_path))
    truth = np.zeros((64, 64), bool)
    truth[10:20, 10:20] = truth[10:20, 24:34] = truth[50:54, 50:54] = True
    image = np.full((64, 64), 60.0, np.float32)
    image[10:20, 10:34] = image[50:56, 10:16] = 250
    case = _case(unthresholded, image)
    matches = match_findings(case, truth, 0.3)
    lesions = matches.lesions
    assert [lesion.area for lesion in lesions] == [100, 100, 16]
    assert all(lesion.probability > 0 for lesion in lesions[:2]) and lesions[2].probability == -np.inf
    assert sorted(hit for _, hit in matches.hits) == [False, True] and len(matches.false_positives) == 1


def _case(unthresholded: Pipeline, image):
    from tiny_whole import picture

    return unthresholded.run(unthresholded.accept(picture(image)), last="measure")[0]


def test_what_cannot_be_judged_is_one_line(data, tmp_path):
    path = write_whole(tmp_path, CLASSES_ONLY)
    steel = pipeline_of(path, None, Tones(STEEL, {"dark": (4.0, 0.1), "bright": (4.0, 0.9)}))
    with pytest.raises(InputError, match=r"nothing to judge task 'tones' by; wanted: labels among dark, mid"):
        evaluate_pictures(steel, data, "test", quiet)


def test_bars_name_figures_that_exist():
    for name in task_names():
        settings = load_task(name).evaluate
        assert set(settings.bars) | set(settings.baselines) <= set(KEYS), name
        assert settings.bars, f"{name} has no bar"


def test_a_figure_of_one_group_has_no_interval_and_one_without_rows_is_left_out():
    judge = FigureMaker(Measured(bars={"false_findings": 1}))
    (one,) = judge.mean("false_findings", "x", [2.0, 0.0], ["a", "a"], "trivial 3")
    assert (one.value, one.ci95, one.n, one.bar, one.reached, one.baseline) == (1, None, 2, "≤ 1", True, "trivial 3")
    assert judge.mean("dice", "x", [], []) == []


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """A series of the CT phantom with a box around one of its nodules."""
    folder = tmp_path_factory.mktemp("boxed") / "A1"
    spec = PhantomSpec(frames=3, shape=(256, 256), spacing=(1.375, 1.375), slice_spacing=6.0, nodules=NODULES)
    volume, labels = chest_phantom(spec)
    paths = sorted(write_ct_series(volume, geometry_of(spec), folder, SeriesFacts("P", "P", "P", None, 6.0), False))
    lines = ["file,kind,x1,y1,x2,y2"]
    for path, mask in zip(paths, labels, strict=True):
        rows, cols = np.nonzero(mask == 3)
        if len(rows):
            lines.append(f"{path.name},A,{cols.min()},{rows.min()},{cols.max()},{rows.max()}")
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder.parent


def test_a_boxed_tumour_is_found_and_the_rest_is_counted(boxed, monkeypatch):
    found = evaluate_series(pipeline(), boxed, quiet)
    tumour, slices, others = found.figures
    assert (tumour.value, tumour.bar, tumour.ci95) == (1, "≥ 1", None)
    assert slices.value > 0.5 and 0 < others.value <= 10
    assert found.facts["series"]["A1"]["findings"] > others.value
    monkeypatch.setattr("medvis.pipeline.open_model", lambda _: pipeline().context.predictor)
    assert evaluate("lung-nodule", boxed, "test", quiet).figures == found.figures


def test_wrong_boxes_are_one_line(boxed, tmp_path):
    (tmp_path / "boxes.csv").write_text("file,x1\na.dcm,3\n")
    with pytest.raises(InputError, match=r"boxes.csv has no column 'y1' \(.*\); wanted: columns file, x1, y1, x2, y2"):
        read_boxes(tmp_path / "boxes.csv")
    with pytest.raises(InputError, match="no series with boxes"):
        evaluate_series(pipeline(), tmp_path, quiet)


def test_trivial_methods_are_fitted_on_train_and_stand_beside(found, data, tmp_path):
    baselines = pytest.importorskip(
        "medvis.learn.measuring.baselines", reason="the extra 'train' brings scikit-learn", exc_type=ImportError
    )
    task = breast(tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_card(bundle, task.context.card)
    compared = baselines.with_baselines(found, task.asked, data, "test", bundle)
    accuracy = value(compared, "Accuracy").baseline
    assert accuracy.startswith("always 'malignant' 0.385; HOG+LBP ridge 0.")
    assert float(accuracy.split()[-1]) >= 0.9, "the grounds alone tell the classes apart"
    assert value(compared, "AUC, malignant").baseline.startswith("others 0.7; HOG+LBP ridge")
    assert value(compared, "Dice, mean").baseline.startswith("the same place in every picture 0.")
    assert value(compared, "Brier").baseline is None
    assert [one.value for one in compared.figures] == [one.value for one in found.figures]
    assert baselines.with_baselines(found, "lung-nodule", data, "test") is found
    assert CLASS_SIDES["class_sides"] == list(task.config.evaluate.class_sides)


@pytest.mark.parametrize("box", ["5,1,5,9", "9,1,5,9", "1,9,5,2", "nan,1,5,9", "1,1,inf,9"])
def test_a_box_without_area_is_refused(tmp_path, box):
    (tmp_path / "boxes.csv").write_text(f"file,x1,y1,x2,y2\na.dcm,{box}\n")
    with pytest.raises(InputError, match=r"has the box .* on a.dcm; wanted: x1 < x2, y1 < y2"):
        read_boxes(tmp_path / "boxes.csv")
    (tmp_path / "boxes.csv").write_text("file;x1;y1;x2;y2\na.dcm;1;2;3;4.5\n", encoding="utf-16")
    assert read_boxes(tmp_path / "boxes.csv") == {"a.dcm": [(1, 2, 3, 4.5)]}

"""What is fitted on val, with a model whose answer is known: the finding score, the thresholds, the rating."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_chest import EVERYWHERE, Blobs, chest, pipeline, truth
from tiny_data import write_data

from medvis.errors import InputError, ModelError
from medvis.learn.bundling import calibrate as module
from medvis.learn.bundling.calibrate import (
    CUTS,
    FEATURES,
    FEATURES_HU,
    KEPT,
    MOST_A_SLICE,
    MOST_EXTRA,
    OUTLINES,
    calibrate,
)
from medvis.learn.data.ct_pictures import load_ct_pictures
from medvis.learn.data.index import read_index
from medvis.learn.figures.metrics import dice, iou
from medvis.learn.measuring.crops import run_crops
from medvis.stages.scoring import logistic

LABELS = [{"name": "nodule", "kind": "binary"}, {"name": "malignancy", "kind": "binary"}]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def quiet(*_):
    """No progress."""


@pytest.fixture(scope="module")
def fitted(data):
    return calibrate("lung-nodule", Blobs(labels=LABELS), data, quiet)


def test_thresholds_are_chosen_from_those_that_were_tried(fitted):
    thresholds, _ = fitted
    assert set(thresholds) == {"high", "low", "finding", "series"}
    assert (thresholds["high"], thresholds["low"]) in OUTLINES and thresholds["finding"] in CUTS


def test_the_finding_score_tells_nodules_from_the_rest(fitted):
    _, calibration = fitted
    weights = calibration["finding"]
    assert set(weights) == {*FEATURES, "bias"} and all(np.isfinite(list(weights.values())))
    assert set(calibration["finding_hu"]) == {*FEATURES_HU, "bias"}
    assert calibration["val"]["extra"] <= MOST_EXTRA
    assert calibration["val"]["dice"] > 0.3


def test_a_series_keeps_nearly_all_nodules_that_a_slice_shows(data, fitted):
    thresholds, calibration = fitted
    scans = load_ct_pictures(read_index(data, "val"), 2)
    best: dict[str, float] = {}
    line = pipeline(EVERYWHERE, Blobs(labels=LABELS, thresholds=thresholds, calibration=calibration))
    for crop in run_crops(line, scans, None, "measure", quiet):
        for finding in crop.case.findings:
            if iou(crop.case.mask[0] == finding.id, crop.truth) >= 0.3:
                nodule = f"{crop.row.group} {crop.row.fields['nodule']}"
                best[nodule] = max(best.get(nodule, 0.0), finding.probability)
    assert thresholds["finding"] <= thresholds["series"] < 1
    assert np.mean(np.array([*best.values()]) >= thresholds["series"]) >= KEPT - 1 / len(best)


def test_a_nodule_of_one_slice_sets_no_threshold_for_a_series(data, tmp_path):
    folder = write_data(tmp_path / "single")
    path = folder / "index.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if "f1," not in line), encoding="utf-8")
    assert "series" not in calibrate("lung-nodule", Blobs(labels=LABELS), folder, quiet)[0]


def test_without_millimetres_there_is_no_model_of_the_surroundings(tmp_path):
    folder = write_data(tmp_path / "no-spacing")
    path = folder / "index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",0.7,", ",,"), encoding="utf-8")
    _, calibration = calibrate("lung-nodule", Blobs(labels=LABELS), folder, quiet)
    assert "finding_hu" not in calibration and "finding" in calibration


def with_volume(folder, volume):
    """A data set with a chest CT beside it, on which nothing is marked."""
    import nibabel

    folder = write_data(folder)
    (folder / volume).mkdir()
    scan, marked = chest(), np.zeros_like(truth())
    for name, values in (("image", scan.pixels[..., 0].astype(np.int16)), ("label", marked.astype(np.uint8))):
        image = nibabel.Nifti1Image(np.ascontiguousarray(values.T), np.diag([-1.1, -1.1, 2.5, 1.0]))
        nibabel.save(image, folder / volume / f"{name}.nii.gz")
    return folder


def test_the_cut_leaves_few_false_findings_on_a_volume_of_val(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OUTLINES", ((0.5, 0.5),))
    folder = with_volume(tmp_path / "with-volume", "lung1")
    without, told = calibrate("lung-nodule", Blobs(labels=LABELS), data, quiet)
    thresholds, calibration = calibrate("lung-nodule", Blobs(labels=LABELS), folder, quiet)
    assert calibration["finding"] == told["finding"], "nothing is fitted on it"
    assert "slice_extra" not in told["val"]
    assert calibration["val"]["slice_extra"] <= MOST_A_SLICE and calibration["val"]["volume"] == "lung1"
    assert thresholds["finding"] > without["finding"]


def test_what_is_found_outside_the_tumour_of_a_volume_counts_as_false(data, tmp_path, fitted):
    folder = with_volume(tmp_path / "with-volume", "lung2")
    _, calibration = calibrate("lung-nodule", Blobs(labels=LABELS), folder, quiet)
    values = {"mask": 2.0, "class": 1.0, "log_diameter_mm": 2.2, "air": 0.9, "log_diameter_px": 2.5}
    for model in ("finding", "finding_hu"):
        assert logistic(calibration[model], values) < 0.9 * logistic(fitted[1][model], values)


def test_malignancy_grows_with_size(fitted):
    _, calibration = fitted
    weights = calibration["malignancy"]
    assert set(weights) == {"malignancy", "log_area_mm2", "bias"}, "of the descriptors those that the card has"
    assert weights["log_area_mm2"] > 0
    assert calibration["malignancy_val"]["auc"] == 1 and calibration["malignancy_val"]["nodules"] == 6
    small, large = (logistic(weights, {"malignancy": 0.0, "log_area_mm2": np.log(size)}) for size in (50, 250))
    assert small < large - 0.1


def test_the_same_data_give_the_same_calibration(data, fitted):
    assert calibrate("lung-nodule", Blobs(labels=LABELS), data, quiet) == fitted


def test_fitted_thresholds_do_at_least_as_well_on_val_as_none(data, fitted):
    thresholds, calibration = fitted
    scans = load_ct_pictures(read_index(data, "val"), 2)

    def mean(**card):
        line = pipeline(EVERYWHERE, Blobs(labels=LABELS, **card))
        return np.mean(
            [dice(crop.case.mask[0] > 0, crop.truth) for crop in run_crops(line, scans, None, "segment", quiet)]
        )

    own = mean(thresholds=thresholds, calibration=calibration)
    assert own > mean(thresholds={"high": 0.5, "low": 0.5, "finding": 0.0}) + 0.05
    assert own == pytest.approx(calibration["val"]["dice"], abs=0.12), "what the card says is what the pipeline does"


def test_a_model_without_a_malignancy_label_is_calibrated_without_it(data):
    _, calibration = calibrate("lung-nodule", Blobs(), data, quiet)
    assert "malignancy" not in calibration and "finding" in calibration


def test_without_both_ratings_there_is_nothing_to_fit(data, tmp_path):
    folder = write_data(tmp_path / "benign")
    path = folder / "index.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("malignant,", "benign,"), encoding="utf-8")
    _, calibration = calibrate("lung-nodule", Blobs(labels=LABELS), folder, quiet)
    assert "malignancy" not in calibration


def test_a_model_that_outlines_nothing_cannot_be_calibrated(data):
    with pytest.raises(ModelError, match=r"the model outlines nothing on val; wanted: a trained network"):
        calibrate("lung-nodule", Blobs(level=2.0, labels=LABELS), data, quiet)


def test_calibration_looks_at_val_alone(data, tmp_path):
    folder = write_data(tmp_path / "no-val")
    path = folder / "index.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if ",val," not in line), encoding="utf-8")
    with pytest.raises(InputError, match="no row of split 'val'"):
        calibrate("lung-nodule", Blobs(), folder, quiet)
    # Pictures of the other splits are not even opened.
    whole = write_data(tmp_path / "val-only")
    for row in read_index(whole):
        if row.split != "val":
            row.image.unlink()
    assert calibrate("lung-nodule", Blobs(labels=LABELS), whole, quiet)[0]


def test_progress_is_told(data):
    told = []
    calibrate("lung-nodule", Blobs(), data, lambda done, total: told.append((done, total)))
    assert told == [(index + 1, 12) for index in range(12)]

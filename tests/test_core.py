"""The frozen types that everything else speaks, the error tree, and the lazy public API."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_bundle import contract_of

from medvis import errors
from medvis.core.case import Candidates, Case, require
from medvis.core.geometry import Geometry
from medvis.core.labels import Label
from medvis.core.report import (
    NOTICE,
    Box,
    Finding,
    Intensity,
    Provenance,
    Quality,
    Reading,
    Report,
    ScanFacts,
    Uncertainty,
    Verdict,
)
from medvis.core.scan import Scan, Source, Step
from medvis.model.card import Card, ModelFile

CODES = {
    errors.MedvisError: 1,
    errors.UsageError: 2,
    errors.InputError: 3,
    errors.SettingsError: 4,
    errors.ModelError: 5,
    errors.StageError: 6,
    errors.OutputError: 7,
    errors.BatchError: 8,
}


def scan(shape=(2, 5, 6, 1), **changes) -> Scan:
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Scan(**{"pixels": pixels, "geometry": Geometry(), "source": Source("a.dcm", "dicom", "0"), **changes})


def card(**changes) -> Card:
    return Card(
        **{
            "task": "t",
            "version": "1",
            "summary": "",
            "intended_use": "",
            "not_for": [],
            "model": ModelFile(sha256="0", precision="fp32", bytes=1),
            "input": contract_of(),
            "labels": [Label(name="lesion", kind="binary"), Label(name="texture", kind="rating", low=1, high=5)],
            "masks": ["lesion"],
            "thresholds": {},
            "data": [],
            "figures": [],
            "measured_by": "",
            "known_failures": [],
            **changes,
        }
    )


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_error_has_its_own_exit_code(kind, code):
    assert kind("x").exit_code == code
    assert issubclass(kind, errors.MedvisError)


def test_no_error_is_missing_from_the_table():
    raised = {
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert raised == set(CODES)
    assert {errors.FLAGGED, errors.INTERRUPTED}.isdisjoint(CODES.values())


def test_an_error_says_what_was_found_what_was_wanted_and_what_to_do():
    error = errors.InputError("scan.dcm is empty", "an image", "see 'medvis info'")
    assert str(error) == error.line == "scan.dcm is empty; wanted: an image; see 'medvis info'"
    assert errors.InputError("x", hint="do y").line == "x; do y"


@settings(deadline=None)
@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_an_error_is_one_line_whatever_its_parts_hold(found, wanted, hint):
    line = errors.MedvisError(found, wanted, hint).line
    assert len(line.splitlines()) <= 1
    assert "  " not in line


def test_a_scan_knows_its_shape():
    one = scan((3, 4, 5, 1))
    assert (one.frames, one.shape, one.channels) == (3, (4, 5), 1)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 5, 6), np.float32), np.zeros((2, 5, 6, 1), np.float64), np.zeros((2, 5, 6, 1), np.int16)]
)
def test_a_scan_takes_only_float32_in_four_dimensions(pixels):
    with pytest.raises(errors.InputError, match=r"wanted: float32 \[frames, rows, cols, channels\]"):
        scan(pixels=pixels)


def test_a_padding_mask_must_fit_the_pixels():
    assert scan(valid=np.ones((2, 5, 6), bool)).valid is not None
    with pytest.raises(errors.InputError, match=r"padding mask \[2, 6, 5\] does not fit .* \[2, 5, 6\]"):
        scan(valid=np.ones((2, 6, 5), bool))


def test_deriving_leaves_the_first_scan_as_it_was():
    first = scan()
    second = first.derive(Step("window", {"width": 400}), unit="HU")
    third = second.derive(notes=("assumed",))
    assert (first.unit, first.trail) == ("grey", ())
    assert (second.unit, [step.name for step in second.trail]) == ("HU", ["window"])
    assert third.trail == second.trail and third.notes == ("assumed",)
    assert third.pixels is first.pixels
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.unit = "HU"


def test_patient_coordinates_of_an_axial_frame():
    geometry = Geometry(
        spacing=(0.5, 0.8),
        positions=np.array([[-100.0, -50.0, 30.0], [-100.0, -50.0, 32.5]]),
        orientation=np.array([1.0, 0, 0, 0, 1.0, 0]),
    )
    assert geometry.to_patient(0, 0, 0) == (-100.0, -50.0, 30.0)
    # One row down is one row spacing to the back (y), one column right is one column spacing to the left (x).
    assert geometry.to_patient(1, 10, 20) == pytest.approx((-84.0, -45.0, 32.5))


def test_patient_coordinates_of_a_sagittal_frame():
    geometry = Geometry((2.0, 3.0), None, np.array([[7.0, 0, 0]]), np.array([0, 1.0, 0, 0, 0, -1.0]))
    assert geometry.to_patient(0, 5, 4) == pytest.approx((7.0, 12.0, -10.0))


@pytest.mark.parametrize("unknown", ["spacing", "positions", "orientation"])
def test_patient_coordinates_are_unknown_without_the_whole_geometry(unknown):
    whole = Geometry((1.0, 1.0), None, np.zeros((1, 3)), np.array([1.0, 0, 0, 0, 1.0, 0]))
    assert dataclasses.replace(whole, **{unknown: None}).to_patient(0, 1, 1) is None


def test_a_case_grows_by_fields_and_steps():
    case = Case(scan(), "t")
    view = np.zeros((2, 5, 6, 1), np.float32)
    after = case.derive(Step("window"), view=view)
    assert case.view is None and after.view is not None and after.mask is None
    assert [step.name for step in after.scan.trail] == ["window"] and case.scan.trail == ()


def test_a_missing_field_names_the_stage_that_makes_it():
    assert require(0, "segment", "prediction", "infer") == 0
    with pytest.raises(errors.StageError, match=r"stage 'segment' has no prediction; run 'infer' before it"):
        require(None, "segment", "prediction", "infer")


def test_candidates_are_counted_by_their_rows():
    none = np.zeros(0, np.int32)
    wide = np.zeros((0, 2), np.float32)
    assert len(Candidates(none, none.reshape(0, 4), wide, wide, wide, wide, none)) == 0


def test_a_card_finds_its_labels():
    assert (card().index("lesion"), card().index("texture"), card().index("colour")) == (0, 1, None)


@pytest.mark.parametrize(
    "change", [{"surprise": 1}, {"labels": [{"name": "x", "kind": "vague"}]}, {"thresholds": {"a": "b"}}]
)
def test_a_card_refuses_what_it_does_not_know(change):
    with pytest.raises(ValidationError):
        card(**change)


def test_a_card_survives_the_way_through_json():
    one = card(thresholds={"high": 0.5}, calibration={"finding": {"bias": 0.25}})
    assert Card.model_validate(json.loads(one.model_dump_json())) == one


def finding(**changes) -> Finding:
    return Finding(
        **{
            "id": 1,
            "name": "nodule",
            "probability": 0.5,
            "key_frame": 0,
            "first_frame": 0,
            "last_frame": 0,
            "box": Box(frame=0, row0=1, col0=1, row1=3, col1=3),
            "centroid": (0, 1.5, 1.5),
            "centroid_mm": None,
            "contour": [(1, 1), (2, 2)],
            "area_px": 4,
            "longest_diameter_px": 2.24,
            "perpendicular_diameter_px": 2.24,
            "area_mm2": None,
            "longest_diameter_mm": None,
            "perpendicular_diameter_mm": None,
            "volume_mm3": None,
            "intensity": Intensity(unit="HU", mean=0, sd=0, min=0, max=0),
            **changes,
        }
    )


def report(path: str = "a", timings=None) -> Report:
    facts = dict.fromkeys(ScanFacts.model_fields, None) | {
        "path": path, "format": "dicom", "sha256": "0", "unit": "HU", "frames": 1, "rows": 4, "cols": 4,
        "channels": 1, "sop_instance_uids": [], "notes": [], "unknown": {},
    }  # fmt: skip
    return Report(
        task="t",
        title="T",
        scan=ScanFacts(**facts),
        quality=Quality(valid_fraction=1, contrast=None, sharpness=None, searched_fraction=None),
        verdict=Verdict(decision="positive", probability=0.5, reasons=["one"]),
        findings=[finding()],
        uncertainty=Uncertainty(views=1),
        notes=[],
        provenance=Provenance(
            medvis="0", task="t", config_sha256="0", model_name="m", model_sha256="0", backend="onnx", trail=[],
            timings_s=timings or {},
        ),
    )  # fmt: skip


def test_two_reports_are_equal_but_for_time_and_path():
    one, other = report("a", {"infer": 1.0}), report("b/a", {"infer": 2.0})
    assert one != other
    assert one.canonical() == other.canonical()
    assert one.scan.path == "a" and one.provenance.timings_s == {"infer": 1.0}, "canonical() changes a copy"


def test_a_report_says_that_it_is_for_research_and_keeps_unknowns_null():
    body = json.loads(report().model_dump_json())
    assert body["notice"] == NOTICE and "Research use only" in NOTICE
    assert body["findings"][0]["area_mm2"] is None
    assert Report.model_validate(body) == report()


@pytest.mark.parametrize("probability", [-0.01, 1.01])
def test_a_probability_lies_between_nought_and_one(probability):
    with pytest.raises(ValidationError):
        finding(probability=probability)
    with pytest.raises(ValidationError):
        Reading(name="x", probability=probability)

"""sr.dcm: the report as TID 1500, its numbers, its references, and what it says where something is not known."""

from dataclasses import replace

import pytest
import results_maker as make
from highdicom.sr import srread

from medvis.core.report import NOTICE, Attribute, Reading
from medvis.io.dicom_objects import sr_content

SIZES = {
    "Long axis": "longest_diameter_mm",
    "Short axis": "perpendicular_diameter_mm",
    "Area": "area_mm2",
    "Volume": "volume_mm3",
}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """As the pipeline says, with attributes such as a trained model gives."""
    outcome = make.outcome_of(make.series(tmp_path_factory.mktemp("series")))
    more = {
        "malignancy": 0.7123,
        "attributes": [Attribute(name="texture", value="solid", score=4.5, scale="1–5", spread=0.1)],
        "differential": [Reading(name="nodule that readers would rate malignant", probability=0.6001)],
    }
    first, *others = outcome.report.findings
    findings = [first.model_copy(update=more), *others]
    return replace(outcome, report=outcome.report.model_copy(update={"findings": findings}))


@pytest.fixture(scope="module")
def found(case, tmp_path_factory):
    return make.written(case, tmp_path_factory.mktemp("out") / "sr", "sr", "seg")


@pytest.fixture(scope="module")
def groups(found):
    return make.measurement_groups(found["sr"])


def test_every_measure_is_there_with_its_unit(case, groups):
    units = {"Long axis": "mm", "Short axis": "mm", "Area": "mm2", "Volume": "mm3", "Certainty of Finding": "%"}
    for finding, group in zip(case.report.findings, groups[1:], strict=True):
        numbers = make.named(group, "NUM")
        for name, field in SIZES.items():
            assert numbers[name] == getattr(finding, field)
        assert numbers["Certainty of Finding"] == pytest.approx(100 * finding.probability)
        for item in group.ContentSequence:
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            if item.ValueType == "NUM" and name in units:
                assert item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == units[name]


def test_intensities_are_in_hounsfield_units_with_their_statistic(case, groups):
    told = {}
    for item in groups[1].ContentSequence:
        if item.ValueType == "NUM" and "ContentSequence" in item:
            value = item.MeasuredValueSequence[0]
            assert value.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
            told[item.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning] = float(value.NumericValue)
    values = case.report.findings[0].intensity
    assert told == {"Mean": values.mean, "Standard Deviation": values.sd, "Minimum": values.min, "Maximum": values.max}


def test_malignancy_is_called_a_rating_and_the_differential_has_its_shares(groups):
    numbers = make.named(groups[1], "NUM")
    [rated] = [name for name in numbers if "malignant, not pathology" in name]
    assert "readers rate" in rated
    assert numbers[rated] == 71.23
    assert numbers["Differential: nodule that readers would rate malignant"] == 60.01
    assert numbers["Score: texture, 1–5"] == 4.5
    assert make.named(groups[1], "CODE")["texture"] == "solid"


def test_each_group_is_tracked_as_its_segment_is(found, groups):
    [reference] = [
        item.ReferencedSOPSequence[0]
        for item in groups[2].ContentSequence
        if item.ValueType == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]
    ]
    assert reference.ReferencedSOPInstanceUID == found["seg"].SOPInstanceUID
    segment = found["seg"].SegmentSequence[reference.ReferencedSegmentNumber - 1]
    assert make.named(groups[2], "UIDREF")["Tracking Unique Identifier"] == segment.TrackingUID
    assert make.named(groups[2], "TEXT")["Tracking Identifier"] == segment.TrackingID


def test_codes_of_finding_and_site(groups):
    codes = make.named(groups[1], "CODE")
    assert codes["Finding"] == "Solitary nodule of lung"
    assert codes["Finding Site"] == "Lung structure"
    assert codes["Algorithm Family"] == "Artificial Intelligence"


def test_the_verdict_comes_with_its_reasons(case, groups):
    assert make.named(groups[0], "CODE")["Verdict of the model"].lower().startswith(case.report.verdict.decision[:5])
    texts = [item.TextValue for item in groups[0].ContentSequence if item.ValueType == "TEXT"]
    for text in (*case.report.verdict.reasons, NOTICE):
        assert text in texts
    assert sr_content.NO_SEGMENTATION not in texts


def test_what_is_not_known_is_left_out_and_said(tmp_path):
    folder = make.series(tmp_path / "series", PixelSpacing=None)
    outcome = make.outcome_of(folder)
    finding = outcome.report.findings[0]
    assert finding.area_mm2 is None
    group = make.measurement_groups(make.written(outcome, tmp_path / "out", "seg", "sr")["sr"])[1]
    assert not set(SIZES) & set(make.named(group, "NUM"))
    texts = [item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"]
    for field, reason in finding.unknown.items():
        assert f"{field}: not known, because: {reason}" in texts
    assert not make.errors_of(tmp_path / "out" / "sr.dcm", tmp_path / "out" / "seg.dcm")


def test_a_case_without_findings_is_a_report_that_says_so(tmp_path):
    outcome = make.outcome_of(make.series(tmp_path / "series", balls=False))
    made = make.written(outcome, tmp_path / "out", "seg", "sr")
    assert set(made) == {"sr"}
    [group] = make.measurement_groups(made["sr"])
    assert sr_content.NO_FINDING in [item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"]
    assert not make.errors_of(tmp_path / "out" / "sr.dcm")


def test_without_its_segmentation_a_report_refers_to_the_images(case, found, tmp_path):
    alone = make.written(case, tmp_path / "out", "sr")["sr"]
    assert alone.SOPInstanceUID != found["sr"].SOPInstanceUID
    group, *others = make.measurement_groups(alone)
    assert len(others) == len(case.report.findings)
    assert sr_content.NO_SEGMENTATION in [item.get("TextValue") for item in group.ContentSequence]
    assert found["seg"].SOPInstanceUID not in str(alone)
    assert not make.errors_of(tmp_path / "out" / "sr.dcm")


def test_classes_of_the_whole_image_are_in_the_group_of_the_image(case, tmp_path):
    classes = [Reading(name="malignant lesion", probability=0.8), Reading(name="no lesion", probability=0.2)]
    report = case.report.model_copy(update={"classes": classes, "findings": []})
    told = make.written(replace(case, report=report), tmp_path / "out", "sr")["sr"]
    numbers = make.named(make.measurement_groups(told)[0], "NUM")
    assert (numbers["Class: malignant lesion"], numbers["Class: no lesion"]) == (80.0, 20.0)


def test_a_single_image_has_planar_groups(tmp_path):
    outcome = make.outcome_of(make.picture(tmp_path / "one.dcm"), **make.RASTER, inverted=True)
    make.written(outcome, tmp_path / "out", "seg", "sr")
    report = srread(tmp_path / "out" / "sr.dcm")
    assert len(report.content.get_planar_roi_measurement_groups()) == len(outcome.report.findings) > 0
    assert not make.errors_of(tmp_path / "out" / "sr.dcm")


def test_highdicom_and_dcmtk_read_it_and_dicom3tools_finds_no_error(case, found):
    path = found["sr"].filename
    report = srread(path)
    assert len(report.content.get_volumetric_roi_measurement_groups()) == len(case.report.findings)
    assert not make.errors_of(make.Path(path))
    for tool in ("dsrdump", "dsr2xml"):
        assert "Certainty of Finding" in make.dumped(tool, make.Path(path))


def test_names_of_the_patient_survive_another_character_set(found):
    assert found["sr"].SpecificCharacterSet == "ISO_IR 192"
    assert str(found["sr"].PatientName) == make.PATIENT["PatientName"]
    assert str(found["sr"].ReferringPhysicianName) == make.PATIENT["ReferringPhysicianName"]

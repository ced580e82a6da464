"""sr.dcm: the report as TID 1500, its numbers, its references, and what it says where something is not known."""

import shutil
from dataclasses import replace

import pytest
import results_maker as make
from highdicom.sr import srread
from pydicom import dcmread

from medvis.core.report import NOTICE, Attribute, Reading
from medvis.dicom.objects.sr import content as sr_content

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
    assert codes["Finding"] == "Nodule of lung"
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


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    """Outcomes of the first three, four and five slices."""
    folder = tmp_path_factory.mktemp("whole")
    make.series(folder)
    files = sorted(folder.iterdir(), key=lambda path: dcmread(path).ImagePositionPatient[0])
    found = []
    for count in (3, 4, 5):
        part = tmp_path_factory.mktemp(f"first-{count}")
        for path in files[:count]:
            shutil.copy(path, part)
        found.append(make.outcome_of(part))
    return found


def sent(outcome, folder, *earlier):
    make.written(replace(outcome, earlier=earlier), folder, "seg", "sr")
    return folder / "sr.dcm", dcmread(folder / "sr.dcm")


def named(ds):
    return [
        (str(series.SeriesInstanceUID), str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
        for study in ds.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
    ]


def key(ds):
    return str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)


def test_each_names_the_newest_before_it(growing, tmp_path):
    one, first = sent(growing[0], tmp_path / "1")
    two, second = sent(growing[1], tmp_path / "2", one)
    three, third = sent(growing[2], tmp_path / "3", one, two)
    assert [named(ds) for ds in (first, second, third)] == [[], [key(first)], [key(second)]]
    assert "replaces earlier" in third.SeriesDescription and "replaces earlier" not in first.SeriesDescription
    [image, *_] = make.measurement_groups(third)
    told = [item.TextValue for item in image.ContentSequence if item.ValueType == "TEXT"]
    assert sum(text.startswith("This report replaces 1 earlier one(s)") for text in told) == 1
    assert not make.errors_of(two, three)
    assert "Predecessor" in make.dumped("dsrdump", three)


def test_the_same_once_more_is_the_same(growing, tmp_path):
    """Late slices of another series, or a listener that was killed: nothing new for the archive."""
    one, _ = sent(growing[0], tmp_path / "1")
    two, _ = sent(growing[1], tmp_path / "2", one)
    again, _ = sent(growing[1], tmp_path / "3", two, one)
    assert again.read_bytes() == two.read_bytes()
    assert sent(growing[0], tmp_path / "4", one)[0].read_bytes() == one.read_bytes()


def test_a_report_of_its_own_history_has_its_own_uid(growing, tmp_path):
    """One UID, one content (PS3.5 9): with predecessors it is another object than without."""
    one, _ = sent(growing[0], tmp_path / "1")
    _, whole = sent(growing[1], tmp_path / "2")
    _, later = sent(growing[1], tmp_path / "3", one)
    assert len({key(whole), key(later)}) == 2


def test_another_series_is_not_replaced(growing, tmp_path):
    other = make.outcome_of(make.series(tmp_path / "in", SeriesInstanceUID="1.2.77"))
    one, _ = sent(other, tmp_path / "1")
    assert named(sent(growing[2], tmp_path / "2", one)[1]) == []

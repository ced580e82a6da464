"""seg.dcm: the voxels and the places of the outlines, whom they belong to, what they are called."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import results_maker as make
from highdicom.seg import segread
from pydicom import dcmread

from medvis.core.display import DicomResults
from medvis.core.logits import sigmoid
from medvis.dicom.objects.envelope import moment_of
from medvis.errors import OutputError


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make.outcome_of(make.series(tmp_path_factory.mktemp("series")))


@pytest.fixture(scope="module")
def seg(case, tmp_path_factory):
    return make.written(case, tmp_path_factory.mktemp("out") / "seg", "seg")["seg"]


@pytest.fixture(scope="module")
def path(seg):
    return Path(seg.filename)


def with_type(outcome, kind):
    return replace(outcome, dicom=DicomResults(segmentation=kind))


def test_the_pipeline_finds_the_balls(case):
    centers = sorted(tuple(round(value) for value in finding.centroid) for finding in case.report.findings)
    assert centers == sorted(center for center, _ in make.BALLS)


def test_another_reader_finds_the_same_voxels(case, path):
    pixels = segread(path).get_pixels_by_source_instance(
        list(case.case.scan.source.sop_instance_uids),
        ignore_spatial_locations=False,
        assert_missing_frames_are_empty=True,
    )
    for number, finding in enumerate(case.report.findings):
        assert np.array_equal(pixels[..., number] > 0, np.asarray(case.case.mask) == finding.id)


def test_only_frames_with_something_on_them_are_there(case, seg):
    shown = sum(int((np.asarray(case.case.mask) == one.id).any((1, 2)).sum()) for one in case.report.findings)
    assert int(seg.NumberOfFrames) == shown < len(case.report.findings) * case.case.scan.frames
    assert seg.pixel_array.reshape(shown, -1).any(1).all()


def test_the_segment_says_what_it_is_and_who_made_it(case, seg):
    segment = seg.SegmentSequence[0]
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "786838002"
    assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("tiny", "1")
    assert case.report.provenance.model_sha256 in algorithm.AlgorithmParameters
    equipment = seg.ContributingEquipmentSequence[0]
    assert (equipment.Manufacturer, equipment.ManufacturerModelName) == ("medvis", "tiny")
    assert case.report.provenance.model_sha256 in equipment.ContributionDescription
    assert "research use only" in seg.SeriesDescription
    assert len({item.TrackingUID for item in seg.SegmentSequence}) == len(case.report.findings)


def test_without_a_code_in_the_taxonomy_a_segment_is_a_lesion(case, tmp_path):
    nameless = [finding.model_copy(update={"code": None}) for finding in case.report.findings]
    bare = replace(case, report=case.report.model_copy(update={"findings": nameless}), site=None)
    segment = make.written(bare, tmp_path / "out", "seg")["seg"].SegmentSequence[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    assert "AnatomicRegionSequence" not in segment


def test_it_joins_the_patient_and_the_study_with_a_series_of_its_own(case, seg):
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        assert str(seg[keyword].value) == make.PATIENT[keyword]
    source = case.case.scan.source
    assert seg.StudyInstanceUID == source.study_uid
    assert seg.FrameOfReferenceUID == case.case.scan.geometry.frame_of_reference
    for uid in (seg.SeriesInstanceUID, seg.SOPInstanceUID):
        assert uid.startswith("2.25.")
        assert int(uid[5:]) < 2**128
    assert 3500 <= seg.SeriesNumber < 4000
    assert (seg.ContentDate, seg.ContentTime) == ("20200305", "101314.5")
    assert "InstanceCreationDate" not in seg


def test_the_same_case_gives_the_same_bytes(case, path, tmp_path):
    again = make.series(tmp_path / "under another name")
    make.written(make.outcome_of(again), tmp_path / "out", "seg")
    assert (tmp_path / "out" / "seg.dcm").read_bytes() == path.read_bytes()


def test_other_settings_give_other_uids(case, seg, tmp_path):
    folder = tmp_path / "series"
    other = make.written(
        make.outcome_of(make.series(folder), **{"stages.segment.min_pixels": 3}), tmp_path / "o", "seg"
    )
    assert other["seg"].SOPInstanceUID != seg.SOPInstanceUID
    assert other["seg"].SeriesInstanceUID != seg.SeriesInstanceUID
    assert other["seg"].SegmentSequence[0].TrackingUID != seg.SegmentSequence[0].TrackingUID


def test_fractional_holds_the_probability_inside_the_outline(case, seg, tmp_path):
    found = make.written(with_type(case, "fractional"), tmp_path / "out", "seg")["seg"]
    assert (found.SegmentationType, found.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert found.SOPInstanceUID != seg.SOPInstanceUID
    assert np.array_equal(found.pixel_array > 0, seg.pixel_array > 0)
    for plane, frame in zip(found.pixel_array, make.shown_frames(found, case), strict=True):
        share = sigmoid(np.asarray(case.case.prediction.mask_logits)[frame].max(0))
        assert np.array_equal(plane[plane > 0], np.maximum(np.rint(255 * share[plane > 0]), 1))


def test_labelmap_holds_the_numbers_of_the_segments(case, tmp_path):
    found = make.written(with_type(case, "labelmap"), tmp_path / "out", "seg")["seg"]
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage
    mask = np.asarray(case.case.mask)
    assert np.array_equal(found.pixel_array, mask[make.shown_frames(found, case)])


def test_a_frame_of_a_multi_frame_file_is_referred_to_by_its_number_there(tmp_path):
    outcome = make.outcome_of(make.enhanced(tmp_path / "enhanced.dcm"))
    found = make.written(outcome, tmp_path / "out", "seg")["seg"]
    heights = {}
    for group in dcmread(tmp_path / "enhanced.dcm").PerFrameFunctionalGroupsSequence:
        heights[len(heights) + 1] = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
    for group in found.PerFrameFunctionalGroupsSequence:
        [item] = group.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == outcome.case.scan.source.sop_instance_uids[0]
        height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        assert heights[int(item.ReferencedFrameNumber)] == height
    assert not make.errors_of(tmp_path / "out" / "seg.dcm")


@pytest.mark.parametrize("kind", [{"modality": "DX"}, {"modality": "US", "PhotometricInterpretation": "RGB"}])
def test_an_image_without_a_place_is_referred_to_and_given_none(kind, tmp_path):
    outcome = make.outcome_of(make.picture(tmp_path / "one.dcm", **kind), **make.RASTER, inverted=True)
    assert outcome.report.findings
    found = make.written(outcome, tmp_path / "out", "seg")["seg"]
    assert "FrameOfReferenceUID" not in found
    assert "PlanePositionSequence" not in found.PerFrameFunctionalGroupsSequence[0]
    assert not make.errors_of(tmp_path / "out" / "seg.dcm")


@pytest.mark.parametrize("kind", ["binary", "fractional"])
def test_dicom3tools_finds_no_error_and_dcmtk_reads_it(case, kind, tmp_path):
    make.written(with_type(case, kind), tmp_path / "out", "seg")
    assert not make.errors_of(tmp_path / "out" / "seg.dcm")
    assert kind.upper() in make.dumped("dcmdump", tmp_path / "out" / "seg.dcm")


def test_without_a_finding_there_is_no_segmentation(tmp_path):
    outcome = make.outcome_of(make.series(tmp_path / "series", balls=False))
    assert not outcome.report.findings
    assert make.written(outcome, tmp_path / "out", "seg") == {}


def test_a_source_that_has_changed_is_refused(case, tmp_path):
    folder = make.series(tmp_path / "series")
    outcome = make.outcome_of(folder)
    make.series(folder, PatientID="another")
    with pytest.raises(OutputError, match="has changed since it was read"):
        make.written(outcome, tmp_path / "out", "seg")
    (folder / "0.dcm").unlink()
    with pytest.raises(OutputError, match="cannot be opened again"):
        make.written(outcome, tmp_path / "out", "seg")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({}, ("20200305", "101314.5")),
        ({"AcquisitionDateTime": "20210607080910.25+0100"}, ("20210607", "080910.25")),
        ({"AcquisitionDate": None}, ("20200304", "101112")),
        ({"AcquisitionDate": "2020.03.05", "AcquisitionTime": "10:13:14"}, ("20200305", "101314")),
        ({"AcquisitionDate": None, "StudyDate": None}, ("19700101", "000000")),
        ({"AcquisitionTime": None}, ("20200305", "000000")),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_the_moment_is_that_of_the_source_and_never_now(tags, wanted, tmp_path):
    folder = make.series(tmp_path / "series", **tags)
    assert moment_of(dcmread(folder / "0.dcm")) == wanted

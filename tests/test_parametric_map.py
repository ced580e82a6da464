"""evidence.dcm: the evidence as numbers in the patient."""

import numpy as np
import pytest
import results_maker as make
from highdicom.pm.sop import pmread
from hypothesis import given
from hypothesis import strategies as st

from medvis.dicom.objects.pm.writer import MapWriter, reduced, step_of


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make.outcome_of(make.series(tmp_path_factory.mktemp("series")))


@pytest.fixture(scope="module")
def found(case, tmp_path_factory):
    return make.written(case, tmp_path_factory.mktemp("out") / "pm", "pm")["pm"]


def test_each_value_is_the_mean_of_the_evidence_that_it_covers(case, found):
    evidence = np.asarray(case.case.evidence)
    assert (found.Rows, found.Columns) == (16, 18)
    for plane, frame in zip(found.pixel_array, make.shown_frames(found, case), strict=True):
        assert plane.dtype == np.float32
        blocks = evidence[frame].reshape(16, 4, 18, 4).mean((1, 3))
        assert np.allclose(plane, blocks, atol=1e-6)


def test_only_frames_with_evidence_are_there(case, found):
    shown = make.shown_frames(found, case)
    assert sorted(shown) == np.flatnonzero(np.asarray(case.case.evidence).any((1, 2))).tolist()


def test_a_pixel_lies_in_the_middle_of_those_it_covers(case, found):
    shared = found.SharedFunctionalGroupsSequence[0]
    assert [float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing] == pytest.approx([2.8, 2.4])
    geometry = case.case.scan.geometry
    for group, frame in zip(found.PerFrameFunctionalGroupsSequence, make.shown_frames(found, case), strict=True):
        place = [float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient]
        assert place == pytest.approx(geometry.to_patient(frame, 1.5, 1.5), abs=1e-6)


def test_the_quantity_is_named_and_called_an_explanation(found):
    mapping = found.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert "explains a model" in quantity.CodeMeaning
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert found.ContentLabel == "EXPLANATION"
    assert "not for diagnostic use" in found.ContentDescription
    assert found.ContentQualification == "RESEARCH"


def test_highdicom_and_dcmtk_read_it_and_dicom3tools_finds_no_error(found):
    path = make.Path(found.filename)
    assert np.array_equal(pmread(path).pixel_array, found.pixel_array)
    assert "ParametricMapStorage" in make.dumped("dcmdump", path)
    assert not make.errors_of(path)


def test_an_enhanced_source_is_referred_to_frame_by_frame(tmp_path):
    outcome = make.outcome_of(make.enhanced(tmp_path / "enhanced.dcm"))
    made = make.written(outcome, tmp_path / "out", "pm", "sr", "seg", "sc")
    sources = [
        group.DerivationImageSequence[0].SourceImageSequence[0] for group in made["pm"].PerFrameFunctionalGroupsSequence
    ]
    assert len({int(source.ReferencedFrameNumber) for source in sources}) == len(sources)
    assert not make.errors_of(*(tmp_path / "out").iterdir())


def test_without_a_place_or_without_evidence_there_is_no_map(case, tmp_path):
    flat = make.outcome_of(make.picture(tmp_path / "one.dcm"), **make.RASTER, inverted=True)
    assert not MapWriter().applies(flat)
    assert MapWriter().applies(case)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_reducing_keeps_the_mean(rows, cols, step, seed):
    plane = np.random.default_rng(seed).random((rows * step, cols * step), np.float32)
    small = reduced(plane, step)
    assert small.shape == (rows, cols)
    assert small.mean() == pytest.approx(plane.mean(), rel=1e-5)


@pytest.mark.parametrize(("shape", "step"), [((512, 512), 4), ((510, 512), 2), ((511, 512), 1)])
def test_the_step_divides_both_sides(shape, step):
    assert step_of(np.zeros((1, *shape), np.float32)) == step


@pytest.mark.parametrize(
    ("name", "tool"), [("seg", "segimage2itkimage"), ("sr", "tid1500reader"), ("pm", "paramap2itkimage")]
)
def test_dcmqi_reads_it(case, tmp_path, name, tool):
    """The readers behind 3D Slicer; that of maps wants to know the anatomy."""
    made = make.written(case, tmp_path / "out", "seg", "sr", "pm")
    make.read_by_dcmqi(tool, make.Path(made[name].filename), tmp_path / "read")


def test_the_anatomy_and_its_side(case, found, tmp_path):
    anatomy = found.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0]
    assert (anatomy.AnatomicRegionSequence[0].CodeMeaning, anatomy.FrameLaterality) == ("Lung structure", "B")
    assert "ContentCreatorName" in found and not found.ContentCreatorName
    left = make.outcome_of(make.series(tmp_path / "in", Laterality="L"))
    other = make.written(left, tmp_path / "out", "pm")["pm"]
    assert other.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].FrameLaterality == "L"
    assert not make.errors_of(make.Path(other.filename))

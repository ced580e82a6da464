"""The gate: a writer that is broken on purpose publishes nothing, and its error says what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import results_maker as make

from medvis.batch.publish import check_scan
from medvis.dicom.objects import envelope as envelopes
from medvis.dicom.objects import frame_references
from medvis.dicom.objects.pm import writer as parametric_map
from medvis.dicom.objects.result_identity import ResultIdentity
from medvis.dicom.objects.seg import writer as seg
from medvis.dicom.objects.sr import content as sr_content
from medvis.errors import OutputError
from medvis.pipeline import load


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make.outcome_of(make.series(tmp_path_factory.mktemp("series")))


@pytest.fixture
def refused(case, tmp_path):
    """Publishes, which must fail, and gives the message; the folder must be as it was."""

    def run(*names, outcome=case):
        out = tmp_path / "out"
        with pytest.raises(OutputError) as caught:
            make.written(outcome, out, *names)
        assert not out.exists()
        assert caught.value.exit_code == 7
        assert "\n" not in caught.value.line
        return caught.value.line

    return run


def broken(monkeypatch, module, name, change):
    """Puts `change` after a function of a writer."""
    original = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **options: change(original(*args, **options)))


@pytest.fixture
def drawn(monkeypatch):
    """Makes the writer draw a changed mask."""
    original = seg.put_pixels

    def change(how):
        monkeypatch.setattr(
            seg, "put_pixels", lambda ds, parent, mask, *rest: original(ds, parent, how(np.array(mask)), *rest)
        )

    return change


def test_unbroken_it_lets_everything_pass(case, tmp_path):
    assert set(make.written(case, tmp_path / "out", "seg", "sr", "sc", "pm")) == {"seg", "sr", "sc", "pm"}


@pytest.mark.parametrize("axis", [1, 2])
def test_a_flipped_outline(drawn, refused, axis):
    drawn(lambda mask: np.flip(mask, axis))
    assert "the outline of finding" in refused("seg")


def test_an_outline_on_the_next_frame(drawn, refused):
    drawn(lambda mask: np.roll(mask, 1, 0))
    assert "the outline of finding" in refused("seg", "sr")


def test_two_findings_taken_for_each_other(drawn, refused):
    drawn(lambda mask: np.array([0, 2, 1], mask.dtype)[mask])
    assert "the outline of finding" in refused("seg")


def test_one_voxel_too_few(drawn, refused):
    def without_one(mask):
        mask[tuple(index[0] for index in np.nonzero(mask))] = 0
        return mask

    drawn(without_one)
    assert "the outline of finding" in refused("seg")


@pytest.mark.parametrize(
    "flip",
    [
        lambda plane: setattr(plane, "ImageOrientationPatient", [-0.8, -0.6, 0, 0, 0, -1]),
        lambda plane: setattr(plane, "ImageOrientationPatient", [0, 0, -1, 0.8, 0.6, 0]),
        lambda plane: setattr(plane, "PixelSpacing", list(plane.PixelSpacing)[::-1]),
        lambda plane: setattr(plane, "ImagePositionPatient", [float(x) + 0.02 for x in plane.ImagePositionPatient]),
    ],
    ids=["mirrored orientation", "transposed orientation", "spacing the other way round", "shifted by 0.03 mm"],
)
@pytest.mark.parametrize(("name", "said"), [("seg", "beside its place"), ("pm", "does not lie where its source lies")])
def test_the_right_voxels_at_the_wrong_place(monkeypatch, refused, flip, name, said):
    original = frame_references.place_frame

    def place(image, *rest):
        original(image, *rest)
        flip(image)

    monkeypatch.setattr(frame_references, "place_frame", place)
    assert said in refused(name)


def test_a_finding_of_the_mask_without_a_segment(case, refused):
    fewer = case.report.model_copy(update={"findings": case.report.findings[:1]})
    assert "finding 2 is missing on" in refused("seg", outcome=replace(case, report=fewer))


@pytest.mark.parametrize(
    "field", ["longest_diameter_mm", "longest_diameter_px", "area_mm2", "volume_mm3", "probability", "spread"]
)
def test_a_number_that_is_not_that_of_the_report(monkeypatch, refused, field):
    original = sr_content.numbers_of

    def numbers(finding, report):
        value = getattr(finding, field)
        return original(finding.model_copy(update={field: value + 0.01}), report)

    monkeypatch.setattr(sr_content, "numbers_of", numbers)
    assert "round trip failed" in refused("seg", "sr")


def test_an_unknown_number_that_became_zero(monkeypatch, refused, tmp_path):
    outcome = make.outcome_of(make.series(tmp_path / "series", PixelSpacing=None))
    original = sr_content.numbers_of
    monkeypatch.setattr(
        sr_content, "numbers_of", lambda one, report: original(one.model_copy(update={"area_mm2": 0.0}), report)
    )
    assert "area_mm2 of finding 1 is 0.0 instead of None" in refused("sr", outcome=outcome)


def test_two_measures_with_each_others_codes(monkeypatch, refused):
    sizes = sr_content.SIZES
    swapped = ((sizes[0][0], *sizes[1][1:]), (sizes[1][0], *sizes[0][1:]), *sizes[2:])
    monkeypatch.setattr(sr_content, "SIZES", swapped)
    assert "diameter_mm of finding" in refused("sr")


def test_a_finding_tracked_by_another_name_than_its_segment(monkeypatch, refused):
    calls = iter(range(99))
    monkeypatch.setattr(
        ResultIdentity, "tracking", lambda self, number: (self.uid("t", str(next(calls))), f"t{number}")
    )
    assert "does not refer to its segment" in refused("seg", "sr")


def test_another_patient(monkeypatch, refused):
    original = envelopes.Envelope.seal

    def seal(self, ds):
        original(self, ds)
        ds.PatientID = "somebody else"

    monkeypatch.setattr(envelopes.Envelope, "seal", seal)
    for name in ("seg", "sr", "sc", "pm"):
        assert "PatientID of the result is not that of the source" in refused(name)


def test_a_map_of_other_values(monkeypatch, refused):
    broken(monkeypatch, parametric_map, "reduced", lambda plane: plane * np.float32(0.999))
    assert "is not the evidence" in refused("pm")


def test_a_source_without_dicom_is_refused_before_the_work(series, medvis):
    picture = series.parent / "lung1_slice.png"
    error = medvis("diagnose", picture, "--task", "lung-nodule", "--write", "json,seg", "-o", "out").error(7)
    assert "is no DICOM (png)" in error
    assert not make.Path("out").exists()


def test_a_source_without_a_study_is_refused_before_the_work(tmp_path):
    scan = load(make.picture(tmp_path / "one.dcm", StudyInstanceUID=None))
    with pytest.raises(OutputError, match="has no Study Instance UID"):
        check_scan(scan, [seg.SegWriter()])
    check_scan(scan, [])


def test_a_header_that_cannot_be_made_sense_of_is_one_line(monkeypatch, refused):
    broken(monkeypatch, seg, "stand_ins", lambda images: [images[0]])
    assert "no seg.dcm can be made for" in refused("seg")


def test_the_sample_series_from_the_command_line(medvis, short_series):
    """The bundled model, all writers, in one study, without an error of dicom3tools."""
    ran = medvis("diagnose", short_series, "-o", "out", "--write", "json,sr,seg,sc,pm", "--quiet")
    assert ran.code == 0, ran.stderr
    names = {path.name for path in make.Path("out").iterdir()}
    assert names == {"report.json", "sr.dcm", "seg.dcm", "capture.dcm", "evidence.dcm"}
    assert not make.errors_of(*make.Path("out").glob("*.dcm"))

"""capture.dcm: the page of the heatmap, marked for what it is and is not."""

import numpy as np
import pytest
import results_maker as make

from medvis.dicom.objects.sc.writer import BANNER, page
from medvis.io.picture.canvas import Canvas


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make.outcome_of(make.series(tmp_path_factory.mktemp("a series by Müller")))


@pytest.fixture(scope="module")
def capture(case, tmp_path_factory):
    return make.written(case, tmp_path_factory.mktemp("out") / "sc", "sc")["sc"]


def test_it_is_marked_as_derived_with_burned_in_text(capture):
    assert capture.SOPClassUID.name == "Secondary Capture Image Storage"
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY"]
    assert capture.BurnedInAnnotation == "YES"
    assert "not for diagnostic use" in capture.DerivationDescription
    assert BANNER in capture.ImageComments
    assert (capture.DateOfSecondaryCapture, capture.TimeOfSecondaryCapture) == ("20200305", "101314.5")


def test_the_pixels_are_those_of_the_page(case, capture):
    assert (capture.PhotometricInterpretation, capture.SamplesPerPixel) == ("RGB", 3)
    assert np.array_equal(capture.pixel_array, page(case, 3))


def test_it_refers_to_every_image_it_was_made_from(case, capture):
    assert [item.ReferencedSOPInstanceUID for item in capture.SourceImageSequence] == list(
        case.case.scan.source.sop_instance_uids
    )


def test_the_warning_is_written_large_and_the_name_of_the_file_is_not(case, monkeypatch):
    said = []
    original = Canvas.text

    def text(self, x, base, words, style, width=None):
        said.append((words, style.size))
        return original(self, x, base, words, style, width)

    monkeypatch.setattr(Canvas, "text", text)
    page(case, 3)
    assert (BANNER, 26) in said
    assert not [words for words, _ in said if "Müller" in words]
    assert [words for words, _ in said if words.startswith("series 3")]


def test_the_warning_can_be_read(case):
    """Dark on orange: a contrast above 7 to 1 (WCAG, enhanced), and neither cut off nor covered."""
    band = page(case, 3)[:44].astype(float) / 255
    light = np.where(band <= 0.04045, band / 12.92, ((band + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    assert (light.max() + 0.05) / (light.min() + 0.05) > 7
    rows, cols = np.nonzero(light < 0.1)
    assert 5 < rows.min() < rows.max() < 39
    assert np.ptp(cols) > 300
    assert cols.min() > 4
    assert cols.max() < band.shape[1] - 4


def test_dicom3tools_finds_no_error_and_dcmtk_reads_it(capture, tmp_path):
    path = make.Path(capture.filename)
    assert not make.errors_of(path)
    assert "SecondaryCaptureImageStorage" in make.dumped("dcmdump", path)


def test_an_image_made_from_a_lossy_one_says_so(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"}
    outcome = make.outcome_of(make.picture(tmp_path / "one.dcm", **lossy), **make.RASTER, inverted=True)
    made = make.written(outcome, tmp_path / "out", "sc", "seg")
    for ds in made.values():
        assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")

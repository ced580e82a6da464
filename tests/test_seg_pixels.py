"""The pixels of a Segmentation, which are put in plane by plane, so that none is held as a whole; and none is lost."""

import numpy as np
import pytest
import results_maker as make
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

highdicom = pytest.importorskip("highdicom")

from medvis.dicom.objects.seg.pixels import pack_bits, tokens


@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 5), st.integers(1, 7))))
def test_bits_are_packed_without_gaps(planes):
    assert pack_bits(iter(planes)) == np.packbits(planes, bitorder="little").tobytes()


def test_tokens_name_each_segment_of_a_frame_once():
    mask = np.zeros((3, 4, 4), np.int32)
    mask[0, 0, :2], mask[2, 1, 1], mask[2, 3], mask[2, 0] = 7, 7, 9, 5
    found = tokens(mask, [0, 2], {5: 1, 7: 2, 9: 3})
    assert found.tolist() == [[[2, 0, 0]], [[1, 2, 3]]]
    assert tokens(mask, [2], {number: number for number in range(1, 300)}).dtype == np.uint16


@pytest.mark.parametrize("kind", ["binary", "fractional", "labelmap"])
def test_frames_that_fill_no_whole_bytes(monkeypatch, tmp_path, kind):
    """61 x 67 pixels of one bit: frames start inside a byte. The gate reads them with pydicom, this with highdicom."""
    from highdicom.seg import segread

    monkeypatch.setattr(make, "SHAPE", (5, 61, 67))
    outcome = make.outcome_of(make.series(tmp_path / "in"), **{"dicom.segmentation": kind})
    assert len(outcome.report.findings) == 2
    make.written(outcome, tmp_path / "out", "seg")
    read = segread(tmp_path / "out" / "seg.dcm")
    options = {"ignore_spatial_locations": False, "assert_missing_frames_are_empty": True}
    pixels = read.get_pixels_by_source_instance(list(outcome.case.scan.source.sop_instance_uids), **options)
    for number, finding in enumerate(outcome.report.findings):
        assert np.array_equal(pixels[..., number] > 0, np.asarray(outcome.case.mask) == finding.id)

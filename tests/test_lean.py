"""Large results beside a large scan: what is not held as a whole, and that nothing is lost by it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import results_maker as make
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

highdicom = pytest.importorskip("highdicom")

from medvis.dicom.objects.lean import Modules
from medvis.dicom.objects.seg.pixels import pack_bits, tokens

STANDARD = Path(highdicom.__file__).parent / "_standard" / "module_attribute_map.json"


def test_every_module_is_what_the_whole_file_says():
    """If this fails after an update of highdicom, it lays the file out in another way."""
    whole, modules = json.loads(STANDARD.read_bytes()), Modules(STANDARD)
    assert list(modules) == list(whole) and len(modules) == len(whole)
    assert all(modules[name] == whole[name] for name in whole)
    assert "sr-document-general" in modules and "no-module" not in modules


@pytest.mark.parametrize("text", ["{}", '{"a":[{"keyword":"x"}]}', '{\n    "a": [\n    ]\n}'])
def test_a_file_of_another_layout_is_left_to_highdicom(tmp_path, text):
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(ValueError, match="not laid out"):
        Modules(tmp_path / "map.json")


CHILD = """
import sys
from pathlib import Path
import results_maker as make
from highdicom import _standard_utils
whole = _standard_utils.get_module_attribute_map
outcome = make.outcome_of(make.series(Path(sys.argv[1]) / "in"))
made = make.written(outcome, Path(sys.argv[1]) / "out", "seg", "sr", "sc", "pm")
print(len(made), whole.cache_info().currsize)
"""


def test_no_writer_makes_highdicom_load_the_whole(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("4 0\n", 0), done.stderr


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

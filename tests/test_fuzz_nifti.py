"""NIfTI at random: what nifti1.h defines and nibabel reads is what medvis reads, voxel by voxel and place by place.

MEDVIS_FUZZ=2000 python -m pytest tests/test_fuzz_nifti.py -s     takes 2,000 of each and prints the figures
"""

import os
import re
import sys
import warnings
from collections import Counter

import fuzz_nifti as make
import nibabel
import numpy as np
import pytest

from medvis.errors import InputError
from medvis.io.open import open_scan
from medvis.io.readers.nifti import NiftiReader

COUNT = int(os.environ.get("MEDVIS_FUZZ", "150"))
FIRST = int(os.environ.get("MEDVIS_FUZZ_SEED", "0"))
# What a note may say of a sound file.
USUAL = "does not say the unit of its values|no unit of length|no transform to patient|sheared|padding"
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def by_nibabel(path):
    """(float64 [i, j, k], affine to RAS) or None where nibabel cannot read it."""
    data = bytearray(make.unpacked(path.read_bytes()))
    kind = nibabel.Nifti2Image if _is_2(data) else nibabel.Nifti1Image
    if len(data) > kind.header_class.sizeof_hdr:
        data[kind.header_class.sizeof_hdr] = 0  # no extensions: nibabel refuses a file for zeros behind them
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            image = kind.from_bytes(bytes(data))
            values = np.asarray(image.dataobj, np.float64)
            return values.reshape((*values.shape, 1)[:3]), image.affine
    except Exception:
        return None


def _is_2(data):
    return make.unpacked(bytes(data))[4:8] == b"n+2\0"


def assert_same(scan, values, affine, what):
    """Every voxel of a scan has its value, and its place where the file gives one."""
    frames, rows, cols = scan.pixels.shape[:3]
    assert sorted((frames, rows, cols)) == sorted(values.shape), what
    if scan.geometry.positions is None:
        found = values_of(scan)
        _assert_values(found, values, what)
        return
    index = np.stack(np.meshgrid(range(frames), range(rows), range(cols), indexing="ij"), -1).reshape(-1, 3)
    lps = np.array([scan.geometry.to_patient(*(int(number) for number in one)) for one in index])
    places = np.c_[lps, np.ones(len(lps))] @ _RAS_TO_LPS @ np.linalg.inv(affine).T
    nearest = np.round(places[:, :3]).astype(int)
    assert np.abs(places[:, :3] - nearest).max() < 1e-2, what
    _assert_values(scan.pixels[..., 0].ravel(), values[tuple(nearest.T)], what)


def values_of(scan):
    """The pixels as they lie in the file, [i, j, k]."""
    from medvis.io.readers.nifti_geometry import to_stored

    return to_stored(scan.pixels[..., 0], scan.geometry.stored)


def _assert_values(found, wanted, what):
    wanted = np.where(np.isfinite(wanted), wanted, 0)
    np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=3e-7 * max(1.0, np.abs(wanted).max()), err_msg=str(what))


def in_mm(affine, path):
    raw = make.unpacked(path.read_bytes())
    kind = nibabel.Nifti2Header if _is_2(raw) else nibabel.Nifti1Header
    code = int(kind(raw[: kind.sizeof_hdr], check=False)["xyzt_units"])
    factor = {1: 1000.0, 3: 0.001}.get(code & 7, 1.0) if code & ~7 in range(0, 49, 8) else 1.0
    return np.diag([factor, factor, factor, 1.0]) @ affine


def campaign(judge):
    """How often each outcome came; every number that failed is told, not the first alone."""
    kinds, failures = Counter(), []
    for number in range(FIRST, FIRST + COUNT):
        try:
            kinds[judge(number)] += 1
        except AssertionError as error:
            failures.append(f"{number}: {str(error)[:900]}")
    sys.stdout.write(f"\n{COUNT} NIfTI: {dict(kinds)}, {len(failures)} failed\n")
    assert not failures, "\n".join(failures)
    return kinds


def test_a_nifti_holds_what_its_header_says_or_what_is_wrong_is_said(tmp_path):
    def judge(number):
        made = make.nifti(np.random.default_rng([5, number]))
        path = tmp_path / made.name
        path.write_bytes(made.data)
        try:
            scan = NiftiReader().read(path)
        except InputError as error:
            assert "\n" not in error.line and made.odd, (error.line, made.what)
            assert any(re.search(pattern, error.line) for pattern in made.odd), (error.line, made.odd)
            return "refused"
        assert made.values is not None, (made.odd, made.what)
        said = "\n".join([*scan.notes, *scan.geometry.reasons.values()])
        assert all(re.search(pattern, said) for pattern in made.odd), (made.odd, said, made.what)
        assert_same(scan, made.values, made.affine, made.what)
        if not made.odd:
            assert not [note for note in scan.notes if not re.search(USUAL, note)], (scan.notes, made.what)
            values, affine = by_nibabel(path)
            assert_same(scan, values, in_mm(affine, path), ("nibabel", made.what))
        return "noted" if made.odd else "equal"

    kinds = campaign(judge)
    assert kinds["equal"] > COUNT // 3 and kinds["refused"] > COUNT // 20 and kinds["noted"] > COUNT // 20


def test_a_damaged_nifti_is_no_other_volume_than_nibabel_says(tmp_path):
    def judge(number):
        what, name, data = make.damaged(np.random.default_rng([6, number]))
        path = tmp_path / name
        path.write_bytes(data)
        try:
            scan = open_scan(path)
        except InputError as error:
            assert "\n" not in error.line and len(error.line) < 500, (what, error.line)
            return "refused"
        assert np.isfinite(scan.pixels).all(), what
        expected = by_nibabel(path)
        told = [note for note in scan.notes if re.search(make.ASSUMED, note)]
        if expected is None:
            assert told, (what, "read, though nibabel cannot", scan.notes)
        elif not told:
            assert_same(scan, expected[0], in_mm(expected[1], path), (what, scan.notes))
        return "noted" if told else "equal"

    kinds = campaign(judge)
    assert kinds["equal"] > COUNT // 5 and kinds["refused"] > COUNT // 20


@pytest.mark.parametrize("number", range(12))
def test_a_pair_of_header_and_image_is_refused_whichever_is_given(tmp_path, number):
    """Analyze 7.5 has no transform that says left from right; of a NIfTI pair either file is half of a volume."""
    for name, data in make.pair(np.random.default_rng([7, number])).items():
        (tmp_path / name).write_bytes(data)
    for name in ("a.hdr", "a.img"):
        with pytest.raises(InputError) as caught:
            open_scan(tmp_path / name)
        assert "\n" not in caught.value.line

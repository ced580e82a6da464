"""Nothing but DICOM results carries a patient's identity: it is planted in a whole series and looked for everywhere."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

pytest.importorskip("dicomanonymizer", reason="the extra deid is not installed")

from test_deidentify import leaks, planted

SAMPLES = Path(__file__).parents[1] / "sample_data" / "lung1"


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Two slices of the sample series with identity in every attribute that the table of PS3.15 names."""
    folder = tmp_path_factory.mktemp("series")
    for name in ("0006.dcm", "0007.dcm"):
        ds = planted(dcmread(SAMPLES / name))
        ds.Modality, ds.BodyPartExamined = "CT", "CHEST"
        ds.file_meta.SourceApplicationEntityTitle = "PLANTED"
        ds.save_as(folder / name)
    return folder


def medvis(*arguments, stdin=None):
    """Output, errors and code of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "medvis", *map(str, arguments)], capture_output=True, check=False, input=stdin,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert leaks(done.stdout) == [] and leaks(done.stderr) == [], (arguments, leaks(done.stdout), leaks(done.stderr))
    return done


def test_reports_pictures_and_masks(series, tmp_path):
    assert medvis("diagnose", series, "-o", tmp_path / "out").returncode == 0
    assert medvis("diagnose", series / "0007.dcm", "--json").returncode == 0
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == ["heatmap.png", "mask.nii.gz", "report.json"]
    for path in files:
        data = path.read_bytes()
        assert leaks(gzip.decompress(data) if path.suffix == ".gz" else data) == [], path.name


def test_info_and_case_files(series, tmp_path):
    assert medvis("info", series, "--json").returncode == 0 and medvis("info", series / "0006.dcm").returncode == 0
    case = medvis("window", series / "0007.dcm", "-o", "-")
    assert case.returncode == 0 and len(case.stdout) > 1_000_000
    assert medvis("enhance", "-", "-o", "-", stdin=case.stdout).returncode == 0


def test_what_goes_wrong_is_told_without_a_name(series, tmp_path):
    """Each of these ends with one line about a file whose header is full of identity."""
    whole = (series / "0007.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) - 9000])
    (tmp_path / "half.dcm").write_bytes(whole[: len(whole) // 3])
    ds = dcmread(series / "0007.dcm")
    for name, changes in {
        "nothing.dcm": {"Rows": None},
        "other.dcm": {"Modality": "MR"},
        "odd.dcm": {"RescaleIntercept": None, "BitsAllocated": 13},
    }.items():
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(tmp_path / name)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name, uid in (("a.dcm", "1.2.3"), ("b.dcm", "1.2.4")):
        other = dcmread(series / "0007.dcm")
        other.SeriesInstanceUID, other.SeriesDescription = uid, "PLANTED"
        other.save_as(mixed / name)
    for path in sorted(tmp_path.iterdir()):
        medvis("diagnose", path, "-o", tmp_path.parent / f"out-{path.name}")
        medvis("info", path)
        medvis("deidentify", path, "-o", tmp_path.parent / f"new-{path.name}")

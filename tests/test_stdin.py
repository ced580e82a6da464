"""`-`: one image through a pipe, of any format that a file may have."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from conftest import canonical

from medvis.errors import InputError
from medvis.io.spool import spooled

PIXELS = np.random.default_rng(4).integers(0, 256, (64, 64), dtype=np.uint8)


def same(one: bytes, other: bytes) -> bool:
    """Whether two reports say the same of a file and of its bytes through a pipe."""
    return canonical(one) == canonical(other) and json.loads(other)["scan"]["path"] == "stdin"


def test_dicom_from_a_pipe_is_diagnosed_as_from_a_file(medvis, slices):
    ran = medvis("diagnose", "-", "--json", "-o", "out", "--write", "json", stdin=slices[1].read_bytes())
    assert ran.code == 0 and ran.stderr.startswith("stdin  CT CHEST")
    assert same(medvis("diagnose", slices[1], "--json", "-q").stdout, Path("out/report.json").read_bytes())


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".bmp"])
def test_pictures_of_every_format(medvis, ending):
    data = cv2.imencode(ending, PIXELS)[1].tobytes()
    Path(f"a{ending}").write_bytes(data)
    ran = medvis("diagnose", "-", "--task", "steel", "--json", "-q", stdin=data)
    assert same(medvis("diagnose", f"a{ending}", "--task", "steel", "--json", "-q").stdout, ran.stdout)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_with_and_without_gzip(medvis, tmp_path, ending):
    path = tmp_path / f"a{ending}"
    nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), path)
    facts = medvis("info", "-", "--json", stdin=path.read_bytes()).json
    assert (facts["path"], facts["format"], facts["frames"]) == ("stdin", "nifti", 5)


def test_an_archive_from_a_pipe(medvis, short_series, tmp_path):
    import shutil

    data = Path(shutil.make_archive(str(tmp_path / "a"), "zip", short_series)).read_bytes()
    facts = medvis("info", "-", "--json", stdin=data).json
    assert (facts["path"], facts["frames"]) == ("stdin", 3)


def test_beside_other_paths_it_has_a_folder_of_that_name(medvis, slices):
    ran = medvis("diagnose", slices[0], "-", "-o", "out", "-q", "--write", "json", stdin=slices[1].read_bytes())
    assert ran.code == 0
    assert sorted(path.as_posix() for path in Path("out").rglob("*.json")) == [
        "out/a/report.json", "out/stdin/report.json",
    ]  # fmt: skip
    again = medvis(
        "diagnose", "-", "-o", "out/stdin", "--skip-existing", "--write", "json", stdin=slices[1].read_bytes()
    )
    assert again.code == 0 and "1 skipped" in again.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "stdin is empty"), (b"hello\n", "stdin is text"), (b"\x89PNG\r\n\x1a\n", "stdin is a PNG")],
)
def test_what_is_no_image_is_one_line_without_a_private_path(medvis, data, words):
    for command in (["diagnose", "-", "--task", "steel", "-o", "out"], ["info", "-"]):
        line = medvis(*command, stdin=data).error(3)
        assert line.startswith(words) and "/tmp" not in line
    assert not Path("out").exists()


def test_it_can_be_given_once(medvis):
    assert "given twice" in medvis("diagnose", "-", "-", stdin=b"x").error(2)


def test_it_is_bounded_and_leaves_nothing():
    with spooled(io.BytesIO(b"12345"), "stdin", most=5) as path:
        assert path.read_bytes() == b"12345"
    assert not path.parent.exists()
    with pytest.raises(InputError, match="stdin has more than"), spooled(io.BytesIO(b"123456"), "stdin", most=5):
        pass

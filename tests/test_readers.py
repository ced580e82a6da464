"""Every registered reader passes one sweep, whichever package it comes from.

Of a reader that is not medvis' own, the sweep takes a sample from the folder that MEDVIS_SAMPLES names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import case_maker
import cv2
import dicom_maker as maker
import nibabel
import numpy as np
import pytest

from medvis import plugins
from medvis.core.protocols import Reader
from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.magic import HEAD, head_of
from medvis.io.open import open_scan
from medvis.io.readers.casefile import save_case

NAMES = plugins.names("medvis.readers")
CLASSES = [name for name in NAMES if plugins.load("medvis.readers", name).in_folders != "never"]
PIXELS = np.random.default_rng(5).integers(0, 1000, (4, 40, 36)).astype(np.int16)


def nifti(path):
    nibabel.save(nibabel.Nifti1Image(PIXELS, np.diag([0.7, 0.6, 2.5, 1])), path.with_suffix(".nii"))
    return path.with_suffix(".nii")


def raster(path):
    cv2.imwrite(str(path.with_suffix(".png")), PIXELS[0].astype(np.uint8))
    return path.with_suffix(".png")


def case(path):
    path.write_bytes(save_case(case_maker.make_case(rows=32, cols=32)))
    return path


SAMPLES = {
    "dicom": lambda path: maker.save(maker.ct(PIXELS[0]), path),
    "nifti": nifti,
    "raster": raster,
    "case": case,
}


def reader_of(name: str) -> Reader:
    return plugins.create("medvis.readers", name, Reader)


def sample_of(name: str, folder: Path) -> Path:
    """A file that the reader is for, in that folder."""
    folder.mkdir(exist_ok=True)
    if name in SAMPLES:
        return SAMPLES[name](folder / "sample")
    for path in sorted(Path(os.environ.get("MEDVIS_SAMPLES", folder)).iterdir()):
        if reader_of(name).format_of(head_of(path), path) is not None:
            return Path(shutil.copy(path, folder))
    pytest.skip(f"no sample for the reader '{name}' in the folder that MEDVIS_SAMPLES names")


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_says_what_it_reads(name):
    reader = reader_of(name)
    assert reader.name == name
    assert reader.title and reader.wanted.startswith(("a ", "an "))
    assert reader.magic and all(magic.start and magic.format for magic in reader.magic)
    assert all(0 <= magic.offset <= HEAD - len(magic.start) for magic in reader.magic)
    assert reader.patterns and all(pattern.startswith("*.") for pattern in reader.patterns)
    assert all(index == index.upper() for index in reader.indexes)
    assert reader.in_folders in ("always", "alone", "never")


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_claims_its_own_files_and_no_others(tmp_path, name):
    path = sample_of(name, tmp_path)
    named = path.rename(tmp_path / "no-name-that-says-anything")
    claims = [other for other in NAMES if reader_of(other).format_of(head_of(named), named) is not None]
    assert claims == [name]
    for head in (b"", b"hello, world", bytes(HEAD), bytes(range(256)) * 4):
        assert reader_of(name).format_of(head, tmp_path / "other") is None


@pytest.mark.parametrize("name", NAMES)
def test_what_is_foreign_empty_or_truncated_is_refused_in_a_line(tmp_path, name):
    data = sample_of(name, tmp_path).read_bytes()
    broken = {"empty": b"", "text": b"hello, world\n" * 40, "half": data[: len(data) // 2], "head": data[:HEAD]}
    for kind, content in broken.items():
        (tmp_path / kind).write_bytes(content)
        with pytest.raises(InputError) as caught:
            reader_of(name).read(tmp_path / kind)
        assert "\n" not in caught.value.line and kind in caught.value.line


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_keeps_the_contract(tmp_path, name):
    path = sample_of(name, tmp_path)
    before = path.read_bytes()
    first, second = reader_of(name).read(path), reader_of(name).read(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.pixels.dtype == np.float32 and np.isfinite(first.pixels).all()
    assert first.channels in (1, 3) and min(first.pixels.shape) > 0
    assert first.geometry.reasons == second.geometry.reasons and first.notes == second.notes
    assert all(isinstance(note, str) and note and "\n" not in note for note in first.notes)
    assert first.source == second.source


@pytest.mark.parametrize("name", [name for name in NAMES if name != "case"])  # a case tells of another file
def test_a_reader_says_where_the_scan_comes_from(tmp_path, name):
    path = sample_of(name, tmp_path)
    scan = reader_of(name).read(path)
    assert (scan.source.path, scan.source.files) == (str(path), (path.name,))
    assert scan.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert scan.source.format == reader_of(name).format_of(head_of(path), path)
    assert [step.name for step in scan.trail] == ["read"]


@pytest.mark.parametrize("name", NAMES)
def test_the_geometry_is_consistent(tmp_path, name):
    scan = reader_of(name).read(sample_of(name, tmp_path))
    geometry = scan.geometry
    for field in ("spacing", "positions"):
        assert getattr(geometry, field) is not None or geometry.reasons.get(field), f"no {field}, and no reason"
    assert geometry.spacing is None or min(geometry.spacing) > 0
    assert scan.frames == 1 or geometry.slice_spacing is not None or geometry.reasons.get("slice_spacing")
    assert (geometry.positions is None) == (geometry.orientation is None)
    if geometry.positions is not None:
        assert geometry.positions.shape == (scan.frames, 3)
        row, col = geometry.orientation[:3], geometry.orientation[3:]
        np.testing.assert_allclose([row @ row, col @ col, row @ col], [1, 1, 0], atol=1e-4)
    if geometry.positions is not None and scan.frames > 1:
        steps = np.diff(geometry.positions, axis=0) @ np.cross(row, col)
        np.testing.assert_allclose(steps.mean(), geometry.slice_spacing, rtol=1e-3)


@pytest.mark.parametrize("name", CLASSES)
def test_a_folder_and_an_archive_give_the_same_scan_as_the_file(tmp_path, name):
    path = sample_of(name, tmp_path / "study")
    (tmp_path / "study" / "notes.txt").write_text("hello")
    scan = reader_of(name).read(path)
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "study"))
    for given in (tmp_path / "study", archive):
        with volumes(given) as inside:
            assert [volume.files for volume in inside] == [(path.name,)]
        other = open_scan(given)
        np.testing.assert_array_equal(other.pixels, scan.pixels)
        assert any("1 file(s) that are no" in note for note in other.notes)


def test_asking_every_reader_imports_nothing_that_decodes():
    code = (
        "import sys; from medvis.io.registry import endings, registered; registered(); endings();"
        "print([m for m in ('pydicom', 'nibabel', 'cv2', 'nrrd', 'PIL', 'skimage', 'scipy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""From a path to the right reader, or to one line that says what the path is."""

import os
import subprocess
import sys

import cv2
import dicom_maker as maker
import nibabel
import numpy as np
import pytest

from medvis import plugins
from medvis.core.geometry import Geometry
from medvis.core.protocols import Reader
from medvis.core.scan import Scan, Source
from medvis.errors import InputError
from medvis.io import magic
from medvis.io.open import open_scan


def refused(path):
    with pytest.raises(InputError) as caught:
        open_scan(path)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.line
    return caught.value.line


def make(folder):
    """One file of every kind that the built-in readers know, with names that say nothing."""
    cv2.imwrite(str(folder / "a.png"), np.zeros((3, 3), np.uint8))
    cv2.imwrite(str(folder / "b.jpg"), np.zeros((3, 3), np.uint8))
    cv2.imwrite(str(folder / "c.tif"), np.zeros((3, 3), np.uint8))
    cv2.imwrite(str(folder / "d.bmp"), np.zeros((3, 3), np.uint8))
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), folder / "e.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), folder / "f.nii.gz")
    maker.save(maker.ct(np.zeros((3, 3))), folder / "g.dcm")
    kinds = ("png", "jpeg", "tiff", "bmp", "nifti", "nifti", "dicom")
    return dict(zip(sorted(folder.iterdir()), kinds, strict=True))


def test_every_kind_by_its_first_bytes(tmp_path):
    for path, kind in make(tmp_path).items():
        nameless = path.rename(tmp_path / f"{path.stem}-unknown")
        assert open_scan(nameless).source.format == kind
        assert open_scan(str(nameless)).shape == (3, 3)


def test_a_dicom_with_another_formats_preamble(tmp_path):
    path = maker.save(maker.ct(np.zeros((3, 3))), tmp_path / "dual.tif")
    path.write_bytes(b"II*\x00" + path.read_bytes()[4:])
    assert open_scan(path).modality == "CT"


def test_a_series_folder(tmp_path):
    maker.save_series(tmp_path, maker.volume())
    assert open_scan(tmp_path).frames == 4


def test_absent_and_empty(tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.dcm")
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.dcm")
    (tmp_path / "folder").mkdir()
    assert "is an empty folder" in refused(tmp_path / "folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello, world\n", "is text"),
        ("Bücher über Brüche".encode() * 100, "is text"),
        (b'{"a": 1}', "is JSON text"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"PK\x03\x04....", "is a damaged or unknown kind of ZIP archive"),
        (b"\x1f\x8b\x08\x00....", "is a gzip archive"),
        (b"NRRD0004\n", "is an NRRD volume"),
        (bytes(500), "is only zero bytes"),
        (bytes(range(256)) * 4, "is of an unknown format"),
        (b"\x08\x00", "is of an unknown format"),
    ],
)
def test_what_else_a_file_may_be(tmp_path, content, words):
    (tmp_path / "file").write_bytes(content)
    line = refused(tmp_path / "file")
    assert words in line
    assert "wanted: a DICOM file" in line or "ZIP" in line


def test_folders_that_are_no_series(tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((3, 3), np.uint8))
    assert "is a folder of images (1 PNG)" in (line := refused(tmp_path / "images"))
    assert "give the files" in line
    assert f"{tmp_path} is a folder of images (1 PNG)" in refused(tmp_path)
    (tmp_path / "images" / "a.png").write_text("hello")
    assert "holds no image (1 other file(s))" in refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    path = maker.save(maker.ct(np.zeros((3, 3))), tmp_path / "locked.dcm")
    path.chmod(0)
    assert "cannot be read" in refused(path)


class ThirdParty:
    """Somebody else's reader."""

    name = "star"

    def claims(self, path):
        return path.is_file() and path.read_bytes().startswith(b"STAR")

    def read(self, path):
        source = Source(str(path), "star", "0")
        return Scan(np.zeros((1, 2, 2, 1), np.float32), Geometry(), source)


def test_other_readers_are_asked_last(tmp_path, monkeypatch):
    load = plugins.load
    monkeypatch.setattr(plugins, "names", lambda group: ("dicom", "raster", "star"))
    monkeypatch.setattr(plugins, "load", lambda group, name: ThirdParty if name == "star" else load(group, name))
    (tmp_path / "file").write_bytes(b"STAR....")
    assert open_scan(tmp_path / "file").source.format == "star"
    assert open_scan(maker.save(maker.ct(np.zeros((3, 3))), tmp_path / "a.dcm")).source.format == "dicom"


def test_the_built_in_readers_keep_the_protocol():
    for name in ("dicom", "raster", "nifti"):
        reader = plugins.load("medvis.readers", name)()
        assert isinstance(reader, Reader)
        assert reader.name == name


def test_every_reader_claims_its_own_kind_only(tmp_path):
    readers = {name: plugins.load("medvis.readers", name)() for name in ("dicom", "raster", "nifti")}
    for path, kind in make(tmp_path).items():
        own = kind if kind in readers else "raster"
        assert [name for name, reader in readers.items() if reader.claims(path)] == [own]


def test_a_png_needs_neither_pydicom_nor_nibabel(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((3, 3), np.uint8))
    code = (
        "import sys; sys.modules['pydicom'] = sys.modules['nibabel'] = sys.modules['torch'] = None;"
        "from medvis.io.open import open_scan; print(open_scan(sys.argv[1]).pixels.shape)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "(1, 3, 3, 1)\n"), done.stderr


def test_bare_dicom_is_told_from_noise():
    explicit = bytes.fromhex("08000500435304004953 4f5f 08000800 4353 0200".replace(" ", ""))
    implicit = bytes.fromhex("0800050004000000 49534f5f 08001600 02000000".replace(" ", ""))
    big = bytes.fromhex("00080005 4353 0004 49534f5f 00080016 5549 0002".replace(" ", ""))
    for head in (explicit, implicit, big):
        assert magic.kind_of(head) == "dicom"
    assert magic.kind_of(explicit[:12]) is None  # nothing after the first element
    assert magic.kind_of(b"\x08\x00\x05\x00" + bytes(60)) is None  # the next tag goes backwards
    assert magic.kind_of(b"") is None

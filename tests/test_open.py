"""From a path to the right reader, or to one line that says what the path is."""

import os
import shutil
import subprocess
import sys

import cv2
import dicom_maker as maker
import nibabel
import numpy as np
import pytest
from case_maker import make_case

from medvis import plugins
from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan, Source
from medvis.dicom.read.magic import is_dicom
from medvis.errors import InputError, SettingsError
from medvis.io import magic, registry
from medvis.io.inputs import volumes
from medvis.io.open import open_scan
from medvis.io.readers.casefile import save_case


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
    assert "is an empty folder; wanted" in refused(tmp_path)
    (tmp_path / "images" / "a.png").write_text("hello")
    assert "holds no image (1 other file(s))" in refused(tmp_path)
    (tmp_path / "images" / "a.png").rename(tmp_path / ".a.png")
    assert "is an empty folder; 1 hidden file(s) or folder(s) were left out: .a.png" in refused(tmp_path)
    (tmp_path / "scan.case").write_bytes(save_case(make_case(rows=8, cols=8)))
    assert "holds no image that is read from a folder (1 CASE)" in (line := refused(tmp_path))
    assert "give the files" in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs modes that hold for this user")
def test_unreadable(tmp_path):
    path = maker.save(maker.ct(np.zeros((3, 3))), tmp_path / "locked.dcm")
    path.chmod(0)
    assert "cannot be read" in refused(path)


class Star(Reader):
    """Somebody else's reader, of files and of folders of its own kind."""

    name, title, wanted, patterns = "star", "STAR", "a STAR volume", ("*.star",)
    magic = (Magic(b"STAR", "star"),)

    def claims_folder(self, folder):
        return (folder / "star.index").is_file()

    def read(self, path):
        if path.is_file() and path.read_bytes() == b"STAR":
            raise InputError(f"{path} is truncated")
        source = Source(str(path), "star", "0")
        return Scan(np.zeros((1, 2, 2, 1), np.float32), Geometry(), source)


class Rival(Star):
    """It claims what the other claims."""

    name = "rival"


@pytest.fixture
def readers(monkeypatch):
    """Registers classes (or what cannot be loaded) beside the built-in readers."""
    names, load = plugins.names, plugins.load
    extra = {}

    def loaded(group, name):
        if isinstance(extra.get(name), Exception):
            raise extra[name]
        return extra[name] if name in extra else load(group, name)

    monkeypatch.setattr(plugins, "names", lambda group: tuple(sorted((*names(group), *extra))))
    monkeypatch.setattr(plugins, "load", loaded)
    registry.registered.cache_clear()
    yield extra
    registry.registered.cache_clear()


def labels(path):
    with volumes(path) as inside:
        return [volume.label for volume in inside], list(inside.notes)


def test_an_outside_reader_reads_a_file_a_folder_and_an_archive(tmp_path, readers):
    readers["star"] = Star
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "one.star").write_bytes(b"STAR....")
    assert open_scan(folder / "one.star").source.format == "star"
    (folder / "notes.txt").write_text("hello")
    scan = open_scan(folder)
    assert scan.source.format == "star"
    assert scan.notes == ("1 file(s) that are no STAR were ignored",)
    (folder / "below" / "ONE.star").write_bytes(b"STAR....")
    assert labels(folder) == (["one", "below-one"], ["1 file(s) that are no STAR were ignored: notes.txt"])
    assert labels(shutil.make_archive(str(tmp_path / "study"), "zip", folder))[0] == ["one", "below-one"]
    assert "holds 2 volumes: one (the file one.star), below-one (the file below/ONE.star)" in refused(folder)


def test_volumes_of_several_readers_in_one_folder(tmp_path, readers):
    readers["star"] = Star
    maker.save_series(tmp_path, maker.volume())
    cv2.imwrite(str(tmp_path / "thumbnail.png"), np.zeros((3, 3), np.uint8))
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / "mask.nii")
    assert labels(tmp_path)[1] == ["2 file(s) that are no DICOM were ignored: mask.nii, thumbnail.png"]
    (tmp_path / "second.star").write_bytes(b"STAR....")
    named, notes = labels(tmp_path)
    assert named[1:] == ["second"] and named[0].startswith("series")
    assert notes == ["2 file(s) that are no DICOM or STAR were ignored: mask.nii, thumbnail.png"]
    assert open_scan(tmp_path, "second").source.format == "star"


def test_objects_that_are_no_images_do_not_hide_other_volumes(tmp_path, readers, medvis):
    readers["star"] = Star
    report = maker.ct(np.zeros((3, 3)), SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None)
    maker.save(report, tmp_path / "report.dcm")
    (tmp_path / "a.star").write_bytes(b"STAR....")
    assert open_scan(tmp_path).source.format == "star"
    with volumes(shutil.make_archive(str(tmp_path.parent / "study"), "zip", tmp_path)) as inside:
        reasons = {volume.label: volume.why_not for volume in inside}
    assert reasons == {"dicom": "the input holds no DICOM image, but 1 Comprehensive SR", "a": None}
    assert b"no volume: the input holds no DICOM image" in medvis("info", tmp_path).stdout


def test_a_folder_of_nifti_volumes_alone(tmp_path):
    for name in ("a.nii", "b.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4)), tmp_path / name)
    assert labels(tmp_path) == (["a", "b"], [])


def test_a_folder_that_is_one_scan(tmp_path, readers):
    readers["star"] = Star
    (tmp_path / "star.index").write_bytes(b"")
    assert open_scan(tmp_path).source == Source(str(tmp_path), "star", "0")


def test_two_readers_of_one_format_are_refused_and_rank_decides(tmp_path, readers, monkeypatch):
    readers.update(star=Star, rival=Rival)
    (tmp_path / "file").write_bytes(b"STAR....")
    assert "is claimed by the readers rival and star; wanted: one" in refused(tmp_path / "file")
    monkeypatch.setattr(Rival, "rank", 1)
    registry.registered.cache_clear()
    assert registry.match(tmp_path / "file", b"STAR....").reader.name == "rival"


def test_a_reader_that_cannot_be_imported_keeps_nobody_from_other_files(tmp_path, readers):
    readers["star"] = SettingsError("medvis.readers 'star' cannot be imported")
    path = maker.save(maker.ct(np.zeros((3, 3))), tmp_path / "a.dcm")
    assert open_scan(path).source.format == "dicom"
    (tmp_path / "file").write_bytes(b"STAR....")
    for unknown in (tmp_path / "file", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(SettingsError, match="'star' cannot be imported"):
            open_scan(unknown)
    assert "medvis.readers 'star' cannot be imported" in open_scan(tmp_path).notes


def test_what_is_no_reader_is_refused():
    with pytest.raises(SettingsError, match=r"medvis.stages 'window' is .*; wanted: a class derived from .*Reader"):
        plugins.create("medvis.stages", "window", Reader)


def test_a_reader_without_a_method_is_refused(readers):
    readers["odd"] = type("Odd", (Reader,), {"name": "odd"})
    with pytest.raises(SettingsError, match=r"medvis.readers 'odd' cannot be used: .*read"):
        plugins.create("medvis.readers", "odd", Reader)


def test_every_reader_claims_its_own_kind_only(tmp_path):
    for path, kind in make(tmp_path).items():
        head = magic.head_of(path)
        claims = [known for reader in registry.registered().readers if (known := reader.format_of(head, path))]
        assert claims == [kind]


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
        assert is_dicom(head)
    assert not is_dicom(explicit[:12])  # nothing after the first element
    assert not is_dicom(b"\x08\x00\x05\x00" + bytes(60))  # the next tag goes backwards
    assert not is_dicom(b"")

"""ZIP archives of a study: read like a folder, refused where they are hostile, and gone afterwards."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import dicom_maker as maker
import numpy as np
import pytest

from medvis.errors import InputError
from medvis.io import archive
from medvis.io.inputs import volumes
from medvis.io.open import open_scan

VOLUME = maker.volume()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where archives are unpacked: must be empty after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def packed(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return path


def files_of(folder, prefix=""):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}


def study(tmp_path, name="study.zip"):
    maker.save_series(tmp_path / "series", VOLUME, SeriesNumber=4, SeriesDescription="Lung")
    return packed(tmp_path / name, files_of(tmp_path / "series", "CD/IMAGES/"))


def refused(path):
    with pytest.raises(InputError) as caught, volumes(path):
        pass
    assert str(path) in caught.value.line
    assert "medvis-" not in caught.value.line
    return caught.value.line


def test_an_archive_is_read_like_its_folder(tmp_path, temporary):
    path = study(tmp_path)
    with volumes(path) as found:
        (volume,) = found
        assert volume.label == "series-4-lung"
        scan = volume.read()
        folder = Path(scan.source.path)
        assert folder.parent.parent == temporary
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all((folder / name).is_file() for name in scan.source.files)
    alone = open_scan(path)
    assert alone.source.path == str(path)
    np.testing.assert_array_equal(alone.pixels, open_scan(tmp_path / "series").pixels)
    assert alone.source.sha256 == open_scan(tmp_path / "series").source.sha256


def test_what_an_archive_holds_beside_images(tmp_path):
    maker.save_series(tmp_path / "series", VOLUME)
    inside = packed(tmp_path / "inner.zip", files_of(tmp_path / "series"))
    extra = {"__MACOSX/._000.dcm": b"no", "empty/": b"", "readme.txt": b"hi", "inner.zip": inside.read_bytes()}
    scan = open_scan(packed(tmp_path / "a.zip", {**files_of(tmp_path / "series"), **extra}))
    assert scan.frames == 4
    assert scan.notes == ("2 file(s) that are no DICOM were ignored",)


@pytest.mark.parametrize(
    "name", ["../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "..\\out.dcm", "C:\\out.dcm", "C:out"]
)
def test_members_that_would_leave_the_folder(tmp_path, name):
    assert "leads out of its folder" in refused(packed(tmp_path / "a.zip", {name: b"data"}))
    assert not list(tmp_path.rglob("out*"))


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr(link, "/etc/passwd")
    assert "link or a device" in refused(tmp_path / "a.zip")


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    zeros = packed(tmp_path / "ratio.zip", {"zeros": bytes(1 << 20)})
    monkeypatch.setattr(archive, "SMALL", 1 << 16)
    assert "at most 200 to 1" in refused(zeros)
    monkeypatch.setattr(archive, "MEMBER_BYTES", 1 << 19)
    assert "a member of 1.0 MiB; wanted: at most 0.5 MiB" in refused(zeros)
    monkeypatch.setattr(archive, "MEMBERS", 3)
    assert "has 4 members; wanted: at most 3" in refused(
        packed(tmp_path / "m.zip", {str(one): b"" for one in range(4)})
    )


def test_more_than_there_is_room_for(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", {"a": bytes(1000), "b": bytes(1000)}, zipfile.ZIP_STORED)
    monkeypatch.setattr(archive, "TOTAL_BYTES", 1500)
    assert "wanted: at most 0.0 MiB" in refused(path)


def test_a_member_that_lies_about_its_size(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.dcm": bytes(range(256)) * 8}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path)


def test_encrypted_archives(tmp_path):
    path = packed(tmp_path / "a.zip", {"a": b"data"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "is an encrypted ZIP archive; wanted: one without a password" in refused(path)


@pytest.mark.parametrize("cut", [10, 60, -1, -30])
def test_damaged_archives(tmp_path, cut):
    path = study(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    assert "ZIP archive" in refused(path)


def test_flipped_bits_never_pass_for_pixels(tmp_path):
    path = study(tmp_path)
    data = path.read_bytes()
    before = open_scan(path).pixels
    random = np.random.default_rng(5)
    for _ in range(40):
        broken = bytearray(data)
        broken[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(broken)
        try:
            np.testing.assert_array_equal(open_scan(path).pixels, before)
        except InputError as error:
            assert "\n" not in error.line and "medvis-" not in error.line


def test_archives_without_images(tmp_path):
    assert "holds no image (1 other file(s))" in refused(packed(tmp_path / "a.zip", {"a.txt": b"hello"}))
    assert "is an empty folder" in refused(packed(tmp_path / "b.zip", {}))
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    (tmp_path / "c.npz").write_bytes(buffer.getvalue())
    assert "holds no image" in refused(tmp_path / "c.npz")


def test_an_error_in_the_block_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), volumes(study(tmp_path)) as found:
        found[0].read()
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), volumes(study(tmp_path)):
        raise KeyboardInterrupt


def test_diagnose_names_the_archive_and_not_where_it_lay(medvis, short_series, tmp_path):
    path = packed(tmp_path / "my study.zip", files_of(short_series, "DICOM/"))
    ran = medvis("diagnose", path, "-o", "out", "--write", "json,mask")
    assert ran.code == 0
    report = json.loads(Path("out/report.json").read_text())
    assert report["scan"]["path"] == str(path)
    text = Path("out/report.json").read_text() + ran.stderr
    assert "temporary" not in text and "/medvis-" not in text
    assert medvis("info", path, "--json").json["path"] == str(path)
    assert str(path) in medvis("diagnose", path, "-o", "steel", "--task", "steel").error(3)


@pytest.mark.skipif(os.name != "posix", reason="a process cannot be sent Ctrl-C alone here")
def test_an_interrupt_leaves_nothing(series, tmp_path, temporary):
    path = packed(tmp_path / "study.zip", files_of(series))
    command = [sys.executable, "-m", "medvis", "diagnose", str(path), "-o", str(tmp_path / "out")]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temporary)}, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    for _ in range(600):
        if any(temporary.glob("medvis-*/files/*.dcm")) or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "medvis: interrupted\n")
    assert not (tmp_path / "out").exists()

"""The VOI LUT of a file is applied where its slices are shown, as DCMTK applies it; or a note says that it is not."""

import shutil
import subprocess
from dataclasses import replace

import cv2
import dicom_maker as maker
import numpy as np
import pytest

from medvis.core.case import Case
from medvis.core.display import Display
from medvis.core.scan import DisplayWindow
from medvis.dicom.read.reader import DicomReader
from medvis.io.describe import describe
from medvis.io.open import open_scan
from medvis.io.picture.canvas import Rect
from medvis.io.picture.slices import Slices, View

STORED = np.add.outer(np.arange(48) * 13, np.arange(64) * 7).astype(np.uint16)  # 0 to 1052
CURVE = np.round(4095 * np.linspace(0, 1, 600) ** 2.2).astype(int).tolist()
DCMTK = shutil.which("dcm2pnm")


def radiograph(**tags):
    """Without a window: 12 bits, shown through a curve that covers the stored values from 200 to 799."""
    ds = maker.image(STORED, "DX", bits=12, VOILUTSequence=[maker.lut(CURVE, first=200, bits=12)], **tags)
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in ds and keyword not in tags:
            del ds[keyword]
    return ds


def shown(scan, frame=0, display=None):
    slices = Slices(Case(scan, "t"), display or Display())
    rows, cols = scan.shape
    return slices, slices.plain(frame, View(slices.whole, Rect(0, 0, cols, rows)))[..., 0]


def test_it_is_applied(tmp_path):
    scan = DicomReader().read(maker.save(radiograph(), tmp_path / "a.dcm"))
    slices, picture = shown(scan)
    table = np.array(CURVE) / 4095
    wanted = np.round(255 * table[np.clip(STORED.astype(int) - 200, 0, 599)])
    assert np.abs(picture - wanted).max() <= 1
    assert slices.window_words == "VOI LUT of the file" and not slices.as_stored
    assert describe(scan)["voi_luts"][0]["entries"] == 600


@pytest.mark.skipif(DCMTK is None, reason="DCMTK is not installed")
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_dcmtk_shows_the_same(tmp_path, photometric):
    path = maker.save(radiograph(PhotometricInterpretation=photometric), tmp_path / "a.dcm")
    picture = tmp_path / "a.pgm"
    subprocess.run([DCMTK, "--use-voi-lut", "1", "--write-raw-pnm", path, picture], check=True, capture_output=True)
    theirs = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED).astype(int)
    _, mine = shown(DicomReader().read(path))
    assert theirs.std() > 50 and np.abs(theirs - mine).max() <= 1


def test_a_window_of_the_file_or_the_task_goes_before(tmp_path):
    """Window and VOI LUT are alternatives (PS3.3 C.11.2.1.1); the first window is what viewers show."""
    scan = DicomReader().read(maker.save(radiograph(WindowCenter=500, WindowWidth=400), tmp_path / "a.dcm"))
    assert scan.source.voi_luts and shown(scan)[0].window_words == "window of the file: center 500, width 400"
    plain = replace(scan, windows=())
    assert shown(plain)[0].window_words == "VOI LUT of the file"
    named = Display(name="narrow", center=300.0, width=100.0)
    assert shown(plain, display=named)[0].window_words == "window narrow: center 300, width 100"


def test_a_slice_without_a_window_of_its_own_is_shown_through_it(tmp_path):
    scan = DicomReader().read(maker.save(radiograph(), tmp_path / "a.dcm"))
    two = replace(
        scan,
        pixels=np.concatenate([scan.pixels, scan.pixels]),
        source=replace(scan.source, windows_by_frame=((DisplayWindow(500, 400),), ())),
    )
    assert not np.array_equal(shown(two, 0)[1], shown(two, 1)[1])
    assert np.array_equal(shown(two, 1)[1], shown(scan)[1])


def series(folder, tables):
    for index, table in enumerate(tables):
        ds = maker.ct(np.full((32, 32), 40), z=2.5 * index, VOILUTSequence=[maker.lut(table, first=0, bits=8)])
        del ds.WindowCenter, ds.WindowWidth
        maker.save(ds, folder / f"{index}.dcm")
    return open_scan(folder)


def test_a_series_that_shares_one(tmp_path):
    scan = series(tmp_path, [[0, 100, 255]] * 3)
    assert [table.data for table in scan.source.voi_luts] == [(0, 100, 255)] and not scan.notes


def test_a_series_whose_images_have_different_ones_says_that_none_is_applied(tmp_path):
    scan = series(tmp_path, [[0, 100, 255], [0, 100, 255], [0, 90, 255]])
    assert scan.source.voi_luts == ()
    assert scan.notes == ("the images have different VOI LUTs, so that none is applied for display",)


def test_a_broken_one_is_said_to_be_left_out(tmp_path):
    broken = maker.lut([1, 2], first=0, bits=8)
    broken.LUTDescriptor = [3, 0, 8]
    ds = maker.ct(np.full((8, 8), 40), VOILUTSequence=[broken])
    scan = DicomReader().read(maker.save(ds, tmp_path / "a.dcm"))
    assert scan.source.voi_luts == ()
    assert "a VOI LUT of the file is broken and is not applied for display" in scan.notes

"""Encodings that the standard allows, or that other toolkits read, and numbers that no reader can mend."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from dicom_maker import image
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from medvis import load
from medvis.errors import InputError

SOURCE = struct.pack("<HHI", 0x0008, 0x1155, 8) + b"1.2.3.4\0"
# An item and a sequence of undefined length within it (PS3.5 7.5), in implicit VR little endian (PS3.5 6.2.2).
INNER = struct.pack("<HHI", 0x0040, 0xA170, 0xFFFFFFFF) + struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize("undefined", [False, True])
def test_an_unknown_sequence_in_big_endian_is_in_implicit_little_endian(tmp_path, undefined):
    stored = np.arange(64, dtype=np.int16).reshape(8, 8) - 30
    ds = image(stored, "CT", PatientName="A", RescaleSlope=1, RescaleIntercept=0)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = stored.astype(">i2").tobytes()
    path = tmp_path / "un.dcm"
    dcmwrite(path, ds, implicit_vr=False, little_endian=False, enforce_file_format=True)
    raw = path.read_bytes()
    at = raw.index(struct.pack(">HH", 0x0010, 0x0010))
    body = INNER + SOURCE if undefined else SOURCE
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(body)) + body
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) if undefined else b""
    head = struct.pack(">HH", 0x0008, 0x2112) + b"UN\0\0" + struct.pack(">I", 0xFFFFFFFF)
    path.write_bytes(raw[:at] + head + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + raw[at:])
    scan = load(path)
    assert np.array_equal(scan.pixels[0, ..., 0], stored)
    assert scan.source.parsed[0].header().SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"


@pytest.mark.parametrize("slope", ["1e38", "1e39", "inf", "nan"])
def test_a_slope_that_makes_no_finite_numbers_is_refused(tmp_path, slope):
    ds = image(np.full((8, 8), 1000, np.int16), "CT", RescaleSlope="12345", RescaleIntercept=0)
    path = tmp_path / "slope.dcm"
    ds.save_as(path, enforce_file_format=True)
    raw = path.read_bytes()
    assert raw.count(b"12345 ") == 1
    path.write_bytes(raw.replace(b"12345 ", slope.encode().ljust(6)))
    with pytest.raises(InputError, match="finite number"):
        load(path)


@pytest.mark.parametrize("table", ["zeros", "swapped", "beyond"])
def test_a_wrong_basic_offset_table_is_not_followed(tmp_path, table):
    """DCMTK and GDCM count the fragments where there is one a frame."""
    frames = [np.full((8, 8), value, np.uint8) for value in (10, 20, 30)]
    ds = image(np.stack(frames), "OT")
    ds.file_meta.TransferSyntaxUID = RLELossless
    streams = [struct.pack("<16I", 1, 64, *[0] * 14) + bytes([257 - 64, value]) for value in (10, 20, 30)]
    data = encapsulate(streams, has_bot=True)
    step = len(streams[0]) + 8
    offsets = {"zeros": (0, 0, 0), "swapped": (0, 2 * step, step), "beyond": (0, step, 9 * step)}[table]
    ds.PixelData = data[:8] + struct.pack("<3I", *offsets) + data[20:]
    ds["PixelData"].is_undefined_length = True
    path = tmp_path / "offsets.dcm"
    ds.save_as(path, enforce_file_format=True)
    scan = load(path)
    assert [frame.mean() for frame in scan.pixels] == [10, 20, 30]
    assert any("offset table" in note for note in scan.notes)


@pytest.mark.parametrize(
    ("offsets", "heights"),
    [((0, 3, 6), (50, 53, 56)), ((50, 53, 56), (50, 53, 56)), ((0, -3, -6), (44, 47, 50)), ((7, 10, 13), None)],
)
def test_planes_of_a_dose_grid(tmp_path, offsets, heights):
    """PS3.3 C.8.8.3.2: relative to the first plane, or z in the patient."""
    ds = image(np.zeros((3, 8, 8), np.uint16), "RTDOSE", PixelSpacing=[2, 2], GridFrameOffsetVector=list(offsets))
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 50], [1, 0, 0, 0, 1, 0]
    path = tmp_path / "dose.dcm"
    ds.save_as(path, enforce_file_format=True)
    geometry = load(path).geometry
    if heights is None:
        assert geometry.positions is None
    else:
        assert geometry.slice_spacing == pytest.approx(3)
        assert geometry.positions[:, 2].tolist() == list(heights)

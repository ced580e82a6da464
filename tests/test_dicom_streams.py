"""Compressed streams are checked before a decoder that would hang or abort gets them; odd ones are read right."""

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLosslessSV1, JPEGLSLossless

from medvis.dicom.read.jpeg import check_jpeg, check_jpeg2000
from medvis.dicom.read.layout import Layout
from medvis.dicom.read.reader import DicomReader
from medvis.errors import InputError

LAYOUT = Layout(1, 32, 40, 1, "MONOCHROME2", 16, 12, False, False, UID(JPEGLosslessSV1))
SIZE = bytes.fromhex("0020 0028".replace(" ", ""))  # 32 rows, 40 columns
TABLE = bytes.fromhex("ffc4 0005 000000".replace(" ", ""))
SCAN = bytes.fromhex("ffda 0008 0101 00010000".replace(" ", ""))


def frame(size=SIZE, bits=12, components=1):
    parts = bytes([components]) + bytes([1, 0x11, 0]) * components
    return b"\xff\xc3" + (8 + 3 * components).to_bytes(2, "big") + bytes([bits]) + size + parts


def stream(*segments, end=b"\xff\xd9"):
    return b"\xff\xd8" + b"".join(segments) + b"data" + end


def test_a_whole_stream_passes():
    check_jpeg(stream(TABLE, frame(), SCAN), LAYOUT)
    check_jpeg(stream(b"\xff\xff\xd0", TABLE, frame(), SCAN), LAYOUT)  # fill bytes, and a marker without length


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"no jpeg at all", "no JPEG stream"),
        (stream(TABLE, b"\x00\x00", frame(), SCAN), "broken between two segments"),
        (stream(frame(), SCAN), "no frame header or no tables"),
        (stream(TABLE, SCAN), "no frame header or no tables"),
        (stream(TABLE, frame(SIZE[::-1]), SCAN), "the JPEG stream is 10240x8192x1 with 12 bits"),
        (stream(TABLE, frame(bits=17), SCAN), "with 17 bits"),
        (stream(TABLE, frame(components=3), SCAN), "32x40x3"),
        (stream(TABLE, frame()[:3] + b"\x0c" + frame()[4:] + b"\x00", SCAN), "frame header is broken"),
        (stream(TABLE, frame(), SCAN, end=b""), "cut off"),
        (stream(b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\xc3", TABLE, frame(), SCAN), "colour transform"),
    ],
)
def test_a_broken_stream_does_not(broken, words):
    with pytest.raises(ValueError, match=words):
        check_jpeg(broken, LAYOUT)


def jpeg2000(size=(40, 32, 0, 0), tiles=(40, 32, 0, 0), components=1):
    fields = b"".join(number.to_bytes(4, "big") for number in (*size, *tiles))
    return b"\xff\x4f\xff\x51\x00\x29\x00\x00" + fields + components.to_bytes(2, "big") + b"\x07\x01\x01"


def test_jpeg2000_sizes():
    check_jpeg2000(jpeg2000(), LAYOUT)
    check_jpeg2000(b"a JP2 wrapper" + jpeg2000(size=(44, 35, 4, 3)), LAYOUT)
    for broken, words in [
        (b"none", "no JPEG 2000 stream"),
        (jpeg2000()[:30], "no JPEG 2000 stream"),
        (jpeg2000(size=(1 << 31, 32, 0, 0)), "32x2147483648x1"),
        (jpeg2000(components=3), "32x40x3"),
        (jpeg2000(tiles=(0, 32, 0, 0)), "tiles"),
        (jpeg2000(tiles=(40, 32, 1, 0)), "tiles"),
    ]:
        with pytest.raises(ValueError, match=words):
            check_jpeg2000(broken, LAYOUT)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGExtended12Bit, JPEGBaseline8Bit, JPEGLSLossless])
def test_nonsense_is_refused_without_a_word_on_stderr(tmp_path, syntax, capfd):
    ds = maker.ct(np.zeros((32, 40)), PixelRepresentation=0)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream(TABLE, frame(), SCAN)])
    ds["PixelData"].VR = "OB"
    path = maker.save(ds, tmp_path / "bad.dcm")
    with pytest.raises(InputError, match="cannot be decoded"):
        DicomReader().read(path)
    assert capfd.readouterr() == ("", "")


def test_fewer_frames_than_promised(tmp_path):
    ds = maker.image(np.zeros((2, 40, 40), np.uint8), "US")
    maker.compress(ds, JPEGLSLossless)
    ds.NumberOfFrames = 3
    with pytest.raises(InputError, match=r"bad\.dcm"):
        DicomReader().read(maker.save(ds, tmp_path / "bad.dcm"))


def test_a_signed_jpeg2000_stream_is_believed(tmp_path):
    values = np.arange(1600).reshape(40, 40) - 800
    ds = maker.image(values.astype(np.int16), "CT", RescaleSlope=1, RescaleIntercept=0)
    maker.compress(ds, JPEG2000Lossless)
    ds.PixelRepresentation = 0
    scan = DicomReader().read(maker.save(ds, tmp_path / "lies.dcm"))
    np.testing.assert_array_equal(scan.pixels[0, :, :, 0], values)
    assert "was believed" in scan.notes[0]
    assert scan.source.details["signed"] is True


def test_lut_data_as_bytes(tmp_path):
    stored = np.array([[0, 1, 2, 3]], np.uint8)
    for packed, bits in ((np.array([7, 8, 9], "<u2"), 16), (np.array([7, 8, 9, 0], np.uint8), 8)):
        item = maker.lut([0], bits=bits)
        item.add_new(0x00283002, "US", [3, 0, bits])
        item.add_new(0x00283006, "OW", packed.tobytes())
        scan = DicomReader().read(maker.save(maker.image(stored, "CR", ModalityLUTSequence=[item]), tmp_path / "a.dcm"))
        assert scan.pixels.ravel().tolist() == [7, 8, 9, 9]


def test_a_broken_modality_lut_is_ignored_and_noted(tmp_path):
    item = maker.lut([1, 2])
    item.add_new(0x00283002, "US", [9, 0, 16])
    ds = maker.image(np.array([[4, 5]], np.uint8), "CR", ModalityLUTSequence=[item])
    scan = DicomReader().read(maker.save(ds, tmp_path / "a.dcm"))
    assert scan.pixels.ravel().tolist() == [4, 5]
    assert scan.notes == ("the Modality LUT is broken and was ignored",)

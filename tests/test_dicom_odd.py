"""Encodings that few writers use, pixels that contradict their header, and how an image is meant to be shown."""

import dataclasses
import io
import shutil
import struct
import subprocess
import zlib

import dicom_maker as maker
import jpeg_ls
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from openjpeg import utils as openjpeg
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from medvis.core.case import Case
from medvis.core.display import Display
from medvis.dicom.read import load as load_module
from medvis.dicom.read.layout import DEFLATED_FRAME, Layout
from medvis.dicom.read.reader import DicomReader
from medvis.dicom.read.repair import mend_predictor_6, swap_words
from medvis.dicom.read.rle_deflate import decode_packed
from medvis.errors import InputError
from medvis.io.picture.canvas import Rect
from medvis.io.picture.slices import Slices

RAMP = np.add.outer(np.arange(8), np.arange(6)) * 9


def read(ds, path, **keywords):
    return DicomReader().read(maker.save(ds, path / "image.dcm", **keywords))


def renamed(ds, path, syntax):
    """Saved under a transfer syntax that pydicom does not know: as big as RLE, whose UID is then replaced."""
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds["PixelData"].VR = "OB"
    file = maker.save(ds, path / "image.dcm")
    pad = lambda uid: uid.encode() + b"\x00" * (len(uid) % 2)  # noqa: E731
    data, old, new = file.read_bytes(), pad(RLELossless), pad(syntax)
    at = data.index(old)
    length = int.from_bytes(data[140:144], "little") + len(new) - len(old)
    file.write_bytes(
        data[:140]
        + length.to_bytes(4, "little")
        + data[144 : at - 2]
        + len(new).to_bytes(2, "little")
        + new
        + data[at + len(old) :]
    )
    return file


def deflated(data):
    one = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return one.compress(data) + one.flush()


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4"])
def test_deflated_frames(tmp_path, dtype):
    values = np.stack([RAMP, RAMP[::-1]]).astype(dtype)
    ds = maker.image(values)
    ds.PixelData = encapsulate([deflated(frame.tobytes()) for frame in values])
    scan = DicomReader().read(renamed(ds, tmp_path, DEFLATED_FRAME))
    np.testing.assert_array_equal(scan.pixels[..., 0], values)
    assert scan.source.details["transfer_syntax"] == "Deflated Image Frame Compression"


@pytest.mark.parametrize("planar", [0, 1])
def test_deflated_colour(tmp_path, planar):
    rgb = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    ds = maker.image(rgb, PhotometricInterpretation="RGB", PlanarConfiguration=planar)
    ds.PixelData = encapsulate([deflated((rgb.transpose(2, 0, 1) if planar else rgb).tobytes())])
    np.testing.assert_array_equal(DicomReader().read(renamed(ds, tmp_path, DEFLATED_FRAME)).pixels[0], rgb)


@pytest.mark.parametrize("broken", [b"\xff\xff no deflate", deflated(b"too short")])
def test_a_broken_deflated_frame_is_refused(tmp_path, broken):
    ds = maker.image(RAMP.astype(np.uint8))
    ds.PixelData = encapsulate([broken])
    with pytest.raises(InputError, match="cannot be decoded"):
        DicomReader().read(renamed(ds, tmp_path, DEFLATED_FRAME))


def packbits(data):
    """PackBits with literal runs and repeats, as PS3.5 G.3.1 describes."""
    out, at = bytearray(), 0
    while at < len(data):
        run = next((n for n in range(1, 128) if at + n >= len(data) or data[at + n] != data[at]), 128)
        out += bytes([257 - run, data[at]]) if run > 1 else bytes([0, data[at]])
        at += run
    return bytes(out)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 40)), elements=st.integers(0, 1)))
def test_single_bits_in_rle(mask):
    stream = np.array([1, 64, *[0] * 14], "<u4").tobytes() + packbits(np.packbits(mask, bitorder="little").tobytes())
    layout = Layout(1, *mask.shape, 1, "MONOCHROME2", 1, 1, False, False, UID(RLELossless))
    np.testing.assert_array_equal(decode_packed(stream, layout, False), mask)
    for broken in (stream[:-2], stream[:64], b"", b"\x02" + stream[1:]):
        with pytest.raises(ValueError, match=r"RLE header|bytes"):
            decode_packed(broken, layout, False)


@pytest.mark.parametrize(("bits", "high"), [(12, 15), (12, 13), (8, 15)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_high_bit_says_where_the_value_lies(tmp_path, bits, high, signed, syntax):
    low = -(1 << (bits - 1)) if signed else 0
    values = np.array([[low, 0, 1], [5, low + (1 << bits) - 1, 2]], np.int64)
    used = ((1 << bits) - 1) << (high + 1 - bits)
    cells = (values << (high + 1 - bits)) & used | 0xFFFF & ~used  # with rubbish in the unused bits
    ds = maker.image(cells.astype("u2").view("i2" if signed else "u2"))
    if syntax == RLELossless:
        maker.compress(ds, syntax)
    ds.BitsStored, ds.HighBit = bits, high
    np.testing.assert_array_equal(read(ds, tmp_path).pixels[0, ..., 0], values)


def test_a_high_bit_that_makes_no_sense_is_noted(tmp_path):
    scan = read(maker.image(RAMP.astype(np.uint16), bits=12, HighBit=3), tmp_path)
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], RAMP)
    assert "High Bit contradicts Bits Stored and was ignored" in scan.notes


@pytest.mark.parametrize("swapped", [False, True])
def test_either_order_of_words_in_big_endian(tmp_path, swapped):
    """OW swaps bytes within words, but not the words; some writers swap both."""
    values = (np.add.outer(np.arange(40), np.arange(30)) * 1000 + 70000).astype(np.uint32)
    ds = maker.image(values)
    ds.PixelData = (swap_words(values) if swapped else values).astype(">u4").tobytes()
    ds["PixelData"].VR = "OW"
    scan = read(ds, tmp_path, syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], values)
    assert any("words" in note or "word" in note for note in scan.notes)


def test_a_predictor_that_was_applied_to_signed_samples():
    meant = np.full((20, 30), -2000, np.int16)
    meant[5:15, 8:20] = (np.add.outer(np.arange(10), np.arange(12)) * 7 + 40).astype(np.int16)
    signed = meant.astype(np.int64)
    left, above, corner = signed[1:, :-1], signed[:-1, 1:], signed[:-1, :-1]
    differences = signed[1:, 1:] - above - ((left - corner) >> 1)
    decoded = signed & 0xFFFF
    for row in range(1, 20):
        for col in range(1, 30):
            near = (decoded[row, col - 1] - decoded[row - 1, col - 1]) >> 1
            decoded[row, col] = (differences[row - 1, col - 1] + decoded[row - 1, col] + near) & 0xFFFF
    decoded = decoded.astype(np.uint16).view(np.int16)
    assert (decoded != meant).any()
    np.testing.assert_array_equal(mend_predictor_6(decoded), meant)
    assert mend_predictor_6(np.abs(meant)) is None


def test_a_signed_lossless_jpeg_keeps_its_sign(shared_data):
    scan = DicomReader().read(shared_data / "dicom" / "pylibjpeg-data--JPEGLossless_1s_1f_i_16_16_bad.dcm")
    assert scan.source.details["transfer_syntax"] == UID(JPEGLossless).name
    assert scan.pixels.min() == -2000 - 1024
    assert any("predictor" in note for note in scan.notes)


@pytest.mark.parametrize("subsampled", [True, False])
def test_ycbcr_that_is_said_to_be_rgb(tmp_path, subsampled):
    """An encoder that leaves out the JFIF marker, and a header that says RGB."""
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, :21], rgb[:, 21:42], rgb[:, 42:] = (230, 30, 20), (20, 210, 40), (250, 250, 250)
    found = read(jpeg_of(Image.fromarray(rgb), subsampled), tmp_path)
    assert np.abs(found.pixels[0, :, [5, 30, 60]] - rgb[:, [5, 30, 60]].swapaxes(0, 1)).max() < 6
    assert any("are YCbCr" in note for note in found.notes)


def test_rgb_without_a_marker_stays_rgb(tmp_path):
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[8:40, 8:40], rgb[40:] = (230, 30, 20), (255, 255, 255)
    channels = Image.merge("YCbCr", [Image.fromarray(rgb[..., one]) for one in range(3)])  # stored as they are
    found = read(jpeg_of(channels, subsampled=False), tmp_path)
    assert np.abs(found.pixels[0, 20, 20] - (230, 30, 20)).max() < 6
    assert found.notes == ()


def jpeg_of(picture, subsampled):
    """A data set that says RGB around a baseline JPEG of the picture without its JFIF marker."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=98, subsampling=2 if subsampled else 0)
    stream = file.getvalue()
    length = int.from_bytes(stream[4:6], "big")
    assert stream[2:4] == b"\xff\xe0"
    ds = maker.image(np.zeros((*picture.size[::-1], 3), np.uint8), PhotometricInterpretation="RGB")
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([stream[:2] + stream[4 + length :]])
    ds["PixelData"].VR = "OB"
    return ds


def test_frames_are_found_by_the_extended_offset_table(tmp_path):
    frames = [np.packbits(RAMP[:, :1] > limit, bitorder="little").tobytes() for limit in (10, 30)]
    values = np.stack([(RAMP[:, :1] > limit).astype(np.uint8) for limit in (10, 30)])
    ds = maker.image(values)
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = 0
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(
        [deflated(frame) for frame in frames]
    )
    np.testing.assert_array_equal(DicomReader().read(renamed(ds, tmp_path, DEFLATED_FRAME)).pixels[..., 0], values)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"BitsAllocated": 24}, "24 bits a pixel"),
        ({"BitsAllocated": 64, "BitsStored": 64}, "64 bits a pixel"),
        ({"NumberOfFrames": -3}, "Number of Frames is not valid"),
    ],
)
def test_headers_without_sense(tmp_path, tags, words):
    with pytest.raises(InputError, match=words):
        read(maker.image(RAMP.astype(np.uint16), **tags), tmp_path)


def test_too_few_bytes_for_so_many_pixels(tmp_path):
    ds = maker.image(np.zeros((64, 64), np.uint8))
    maker.compress(ds, RLELossless)
    ds.Rows, ds.Columns = 60000, 60000
    with pytest.raises(InputError, match="bytes cannot hold 1 frame"):
        read(ds, tmp_path)


def test_a_data_set_that_inflates_without_end_is_refused(tmp_path, monkeypatch):
    ds = maker.image(np.zeros((900, 900), np.uint8))
    path = maker.save(ds, tmp_path / "small.dcm", syntax="1.2.840.10008.1.2.1.99")
    assert DicomReader().read(path).shape == (900, 900)
    monkeypatch.setattr(load_module, "INFLATED", 1 << 19)
    monkeypatch.setattr(load_module, "CHUNK", 1 << 16)
    with pytest.raises(InputError, match="inflates to more than"):
        DicomReader().read(path)


# How an image is meant to be shown.


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "noted"),
    [
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "IDENTITY", False, True),
    ],
)
def test_presentation_as_dcmtk_shows_it(tmp_path, photometric, shape, inverted, noted):
    """Decode, Rescale, VOI window, inversion: in that order, and inversion once."""
    stored = (np.add.outer(np.arange(40), np.arange(50)) * 11).astype(np.uint16)
    tags = {"RescaleSlope": 2, "RescaleIntercept": -300, "WindowCenter": 500, "WindowWidth": 900}
    ds = maker.image(stored, "DX", PhotometricInterpretation=photometric, PresentationLUTShape=shape, **tags)
    scan = read(ds, tmp_path)
    assert scan.inverted is inverted
    assert any("contradicts" in note for note in scan.notes) == noted
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], stored * 2.0 - 300)
    if shutil.which("dcm2pnm") is None:
        pytest.skip("DCMTK is not installed")
    shown = tmp_path / "shown.pgm"
    subprocess.run(["dcm2pnm", "+Wi", "1", "+op", str(tmp_path / "image.dcm"), str(shown)], check=True)
    theirs = np.frombuffer(shown.read_bytes()[-stored.size :], np.uint8).reshape(stored.shape)
    slices = Slices(Case(scan, "test"), Display(center=scan.windows[0].center, width=scan.windows[0].width))
    ours = slices.plain(0, slices.fit(slices.whole, Rect(0, 0, 50, 40)))[..., 0]
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_each_frame_has_its_window(tmp_path):
    ds = maker.enhanced_ct(np.arange(18, dtype=np.int16).reshape(3, 2, 3), heights=[5.0, 1.0, 3.0])
    for group, center in zip(ds.PerFrameFunctionalGroupsSequence, (10, 20, 30), strict=True):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = center, 100
        group.FrameVOILUTSequence = [window]
    scan = read(ds, tmp_path)
    by_frame = scan.source.windows_by_frame
    assert [windows[0].center for windows in by_frame] == [20, 30, 10]
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.FrameVOILUTSequence[0].WindowCenter = 10
    scan = read(ds, tmp_path)
    assert scan.source.windows_by_frame == ()
    assert dataclasses.asdict(scan.windows[0])["center"] == 10


CELLS = {
    "sign-extended": lambda cells: cells,
    "zero above the stored bits": lambda cells: cells & 0x0FFF,
    "an overlay above the stored bits": lambda cells: cells & 0x0FFF | np.uint16(0x2000),
}


@pytest.mark.parametrize("unused", CELLS)
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["RLE", "JPEG-LS", "JPEG 2000"])
def test_unused_bits_of_a_compressed_stream_are_no_value(tmp_path, syntax, unused):
    """PS3.5 8.1.1: 12 bits stored in 16, signed; an encoder of whole cells encodes what lies above them as well."""
    hu = (np.add.outer(np.arange(48), np.arange(48)) * 10 - 600).astype(np.int16)
    cells = CELLS[unused](hu.view(np.uint16))
    ds = maker.image(hu, "CT", bits=12, RescaleSlope=1, RescaleIntercept=0)
    stream = {
        RLELossless: lambda: rle_segments(cells),
        JPEGLSLossless: lambda: jpeg_ls.encode(cells),
        JPEG2000Lossless: lambda: openjpeg.encode_array(
            cells, bits_stored=16, photometric_interpretation=2, use_mct=False
        ),
    }[syntax]()
    ds.PixelData = encapsulate([bytes(stream)])
    ds["PixelData"].is_undefined_length, ds["PixelData"].VR = True, "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read(ds, tmp_path).pixels[0, ..., 0], hu)


def rle_segments(cells):
    """PS3.5 G.5 by literal runs: the high bytes, then the low ones."""
    planes = [(cells >> 8).astype(np.uint8), (cells & 0xFF).astype(np.uint8)]
    segments = []
    for plane in planes:
        rows = [bytes([len(row) - 1]) + row.tobytes() for row in plane]
        body = b"".join(rows)
        segments.append(body + b"\x00" * (len(body) % 2))
    header = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13)
    return header + b"".join(segments)

"""One DICOM file: values, padding, colour, place, facts; and that nothing but InputError comes out of a bad one."""

import json
from pathlib import Path

import dicom_maker as maker
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medvis.dicom.read.file import read_parsed
from medvis.dicom.read.magic import is_dicom
from medvis.dicom.read.parsed_file import parse
from medvis.dicom.read.reader import DicomReader
from medvis.errors import InputError
from medvis.io.describe import describe
from medvis.io.magic import head_of
from medvis.ops.window import voi_lut

GRADIENT = np.arange(30).reshape(5, 6) * 40 - 1000


def read(ds, path, **keywords):
    return DicomReader().read(maker.save(ds, path / "image.dcm", **keywords))


def plane(scan):
    assert scan.pixels.shape[0] == scan.pixels.shape[3] == 1
    return scan.pixels[0, :, :, 0]


def test_a_ct_slice(tmp_path):
    scan = read(maker.ct(GRADIENT, z=-115.0), tmp_path)
    np.testing.assert_array_equal(plane(scan), GRADIENT)
    assert (scan.unit, scan.modality, scan.body_part, scan.bits) == ("HU", "CT", "CHEST", 16)
    assert scan.valid is None
    assert scan.notes == ()
    assert [(w.center, w.width, w.function) for w in scan.windows] == [(-600, 1500, "LINEAR")]
    assert scan.geometry.spacing == (0.7, 0.6)
    assert scan.geometry.reasons == {"slice_spacing": "a single frame"}
    assert scan.geometry.to_patient(0, 2, 3) == pytest.approx((-10 + 3 * 0.6, -20 + 2 * 0.7, -115))
    assert scan.source.files == ("image.dcm",)
    assert len(scan.source.sop_instance_uids) == 1
    assert scan.trail[0].name == "read"
    assert scan.trail[0].settings["modality_transform"] == {"kind": "rescale", "slope": 1, "intercept": -1024}
    json.dumps(scan.trail[0].settings)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_native_syntaxes(tmp_path, syntax):
    ds = maker.ct(GRADIENT)
    stored = (GRADIENT + 1024).astype(">i2" if syntax == ExplicitVRBigEndian else "<i2")
    ds.PixelData = stored.tobytes()
    np.testing.assert_array_equal(plane(read(ds, tmp_path, syntax=syntax)), GRADIENT)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_lossless_compression(tmp_path, syntax):
    values = np.random.default_rng(3).integers(-1024, 2000, (64, 48))
    ds = maker.ct(values, PixelRepresentation=0)
    maker.compress(ds, syntax)
    scan = read(ds, tmp_path)
    np.testing.assert_array_equal(plane(scan), values)
    assert scan.source.details["transfer_syntax"] == syntax.name


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("unused", [0, 3])
def test_bit_depths_and_unused_high_bits(tmp_path, dtype, unused):
    kind = np.dtype(dtype)
    bits = 8 * kind.itemsize - unused
    low = -(1 << (bits - 1)) if kind.kind == "i" else 0
    values = np.array([[low, 0, 1], [5, low + (1 << bits) - 1, 2]], np.int64)
    dirty = (values & ((1 << bits) - 1)) | ((0b101 & ((1 << unused) - 1)) << bits)
    stored = dirty.astype(f"u{kind.itemsize}").view(kind)
    scan = read(maker.image(stored, bits=bits), tmp_path)
    np.testing.assert_array_equal(plane(scan), values.astype(np.float32))
    assert scan.bits == bits
    assert scan.unit == "US"
    assert bool(scan.notes) == (bits > 25 or (bits > 24 and kind.kind == "u"))  # float32 holds 24 bits and a sign


def test_one_bit(tmp_path):
    mask = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
    ds = maker.image(mask)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    ds.PixelData = np.packbits(mask.ravel(), bitorder="little").tobytes() + b"\x00"
    np.testing.assert_array_equal(plane(read(ds, tmp_path)), mask)


@pytest.mark.parametrize("size", [(3, 5, 7), (2, 61, 67), (4, 3, 3)])
def test_frames_of_bits_that_end_within_a_byte(tmp_path, size):
    """35 pixels are four bytes and three bits, and the next frame begins at once (PS3.5 8.1.1)."""
    mask = np.random.default_rng(3).random(size) < 0.5
    ds = maker.image(mask.astype(np.uint8), "OT")
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = 0
    data = np.packbits(mask, bitorder="little").tobytes()
    ds.PixelData = data + bytes(len(data) % 2)
    path = maker.save(ds, tmp_path / "bits.dcm")
    np.testing.assert_array_equal(DicomReader().read(path).pixels[..., 0], mask)
    np.testing.assert_array_equal(read_parsed(parse(path), [2]).pixels[0, ..., 0], mask[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_pixels(tmp_path, dtype):
    values = np.array([[0.25, -3.5], [np.nan, 1e6]], dtype)
    scan = read(maker.image(values), tmp_path)
    np.testing.assert_array_equal(plane(scan), [[0.25, -3.5], [0, 1e6]])
    np.testing.assert_array_equal(scan.valid[0], [[True, True], [False, True]])
    assert "no finite number" in scan.notes[0]
    assert scan.bits == 8 * values.dtype.itemsize


def test_monochrome1_is_told_not_inverted(tmp_path):
    stored = np.array([[0, 100], [200, 255]], np.uint8)
    scan = read(maker.image(stored, "DX", PhotometricInterpretation="MONOCHROME1"), tmp_path)
    np.testing.assert_array_equal(plane(scan), stored)
    assert scan.inverted


def test_padding_written_unsigned_in_a_signed_image(tmp_path):
    values = GRADIENT.copy()
    values[0, :2] = -2000 + maker.INTERCEPT
    ds = maker.ct(values)
    ds.add_new(0x00280120, "US", 63536)
    scan = read(ds, tmp_path)
    np.testing.assert_array_equal(scan.valid[0], values > -2000)
    np.testing.assert_array_equal(plane(scan), values)
    assert scan.trail[0].settings["padding"] == [-2000.0]
    assert scan.notes == ()


def test_padding_range(tmp_path):
    stored = np.array([[0, 5, 10], [11, 4, 99]], np.uint16)
    ds = maker.image(stored, PixelPaddingValue=5, PixelPaddingRangeLimit=10)
    np.testing.assert_array_equal(read(ds, tmp_path).valid[0], [[True, False, False], [True, True, True]])


def test_ct_corners_without_a_tag_but_not_the_inside(tmp_path):
    values = np.zeros((9, 9), int)
    values[:2, :2] = values[-2:, -2:] = -3024
    values[4, 4] = -1600
    scan = read(maker.ct(values), tmp_path)
    np.testing.assert_array_equal(scan.valid[0], values != -3024)
    assert any("masked as padding" in note for note in scan.notes)
    assert any("inside the image" in note for note in scan.notes)


def test_only_padding_is_said(tmp_path):
    assert "every pixel is padding" in read(maker.ct(GRADIENT * 0 - 2000), tmp_path).notes


def test_colour(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    scan = read(maker.image(rgb, PhotometricInterpretation="RGB"), tmp_path)
    np.testing.assert_array_equal(scan.pixels[0], rgb)
    assert (scan.unit, scan.channels) == ("grey", 3)
    by_plane = maker.image(rgb, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    by_plane.PixelData = rgb.transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(read(by_plane, tmp_path).pixels[0], rgb)


def test_ybr_becomes_rgb(tmp_path):
    ybr = np.empty((2, 2, 3), np.uint8)
    ybr[...] = (76, 85, 255)  # red, PS3.3 C.7.6.3.1.2
    scan = read(maker.image(ybr, PhotometricInterpretation="YBR_FULL"), tmp_path)
    np.testing.assert_allclose(scan.pixels[0, 0, 0], (254, 0, 0), atol=1)


def test_palette(tmp_path):
    index = np.array([[0, 1], [2, 3]], np.uint8)
    ds = maker.image(index, PhotometricInterpretation="PALETTE COLOR")
    for channel, entries in {"Red": [0, 9, 8, 7], "Green": [1, 2, 3, 4], "Blue": [255, 0, 0, 5]}.items():
        setattr(ds, f"{channel}PaletteColorLookupTableDescriptor", [4, 0, 8])
        setattr(ds, f"{channel}PaletteColorLookupTableData", np.array(entries, np.uint8).tobytes())
    scan = read(ds, tmp_path)
    np.testing.assert_array_equal(scan.pixels[0], [[[0, 1, 255], [9, 2, 0]], [[8, 3, 0], [7, 4, 5]]])
    assert scan.bits == 8


def test_modality_lut(tmp_path):
    stored = np.array([[10, 11], [12, 99]], np.uint16)
    item = maker.lut([5, 500, 1000], first=10, ModalityLUTType="OD")
    scan = read(maker.image(stored, "CR", ModalityLUTSequence=[item]), tmp_path)
    np.testing.assert_array_equal(plane(scan), [[5, 500], [1000, 1000]])
    assert scan.unit == "OD"
    assert scan.trail[0].settings["modality_transform"]["entries"] == 3


@pytest.mark.parametrize(
    ("modality", "tags", "unit", "noted"),
    [
        ("CT", {"RescaleSlope": 1, "RescaleIntercept": -1024}, "HU", False),
        ("CT", {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "US"}, "US", False),
        ("CT", {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "HU_MOD"}, "HU_MOD", False),
        ("CT", {}, "US", True),
        ("PT", {"RescaleSlope": 0.5, "RescaleIntercept": 0, "Units": "BQML"}, "BQML", False),
        ("MR", {}, "US", False),
        ("CT", {"RescaleSlope": 0, "RescaleIntercept": -1024}, "HU", True),
    ],
)
def test_units(tmp_path, modality, tags, unit, noted):
    scan = read(maker.image(np.array([[4, 8]], np.int16), modality, **tags), tmp_path)
    assert scan.unit == unit
    assert bool(scan.notes) == noted
    slope, intercept = tags.get("RescaleSlope") or 1, tags.get("RescaleIntercept", 0)
    np.testing.assert_array_equal(plane(scan), [[4 * slope + intercept, 8 * slope + intercept]])


def test_windows_of_the_file(tmp_path):
    ds = maker.ct(GRADIENT, WindowCenter=[40, -600, 9], WindowWidth=[400, 1500, 0], VOILUTFunction="SIGMOID")
    ds.WindowCenterWidthExplanation = ["SOFT", "LUNG", "BAD"]
    scan = read(ds, tmp_path)
    assert [(w.center, w.width, w.function, w.explanation) for w in scan.windows] == [
        (40, 400, "SIGMOID", "SOFT"),
        (-600, 1500, "SIGMOID", "LUNG"),
    ]
    assert "display window 9/0 of the file is not valid and was left out" in scan.notes


def test_voi_lut_of_the_file_can_be_applied(tmp_path):
    ds = maker.ct(GRADIENT, VOILUTSequence=[maker.lut([0, 100, 255], first=-2, bits=8, LUTExplanation="TEST")])
    scan = read(ds, tmp_path)
    (table,) = scan.source.voi_luts
    shown = voi_lut(np.array([-5, -1, 3], np.float32), table.data, table.first, table.bits)
    np.testing.assert_allclose(shown, [0, 100 / 255, 1])
    assert describe(scan)["voi_luts"] == [{"explanation": "TEST", "first": -2, "bits": 8, "entries": 3}]


@pytest.mark.parametrize(
    ("tags", "spacing", "word"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), None),
        ({"ImagerPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "at the detector"),
        ({"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.2}, (0.1, 0.1), "factor 1.2"),
        ({"NominalScannedPixelSpacing": [0.1, 0.2]}, (0.1, 0.2), "film"),
        ({"PixelSpacing": [0, 0]}, None, "not two numbers above 0"),
        ({}, None, "no pixel spacing"),
    ],
)
def test_spacing(tmp_path, tags, spacing, word):
    scan = read(maker.image(np.zeros((3, 3), np.uint8), "DX", **tags), tmp_path)
    assert scan.geometry.spacing == spacing
    said = scan.notes if spacing else [scan.geometry.reasons["spacing"]]
    assert word is None or any(word in sentence for sentence in said)


@pytest.mark.parametrize(("count", "units", "spacing"), [(1, 3, (0.5, 0.4)), (2, 3, None), (1, 4, None)])
def test_ultrasound_regions(tmp_path, count, units, spacing):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = units
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.04, 0.05
    ds = maker.image(np.zeros((3, 3), np.uint8), "US", SequenceOfUltrasoundRegions=[region] * count)
    scan = read(ds, tmp_path)
    assert scan.geometry.spacing == (pytest.approx(spacing) if spacing else None)
    assert bool(scan.notes) == (spacing is not None)


def test_a_crooked_orientation_is_unknown(tmp_path):
    scan = read(maker.ct(GRADIENT, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), tmp_path)
    assert scan.geometry.orientation is None
    assert scan.geometry.to_patient(0, 0, 0) is None
    assert "orientation" in scan.geometry.reasons


def test_enhanced_frames_are_placed_scaled_and_sorted(tmp_path):
    stored = np.arange(18, dtype=np.int16).reshape(3, 2, 3)
    scan = read(maker.enhanced_ct(stored, heights=[5.0, 1.0, 3.0], slopes=[1, 2, 3]), tmp_path)
    expected = [stored[1] * 2 - 1024, stored[2] * 3 - 1024, stored[0] - 1024]
    np.testing.assert_array_equal(scan.pixels[..., 0], expected)
    assert scan.geometry.slice_spacing == 2.0
    assert scan.geometry.spacing == (0.5, 0.4)
    assert scan.geometry.positions[:, 2].tolist() == [1, 3, 5]
    assert scan.source.frame_numbers == (2, 3, 1)
    assert scan.unit == "HU"
    assert scan.trail[0].settings["modality_transform"]["varies_by_frame"]


def test_enhanced_frames_at_one_place_keep_their_order(tmp_path):
    stored = np.arange(12, dtype=np.int16).reshape(2, 2, 3)
    scan = read(maker.enhanced_ct(stored, heights=[1.0, 1.0]), tmp_path)
    np.testing.assert_array_equal(scan.pixels[..., 0], stored - 1024.0)
    assert scan.geometry.slice_spacing is None
    assert "share one position" in scan.geometry.reasons["slice_spacing"]


def test_one_position_for_several_frames_places_none_of_them(tmp_path):
    stored = np.arange(18, dtype=np.int16).reshape(3, 2, 3)
    ds = maker.ct(stored, NumberOfFrames=3, SpacingBetweenSlices=5, ImagePositionPatient=[1, 2, 3])
    geometry = read(ds, tmp_path).geometry
    assert geometry.positions is None and geometry.to_patient(2, 0, 0) is None and geometry.slice_spacing == 5
    assert geometry.orientation.tolist() == [1, 0, 0, 0, 1, 0], "which is said of all"
    assert geometry.spacing is not None
    assert "no position in the patient for each of its frames" in geometry.reasons["positions"]


def test_frames_without_places(tmp_path):
    movie = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    scan = read(maker.image(movie, "US"), tmp_path)
    np.testing.assert_array_equal(scan.pixels[..., 0], movie)
    assert scan.geometry.slice_spacing is None
    nuclear = read(maker.image(movie, "NM", SpacingBetweenSlices=4.5), tmp_path)
    assert nuclear.geometry.slice_spacing == 4.5
    assert "slice_spacing" not in nuclear.geometry.reasons


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
def test_no_preamble_and_no_meta(tmp_path, syntax):
    path = tmp_path / "bare"
    ds = maker.ct(GRADIENT)
    del ds.file_meta
    implicit = syntax == ImplicitVRLittleEndian
    ds.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    assert is_dicom(head_of(path))
    scan = DicomReader().read(path)
    np.testing.assert_array_equal(plane(scan), GRADIENT)
    assert "no preamble" in scan.notes[0]


def test_missing_attributes_are_assumed_and_noted(tmp_path):
    ds = maker.image(np.array([[1, 2]], np.uint8), PhotometricInterpretation=None, SamplesPerPixel=None)
    del ds.BitsStored
    del ds.PixelRepresentation
    scan = read(ds, tmp_path)
    np.testing.assert_array_equal(plane(scan), [[1, 2]])
    assert sum("was assumed" in note for note in scan.notes) == 4


def test_no_identity_anywhere(tmp_path):
    secret = "Zzyzx"
    ds = maker.ct(GRADIENT, PatientName=f"{secret}^Ann", PatientID=f"{secret}77", InstitutionName=secret)
    ds.PatientBirthDate, ds.OtherPatientNames, ds.ReferringPhysicianName = "19610203", secret, secret
    ds.SeriesDescription, ds.StudyDescription, ds.PatientComments = secret, secret, secret
    scan = read(ds, tmp_path)
    text = repr(scan) + json.dumps(describe(scan))
    assert secret not in text
    assert "19610203" not in text


# What must be refused, each in one line.


def refused(path):
    with pytest.raises(InputError) as caught:
        DicomReader().read(path)
    assert "\n" not in caught.value.line
    assert len(caught.value.line) < 500
    return caught.value.line


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated(tmp_path, syntax, share):
    ds = maker.ct(np.random.default_rng(1).integers(-1024, 2000, (64, 64)), PixelRepresentation=0)
    if syntax:
        maker.compress(ds, syntax)
    data = maker.save(ds, tmp_path / "whole.dcm").read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(data[: int(len(data) * share)])
    assert "is truncated" in refused(cut)


def test_cut_off_within_the_header(tmp_path):
    data = maker.save(maker.ct(GRADIENT), tmp_path / "whole.dcm").read_bytes()
    cut = tmp_path / "cut.dcm"
    for size in (140, 200, 400, 600):
        cut.write_bytes(data[:size])
        assert "no image" in (line := refused(cut)) or "no pixel data" in line


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Rows": 4000}, "is truncated: 60 of 48000 bytes"),
        ({"SamplesPerPixel": 4}, "4 samples per pixel"),
        ({"SamplesPerPixel": 3}, "3 samples per pixel, but MONOCHROME2"),
        ({"BitsStored": 20}, "stores 20 bits in 16"),
        ({"NumberOfFrames": 2000000000, "Rows": 60000, "Columns": 60000}, "claims 2000000000 frames"),
        ({"PixelData": None}, "no pixel data: CT Image Storage"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path, tags, words):
    assert words in refused(maker.save(maker.ct(GRADIENT, **tags), tmp_path / "bad.dcm"))


def test_not_an_image(tmp_path):
    report = maker.ct(GRADIENT, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Rows=None, PixelData=None)
    assert "holds no image: Comprehensive SR Storage" in refused(maker.save(report, tmp_path / "sr.dcm"))
    index = maker.ct(GRADIENT)
    index.file_meta.MediaStorageSOPClassUID = index.SOPClassUID = "1.2.840.10008.1.3.10"
    assert "is a DICOMDIR" in refused(maker.save(index, tmp_path / "DICOMDIR"))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.9"])
def test_unsupported_syntax(tmp_path, syntax):
    ds = maker.ct(GRADIENT)
    maker.compress(ds, RLELossless)
    ds.file_meta.TransferSyntaxUID = RLELossless if len(syntax) == len(RLELossless) else syntax
    path = maker.save(ds, tmp_path / "video.dcm")
    path.write_bytes(path.read_bytes().replace(RLELossless.encode(), syntax.encode()))
    assert "which is not supported" in refused(path)


def test_unreadable(tmp_path):
    assert "cannot be read" in refused(tmp_path / "absent.dcm")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([None, RLELossless, JPEG2000Lossless]))
def test_any_damage_is_read_or_refused(tmp_path, data, syntax):
    ds = maker.ct(np.arange(1024).reshape(32, 32) - 1000)
    if syntax:
        maker.compress(ds, syntax)
    path = maker.save(ds, tmp_path / "damaged.dcm")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(140, len(content)))])
    try:
        scan = DicomReader().read(path)
    except InputError as error:
        assert "\n" not in error.line
    else:
        assert np.isfinite(scan.pixels).all()


# Public test files.

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "dicom"


def bundled():
    from pydicom import data

    folder = Path(data.__file__).parent
    return [path for name in ("test_files", "charset_files") for path in folder.joinpath(name).rglob("*")]


@pytest.mark.parametrize("source", ["shared", "pydicom"])
def test_public_files_are_read_or_refused(source, capfd):
    paths = [path for path in (SHARED.glob("*") if source == "shared" else bundled()) if path.is_file()]
    if not paths:
        pytest.skip("no public DICOM files beside this checkout")
    reader, seen = DicomReader(), 0
    for path in paths:
        if not is_dicom(head_of(path)):
            assert path.suffix != ".dcm" or path.name == "no_meta.dcm"  # which starts within an element
            continue
        try:
            scan = reader.read(path)
        except InputError as error:
            assert len(error.line) < 500
            continue
        seen += 1
        assert np.isfinite(scan.pixels).all()
        json.dumps(describe(scan))
    assert seen > 100
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no public DICOM files beside this checkout")
@pytest.mark.parametrize(
    ("first", "second", "tolerance"),
    [
        ("dicom-test-files--CT1_RLE", "dicom-test-files--CT1_JLSL", 0),
        ("dicom-test-files--CT1_RLE", "dicom-test-files--CT1_JPLL", 0),
        ("dicom-test-files--CT1_RLE", "dicom-test-files--CT1_J2KR", 0),
        ("dicom-test-files--CT1_RLE", "pylibjpeg-data--CT1_JLSN", 4),
        ("dicom-test-files--MR4_RLE", "dicom-test-files--MR4_JPLL", 0),
        ("pydicom-data--emri_small", "pydicom-data--emri_small_big_endian", 0),
        ("pydicom-data--emri_small", "pydicom-data--emri_small_jpeg_2k_lossless", 0),
        ("pydicom-data--SC_rgb", "pydicom-data--SC_rgb_expb", 0),
        ("pylibjpeg-data--TOSHIBA_J2K_SIZ0_PixRep1", "pylibjpeg-data--TOSHIBA_J2K_SIZ1_PixRep0", 0),
    ],
)
def test_the_same_image_in_two_encodings(first, second, tolerance):
    reader = DicomReader()
    one, other = (reader.read(SHARED / f"{name}.dcm").pixels for name in (first, second))
    np.testing.assert_allclose(one, other, atol=tolerance)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no public DICOM files beside this checkout")
@pytest.mark.parametrize("name", ["MR1", "MR3", "XA1"])
def test_twelve_bit_jpeg_is_close_to_the_original(name):
    reader = DicomReader()
    lossy, exact = (reader.read(SHARED / f"dicom-test-files--{name}_{kind}.dcm").pixels for kind in ("JPLY", "JLSL"))
    inside = exact > 50
    assert abs(np.mean(lossy[inside] - exact[inside])) < 1
    assert np.std(lossy[inside] - exact[inside]) < 25

"""The same anatomy in another file is the same case: the findings of the sample series, however it is stored.

Variants whose values and grid are those of the original must give equal findings. Where rows, columns or slices run the
other way, frame numbers, rows and columns change; in patient coordinates everything must be where it was, within what
adding numbers in another order does to them.
"""

from __future__ import annotations

from copy import deepcopy

import dicom_maker as maker
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medvis.io.open import open_scan
from medvis.pipeline import Pipeline

FRAMES = slice(5, 10)  # around the nodule of frames 6 to 8
# Few views, and a threshold that leaves more than the nodule to compare.
QUICK = {"stages.infer.scales": {1.0: 1.0}, "stages.infer.flips": ["none"], "stages.segment.finding": 0.05}
QUICK["input_contract"] = "ignore"  # fewer views than the model was calibrated with
PLACE_MM, SIZE, CHANCE = 0.011, 1e-3, 1.1e-4
"""Tolerances of what was turned: places in mm, measures as a share, probabilities; one unit of the last digit shown."""


@pytest.fixture(scope="module")
def line():
    return Pipeline("lung-nodule", QUICK)


@pytest.fixture(scope="module")
def original(series):
    """The slices, decoded by pydicom and not by medvis."""
    found = [pydicom.dcmread(path) for path in sorted(series.iterdir())[FRAMES]]
    return [(ds, ds.pixel_array.astype(np.int32)) for ds in found]


@pytest.fixture(scope="module")
def expected(original, line, tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    write(original, folder, lambda ds, stored: (ds, stored.astype(np.uint16)))
    scan = open_scan(folder)
    report = line.outcome(scan).report
    assert len(report.findings) >= 2
    assert max(finding.probability for finding in report.findings) > 0.8
    return scan, report.findings


def write(original, folder, change, names=None):
    """Every slice, changed, as a file of its own; `change` gives a data set and its stored values."""
    for number, (ds, stored) in enumerate(original):
        new, values = change(copy(ds), stored)
        photometric = new.PhotometricInterpretation
        maker.set_pixels(new, values, new.get("BitsStored"))
        new.PhotometricInterpretation = photometric
        maker.save(new, folder / f"{number if names is None else names[number]:03d}.dcm")


def copy(ds):
    new = Dataset()
    for element in ds:
        if element.keyword not in ("PixelData", "BitsStored", "BitsAllocated", "HighBit"):
            new.add(deepcopy(element))
    new.file_meta = pydicom.dataset.FileMetaDataset()
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    new.file_meta.MediaStorageSOPClassUID, new.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return new


def rewrite(folder, change):
    """Every file of a folder, changed as a whole."""
    for path in folder.iterdir():
        change(pydicom.dcmread(path)).save_as(path, enforce_file_format=True)


def plain(ds, stored):
    return ds, stored.astype(np.uint16)


def monochrome1(ds, stored):
    """Stored values upside down, and a rescale that undoes it (PS3.3 C.11.1)."""
    ds.PhotometricInterpretation = "MONOCHROME1"
    ds.RescaleSlope, ds.RescaleIntercept = -1, 4095 + float(ds.RescaleIntercept)
    return ds, (4095 - stored).astype(np.uint16)


def finer(ds, stored):
    """Eight times the values in 16 bits, an eighth of the slope."""
    ds.RescaleSlope = 0.125
    return ds, (8 * stored).astype(np.uint16)


def shifted(ds, stored):
    """Signed values, with another intercept."""
    ds.RescaleIntercept = -24
    return ds, (stored - 1000).astype(np.int16)


def wider(ds, stored):
    return ds, stored.astype(np.int32)


@pytest.mark.parametrize("change", [monochrome1, finer, shifted, wider])
def test_other_stored_values(original, expected, line, tmp_path, change):
    write(original, tmp_path, change)
    same(open_scan(tmp_path), expected, line)


NATIVE = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
OWN_ENCODERS = [RLELossless, JPEGLSLossless, JPEG2000Lossless]


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_native_transfer_syntaxes(original, expected, line, tmp_path, syntax):
    write(original, tmp_path, plain)

    def change(ds):
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        fresh = Dataset(ds)
        fresh.file_meta = ds.file_meta
        return fresh

    rewrite(tmp_path, change)
    same(open_scan(tmp_path), expected, line)


@pytest.mark.parametrize("syntax", OWN_ENCODERS, ids=lambda syntax: syntax.keyword)
def test_lossless_transfer_syntaxes(original, expected, line, tmp_path, syntax):
    write(original, tmp_path, plain)
    rewrite(tmp_path, lambda ds: maker.compress(ds, syntax))
    same(open_scan(tmp_path), expected, line)


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1], ids=lambda syntax: syntax.keyword)
def test_jpeg_lossless(original, expected, line, tmp_path, syntax):
    gdcm = pytest.importorskip("gdcm", reason="GDCM encodes JPEG lossless")
    write(original, tmp_path, lambda ds, stored: plain(maker.with_tags(ds, {"BitsStored": 12}), stored))
    kind = {JPEGLossless: "JPEGLosslessProcess14", JPEGLosslessSV1: "JPEGLosslessProcess14_1"}[syntax]
    for path in tmp_path.iterdir():
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        assert writer.Write()
        assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    same(open_scan(tmp_path), expected, line)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL], ids=lambda syntax: syntax.keyword)
def test_high_throughput_jpeg_2000(original, expected, line, tmp_path, syntax):
    imagecodecs = pytest.importorskip("imagecodecs", reason="OpenJPH in imagecodecs encodes HTJ2K")
    rpcl = {"tlm": True, "tilepart": imagecodecs.HTJ2K.TILEPART.RESOLUTIONS} if syntax == HTJ2KLosslessRPCL else {}
    write(original, tmp_path, plain)

    def change(ds):
        stream = imagecodecs.htj2k_encode(ds.pixel_array, reversible=True, **rpcl)
        assert b"\xff\x50" in stream[:200], "the CAP marker of Part 15"
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = syntax
        return ds

    rewrite(tmp_path, change)
    same(open_scan(tmp_path), expected, line)


def test_names_and_numbers_say_nothing(original, expected, line, tmp_path):
    order = [3, 0, 4, 2, 1]

    def change(ds, stored):
        ds.InstanceNumber = 99 - ds.InstanceNumber
        return plain(ds, stored)

    write(original, tmp_path, change, order)
    scan = open_scan(tmp_path)
    assert scan.source.files == tuple(f"{name:03d}.dcm" for name in order)
    same(scan, expected, line)


@pytest.mark.parametrize("backwards", [False, True])
def test_one_enhanced_multi_frame_file(original, expected, line, tmp_path, backwards):
    ordered = original[::-1] if backwards else original
    first = ordered[0][0]
    stored = np.stack([values for _, values in ordered]).astype(np.uint16)
    heights = [float(ds.ImagePositionPatient[2]) for ds, _ in ordered]
    ds = maker.enhanced_ct(stored, heights)
    ds.BodyPartExamined, ds.FrameOfReferenceUID = "CHEST", first.FrameOfReferenceUID
    shared = ds.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].PixelSpacing = first.PixelSpacing
    for group, (slice_, _) in zip(ds.PerFrameFunctionalGroupsSequence, ordered, strict=True):
        group.PlanePositionSequence[0].ImagePositionPatient = slice_.ImagePositionPatient
    assert ds.SOPClassUID == EnhancedCTImageStorage
    same(open_scan(maker.save(ds, tmp_path / "enhanced.dcm")), expected, line)


@pytest.mark.parametrize(("rows", "cols"), [(True, False), (False, True), (True, True)])
def test_mirrored_grids(original, expected, line, tmp_path, rows, cols):
    """Rows or columns run the other way, and Image Orientation and Position (Patient) say so."""

    def change(ds, stored):
        orientation = np.array(ds.ImageOrientationPatient, float)
        last = np.array([ds.Columns - 1, ds.Rows - 1]) * np.array(ds.PixelSpacing, float)[::-1]
        position = np.array(ds.ImagePositionPatient, float)
        position += cols * last[0] * orientation[:3] + rows * last[1] * orientation[3:]
        orientation[:3] *= -1 if cols else 1
        orientation[3:] *= -1 if rows else 1
        ds.ImagePositionPatient, ds.ImageOrientationPatient = position.tolist(), orientation.tolist()
        return plain(ds, stored[:: -1 if rows else 1, :: -1 if cols else 1])

    write(original, tmp_path, change)
    scan = open_scan(tmp_path)
    first, last = scan.geometry.positions[[0, -1], 2]
    assert (first > last) == (rows != cols)  # sorted along the normal, which one mirror turns round
    found, wanted = line.outcome(scan).report.findings, expected[1]
    assert len(found) == len(wanted)
    for one, other in zip(by_place(found), by_place(wanted), strict=True):
        assert one.centroid_mm == pytest.approx(other.centroid_mm, abs=PLACE_MM)
        for name in ("area_mm2", "longest_diameter_mm", "perpendicular_diameter_mm", "volume_mm3"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=SIZE)
        for name in ("probability", "malignancy"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=CHANCE)
        assert [item.value for item in one.attributes] == [item.value for item in other.attributes]


def by_place(findings):
    return sorted(findings, key=lambda finding: finding.centroid_mm)


def same(scan, expected, line):
    """Every pixel, every place and every finding."""
    before, findings = expected
    np.testing.assert_array_equal(scan.pixels, before.pixels)
    np.testing.assert_array_equal(scan.geometry.positions, before.geometry.positions)
    np.testing.assert_array_equal(scan.geometry.orientation, before.geometry.orientation)
    assert scan.geometry.spacing == before.geometry.spacing
    assert scan.geometry.slice_spacing == before.geometry.slice_spacing
    assert scan.unit == before.unit
    assert line.outcome(scan).report.findings == findings

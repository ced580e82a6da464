"""What the distance between pixels is the distance of: of the patient, the detector, or one region of the screen."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.dataset import Dataset

from medvis.io.open import open_scan

CM, SECONDS, CM_PER_S = 3, 4, 7  # Physical Units, PS3.3 C.8.5.5.1.3


def projection(folder, **tags):
    ds = maker.image(np.zeros((3, 3), np.uint16), "DX", **tags)
    return open_scan(maker.save(ds, folder / "dx.dcm"))


@pytest.mark.parametrize("factor", [None, 1.8])
def test_a_pixel_spacing_that_equals_the_detectors_is_not_corrected(tmp_path, factor):
    """PS3.3 10.7.1.2; a magnification view of a breast, 1.8 times as large at the detector, is none of this size."""
    tags = {"PixelSpacing": [0.07, 0.07], "ImagerPixelSpacing": [0.07, 0.07]}
    scan = projection(tmp_path, **tags, EstimatedRadiographicMagnificationFactor=factor)
    assert scan.geometry.spacing == (0.07, 0.07)
    (note,) = scan.notes
    assert note.startswith("spacing is at the detector (Pixel Spacing equals Imager Pixel Spacing), not corrected")
    assert note.endswith("(estimated factor 1.8)") == (factor is not None)


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [0.06, 0.06], "ImagerPixelSpacing": [0.07, 0.07]},
        {"PixelSpacing": [0.07, 0.07], "ImagerPixelSpacing": [0.07, 0.07], "PixelSpacingCalibrationType": "FIDUCIAL"},
        {"PixelSpacing": [0.07, 0.07]},
    ],
)
def test_a_calibrated_one_needs_no_note(tmp_path, tags):
    scan = projection(tmp_path, **tags)
    assert scan.geometry.spacing == tuple(tags["PixelSpacing"]) and scan.notes == ()


def region(delta, units=(CM, CM), planar=1):
    ds = Dataset()
    ds.PhysicalUnitsXDirection, ds.PhysicalUnitsYDirection = units
    ds.PhysicalDeltaX, ds.PhysicalDeltaY, ds.RegionSpatialFormat = delta, delta, planar
    return ds


def ultrasound(folder, regions, **tags):
    ds = maker.image(np.zeros((3, 3), np.uint8), "US", SequenceOfUltrasoundRegions=regions, **tags)
    return open_scan(maker.save(ds, folder / "us.dcm"))


@pytest.mark.parametrize(
    ("regions", "mm"),
    [
        ([region(0.02)], 0.2),
        ([region(0.02), region(0.05)], None),
        ([region(0.02), region(0.01, (SECONDS, CM_PER_S), 3)], None),  # a spectrum below the image
        ([region(0.02, planar=2)], None),  # M-mode
    ],
)
def test_ultrasound_has_the_size_of_its_only_region(tmp_path, regions, mm):
    scan = ultrasound(tmp_path, regions)
    assert scan.geometry.spacing == (None if mm is None else pytest.approx((mm, mm)))
    assert ("spacing" in scan.geometry.reasons) == (mm is None)


@pytest.mark.parametrize(
    ("regions", "known"),
    [([region(0.05)], True), ([region(0.02)], False), ([region(0.05), region(0.02)], False), ([], True)],
)
def test_a_pixel_spacing_that_contradicts_a_region_is_none(tmp_path, regions, known):
    scan = ultrasound(tmp_path, regions, PixelSpacing=[0.5, 0.5])
    assert scan.geometry.spacing == ((0.5, 0.5) if known else None)
    reason = "Pixel Spacing (0.5 and 0.5 mm) contradicts the scale of the ultrasound regions"
    assert scan.geometry.reasons.get("spacing") == (None if known else reason)


@pytest.mark.parametrize("cosines", [[0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 2, 0], [1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1]])
def test_an_orientation_that_is_none_is_said_to_be_there(tmp_path, cosines):
    scan = open_scan(maker.save(maker.ct(np.zeros((3, 3)), ImageOrientationPatient=cosines), tmp_path / "a.dcm"))
    assert scan.geometry.orientation is None
    reason = "Image Orientation (Patient) of the file is not two unit vectors at a right angle"
    assert scan.geometry.reasons["orientation"] == reason

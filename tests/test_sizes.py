"""A pixel of a size that cannot be is not measured with, whichever format says so."""

from __future__ import annotations

import dicom_maker as make
import numpy as np
import pytest
import tifffile

from medvis.core.sizes import is_possible
from medvis.io.open import open_scan

SIZES = (1e20, 1e-20)


def test_what_is_made_by_a_microscope_or_a_line_camera_is_possible():
    assert is_possible(1e-6, 0.2, 1e4)
    assert not any(is_possible(0.5, size) for size in (0, 1e-7, 1.1e4, -1, np.inf, np.nan))


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_a_dicom_file(tmp_path, size):
    path = make.save(make.ct(np.zeros((6, 5)), PixelSpacing=[f"{size:g}", f"{size:g}"]), tmp_path / "a.dcm")
    assert_unknown(open_scan(path), "spacing", size)


def test_slices_of_a_dicom_series(tmp_path):
    make.save_series(tmp_path / "series", make.volume(), step=1e12)
    scan = open_scan(tmp_path / "series")
    assert_unknown(scan, "slice_spacing", 1e12)
    assert scan.geometry.spacing is not None


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_a_tiff(tmp_path, size):
    sizes = {f"PhysicalSize{axis}{what}": value for axis in "XY" for what, value in (("", size), ("Unit", "mm"))}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((40, 40), np.uint8), ome=True, metadata={"axes": "YX", **sizes})
    assert_unknown(open_scan(tmp_path / "a.ome.tif"), "spacing", size)


def assert_unknown(scan, name, size):
    assert getattr(scan.geometry, name) is None
    assert f"{size:.3g}" in scan.geometry.reasons[name] and "which cannot be" in scan.geometry.reasons[name]
    assert any("nothing is measured with it" in note for note in scan.notes)

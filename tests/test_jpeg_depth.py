"""Bits that a JPEG stream has, where the header says others."""

from __future__ import annotations

import io

import dicom_maker as maker
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from medvis.io.open import open_scan

RAMP = np.add.outer(np.arange(8), np.arange(6)) * 9


@pytest.mark.parametrize("stored", [8, 12, 16])
def test_jpeg_baseline_has_eight_bits_whatever_the_header_says(tmp_path, stored):
    """PS3.5 8.2.1; the values are those that Pillow decodes."""
    stream = io.BytesIO()
    Image.fromarray(RAMP.astype(np.uint8)).save(stream, "JPEG", quality=95)
    ds = maker.image(np.zeros(RAMP.shape, np.uint16), "CR", bits=stored)
    ds.PixelData = encapsulate([stream.getvalue()])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    scan = open_scan(maker.save(ds, tmp_path / "a.dcm", JPEGBaseline8Bit))
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], np.asarray(Image.open(stream)))
    assert scan.bits == 8
    assert scan.notes == ("Bits Allocated says 16, but JPEG baseline has 8 bits, which were believed",)

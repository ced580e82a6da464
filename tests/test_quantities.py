"""What values are not known to be: a scale that is absent, or that stands where it is not applied."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.dataset import Dataset

from medvis.io.open import open_scan

STORED = np.full((3, 3), 1000, np.uint16)


def read(ds, folder):
    return open_scan(maker.save(ds, folder / "a.dcm"))


def test_a_pet_without_a_rescale_has_no_activity(tmp_path):
    """Rescale Slope is required of PET (PS3.3 C.8.9.4), and is another one on each slice: 1 is no guess."""
    scan = read(maker.image(STORED, "PT", Units="BQML"), tmp_path)
    assert scan.unit == "US"
    assert scan.notes == ("a PET image without Rescale Slope: its values are not known to be BQML",)


@pytest.mark.parametrize("units", ["BQML", "CNTS", "GML"])
def test_a_pet_with_one_has_its_units(tmp_path, units):
    scan = read(maker.image(STORED, "PT", Units=units, RescaleSlope="1.02609e-08", RescaleIntercept="0"), tmp_path)
    assert (scan.unit, scan.notes) == (units, ())
    np.testing.assert_allclose(scan.pixels, 1.02609e-05, rtol=1e-6)


@pytest.mark.parametrize(("slope", "told"), [(0.5, True), (1.0, False)])
def test_a_real_world_value_mapping_is_told(tmp_path, slope, told):
    mapping = Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = slope, 0.0
    scan = read(maker.image(STORED, "NM", RealWorldValueMappingSequence=[mapping]), tmp_path)
    assert (scan.unit, scan.pixels.max()) == ("US", 1000)
    note = "the values are as stored: the file's Real World Value Mapping was not applied"
    assert scan.notes == ((note,) if told else ())

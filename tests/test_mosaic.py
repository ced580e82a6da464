"""Many slices side by side in one image: its position, its step and its plane are those of none of them."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest

from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.open import open_scan

TILES = np.arange(64, dtype=np.uint16).reshape(8, 8)


def siemens(number=0):
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    place = {"ImagePositionPatient": [-800, -800, 0], "ImageOrientationPatient": list(maker.AXIAL)}
    return maker.image(TILES + number, "MR", ImageType=kind, PixelSpacing=[3, 3], AcquisitionNumber=number, **place)


def united_imaging(tiles):
    ds = maker.image(TILES, "MR", ImageType=["ORIGINAL", "PRIMARY", "M"], PixelSpacing=[3, 3])
    ds.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", str(tiles))
    return ds


@pytest.mark.parametrize(("ds", "what"), [(siemens(), "a mosaic"), (united_imaging(30), "a grid of images")])
def test_a_mosaic_is_refused(tmp_path, ds, what):
    with pytest.raises(InputError, match=what) as caught:
        open_scan(maker.save(ds, tmp_path / "a.dcm"))
    assert "one slice an image" in caught.value.line


def test_a_series_of_mosaics_is_no_volume_and_hides_no_other_image(tmp_path):
    for number in range(2):
        maker.save(siemens(number), tmp_path / f"{number}.dcm")
    with volumes(tmp_path) as found:
        assert [volume.why_not for volume in found] == [
            "2 image(s) that are a mosaic (Image Type): many slices in one image"
        ]
    slices = maker.save_series(tmp_path, maker.volume(), SeriesInstanceUID=siemens().SeriesInstanceUID)
    with volumes(tmp_path) as found:
        assert found.single().read().frames == len(slices)


def test_what_is_none(tmp_path):
    """One slice in a grid is a slice; an enhanced file that kept the word has its slices as frames."""
    assert open_scan(maker.save(united_imaging(1), tmp_path / "a.dcm")).frames == 1
    enhanced = maker.enhanced_ct(np.arange(8, dtype=np.int16).reshape(2, 2, 2), heights=[0, 3])
    enhanced.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    assert open_scan(maker.save(enhanced, tmp_path / "b.dcm")).geometry.slice_spacing == 3


@pytest.mark.parametrize(("size", "told"), [((4, 2), True), ((2, 2), False)])
def test_tiles_of_one_picture_are_told(tmp_path, size, told):
    """A whole slide (PS3.3 C.8.12.14): its frames are neither slices nor a clip."""
    rows, cols = size
    tiles = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)[: 2 if told else 1]
    ds = maker.image(tiles, "SM", TotalPixelMatrixRows=rows, TotalPixelMatrixColumns=cols)
    scan = open_scan(maker.save(ds, tmp_path / "a.dcm"))
    note = "each frame is a tile of one picture of 4 x 2 pixels; they were not put together"
    assert scan.notes == ((note,) if told else ())

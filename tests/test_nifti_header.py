"""Headers of NIfTI files that say too little or something impossible, and masks on the grid of the file."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from medvis.errors import InputError
from medvis.io.open import open_scan
from medvis.io.readers.nifti import NiftiReader
from medvis.io.writers.mask import write_nifti
from medvis.preprocess.picture import with_facts
from medvis.settings import PictureFacts

VALUES = (np.arange(16 * 12 * 4) % 200 - 100).astype(np.int16).reshape(16, 12, 4)


def write(path, values=VALUES, tail=b"", **fields):
    """A NIfTI-1 by hand: nibabel would make a wrong header right."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header.set_zooms((1, 2, 3))
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"], header["sform_code"] = b"n+1", 352, 1
    header["srow_x"], header["srow_y"], header["srow_z"] = [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0]
    for name, value in fields.items():
        header[name] = value
    body = header.binaryblock + bytes(4) + values.tobytes(order="F") + tail
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


def read(path):
    return NiftiReader().read(path)


@pytest.mark.parametrize("code", [0, 5, 123])
def test_a_unit_that_is_none_is_taken_as_mm_and_said(tmp_path, code):
    scan = read(write(tmp_path / "a.nii", xyzt_units=code))
    assert scan.geometry.spacing == (2, 1) and any("mm was assumed" in note for note in scan.notes)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("offset", [0, 16, 348])
def test_values_begin_behind_the_header_whatever_it_says(tmp_path, name, offset):
    """As ITK reads it; nibabel takes the header's own bytes for voxels."""
    scan = read(write(tmp_path / name, vox_offset=offset))
    assert (scan.pixels.min(), scan.pixels.max()) == (-100, 99)
    assert any(f"vox_offset is {offset}, which lies within the header" in note for note in scan.notes)


def test_a_voxel_without_size_is_not_1_mm(tmp_path):
    scan = read(write(tmp_path / "a.nii", sform_code=0, pixdim=[1, 0, 0, 0, 0, 0, 0, 0]))
    assert scan.geometry.spacing is None and scan.geometry.slice_spacing is None
    assert "gives a voxel of" in scan.geometry.reasons["spacing"] and any("in mm" in note for note in scan.notes)


@pytest.mark.parametrize("values", [VALUES, VALUES.astype(np.float32)])
def test_a_slope_that_leaves_no_number_is_refused(tmp_path, values):
    with pytest.raises(InputError, match=r"scl_slope 1e\+38 and scl_inter 0 give values that are no finite number"):
        read(write(tmp_path / "a.nii", values=values, scl_slope=1e38))


def chest(metal=0):
    values = np.full((32, 32, 8), -950, np.int16)
    values[8:24, 8:24] = 40
    values.flat[:metal] = 30000
    return values


def test_a_few_voxels_of_metal_do_not_hide_hounsfield_units(tmp_path):
    assert read(write(tmp_path / "a.nii", chest(metal=3))).unit == "HU"
    assert read(write(tmp_path / "b.nii", chest() + 2000)).unit == "US"


def test_the_unit_can_be_given(tmp_path):
    scan = read(write(tmp_path / "a.nii", chest() + 500))
    assert scan.unit == "US" and any("--unit HU says that they are HU" in note for note in scan.notes)
    given = with_facts(scan, PictureFacts(unit="HU"))
    assert given.unit == "HU" and given.trail[-1].settings == {"unit": "HU", "given_by": "user"}
    np.testing.assert_array_equal(given.pixels, scan.pixels)
    known = read(write(tmp_path / "b.nii", chest()))
    assert with_facts(known, PictureFacts(unit="HU")) is known


def marked(scan):
    return (scan.pixels[..., 0] > 100).astype(np.int32)


ORIENTATIONS = [
    "".join(letter if way else {"R": "L", "A": "P", "S": "I"}[letter] for letter, way in zip(axes, ways, strict=True))
    for axes in itertools.permutations("RAS")
    for ways in itertools.product([True, False], repeat=3)
]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_a_mask_lies_on_the_grid_of_its_file_voxel_by_voxel(tmp_path, axes):
    values = np.zeros((7, 6, 5), np.int16)
    values[1:3, 2, 3:5] = 500
    zooms = np.diag([0.7, 0.8, 2.0, 1.0])
    change = nibabel.orientations.axcodes2ornt(tuple(axes))
    affine = nibabel.orientations.inv_ornt_aff(change, values.shape) @ zooms
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    scan = open_scan(path)
    write_nifti(marked(scan), scan.geometry, tmp_path / "mask.nii.gz")
    source, mask = nibabel.load(path), nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, values > 100)
    np.testing.assert_array_equal(mask.affine, source.affine)
    for name in ("sform_code", "qform_code", "xyzt_units"):
        assert mask.header[name] == source.header[name]


def test_the_mask_of_a_volume_without_a_place_has_its_voxels_and_claims_no_place(tmp_path):
    values = np.zeros((16, 16, 4), np.int16)
    values[3:6, 2:4, 1] = 500
    scan = read(write(tmp_path / "a.nii", values, sform_code=0))
    assert any("left and right, front and back are not known" in note for note in scan.notes)
    write_nifti(marked(scan), scan.geometry, tmp_path / "mask.nii.gz")
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, values > 100)
    assert mask.header["sform_code"] == mask.header["qform_code"] == 0
    np.testing.assert_array_equal(mask.header.get_zooms(), (1, 2, 3))


def quaternion(path, b=0.0, c=0.0, d=0.0, **fields):
    """A NIfTI-1 whose qform is a rotation (nifti1.h, method 2), beside whatever sform there is."""
    return write(
        path, quatern_b=b, quatern_c=c, quatern_d=d, **{"qform_code": 1, "pixdim": [1, 1, 2, 3, 0, 0, 0, 0], **fields}
    )


@pytest.mark.parametrize(
    "fields",
    [{"b": 0.9, "c": 0.9}, {"b": np.nan}, {"sform_code": 77}, {"sform_code": 2, "qform_code": 99}, {"sform_code": -1}],
    ids=str,
)
def test_masks_of_odd_transforms_are_written_on_the_file_s_grid(tmp_path, fields):
    scan = read(quaternion(tmp_path / "a.nii", **fields))
    write_nifti(marked(scan), scan.geometry, tmp_path / "mask.nii.gz")
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, VALUES > 100)
    assert {int(mask.header[name]) for name in ("sform_code", "qform_code")} <= set(range(6))


def test_a_form_code_that_does_not_exist_claims_no_place(tmp_path):
    scan = read(write(tmp_path / "a.nii", sform_code=77))
    assert scan.geometry.positions is None
    assert any("sform_code is 77, which does not exist" in note for note in scan.notes)


def test_transforms_that_contradict_each_other_are_said(tmp_path):
    """nibabel takes the sform, ITK may take the qform: here one is the other turned by half a circle about z."""
    scan = read(quaternion(tmp_path / "a.nii", d=1.0))
    assert any("sform and qform of the NIfTI header lie up to" in note and "axes differ" in note for note in scan.notes)
    alike = read(quaternion(tmp_path / "b.nii"))
    assert not any("sform and qform" in note for note in alike.notes)


def test_micrometres_in_metres_are_a_volume(tmp_path):
    small = {"srow_x": [1e-6, 0, 0, 0], "srow_y": [0, 2e-6, 0, 0], "srow_z": [0, 0, 3e-6, 0]}
    scan = read(write(tmp_path / "a.nii", xyzt_units=1, pixdim=[1, 1e-6, 2e-6, 3e-6, 0, 0, 0, 0], **small))
    assert scan.geometry.spacing == pytest.approx((2e-3, 1e-3)) and scan.geometry.slice_spacing == pytest.approx(3e-3)


@pytest.mark.parametrize("spoil", ["crc", "length", "no trailer", "cut"])
def test_a_gzip_that_does_not_end_as_it_must_is_damage(tmp_path, spoil):
    """RFC 1952 2.3.1: CRC-32 and size of the data stand at the end."""
    path = write(tmp_path / "a.nii.gz")
    data = bytearray(path.read_bytes())
    if spoil in ("crc", "length"):
        data[-8 if spoil == "crc" else -4] ^= 1
    else:
        del data[-8 if spoil == "no trailer" else -40 :]
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


def test_bytes_behind_the_volume_are_said(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        scan = read(write(tmp_path / name, tail=b"more"))
        assert any("goes on behind the last voxel" in note for note in scan.notes)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("extension", [b"\x10\0\0\0\x06\0\0\0comment.", b"\x0d\0\0\0\x06\0\0\0comment."])
def test_values_begin_where_the_header_says_whatever_its_extensions(tmp_path, name, extension):
    """nifti1.h: the values begin at vox_offset. nibabel refuses zeros behind an extension, and one of 13 bytes."""
    head = write(tmp_path / "plain.nii", vox_offset=384).read_bytes()[:348]
    body = head + b"\1\0\0\0" + extension + bytes(32 - len(extension)) + VALUES.tobytes(order="F")
    path = tmp_path / name
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    np.testing.assert_array_equal(read(path).pixels[..., 0], VALUES.transpose(2, 1, 0)[:, ::-1, ::-1])


@pytest.mark.parametrize("code", [0, 1, 32, 77, 128, 2304])
def test_values_that_are_no_real_number_are_named(tmp_path, code):
    with pytest.raises(InputError, match=r"holds .*wanted: one real number per voxel"):
        read(write(tmp_path / "a.nii", datatype=code))


@pytest.mark.parametrize("size", [1e25, 1e-30])
def test_a_voxel_that_no_scanner_makes_is_not_measured_with(tmp_path, size):
    scan = read(write(tmp_path / "a.nii", srow_x=[size, 0, 0, 0], pixdim=[1, size, 2, 3, 0, 0, 0, 0]))
    assert scan.geometry.spacing is None and scan.geometry.slice_spacing is None and scan.geometry.positions is None
    assert "which cannot be" in scan.geometry.reasons["spacing"]
    assert any("nothing is measured in mm" in note for note in scan.notes)


def test_a_place_so_far_off_that_the_slices_fall_together_is_not_told(tmp_path):
    scan = read(write(tmp_path / "a.nii", srow_z=[0, 0, 3, 2e21]))
    assert scan.geometry.positions is None and scan.geometry.spacing == (2, 1)
    assert any("2e+21 mm from the origin, which cannot be" in note for note in scan.notes)


def test_numbers_of_64_bits_whose_squares_are_none_are_no_transform(tmp_path):
    with np.errstate(over="ignore"):
        image = nibabel.Nifti2Image(VALUES, np.diag([1e200, 1, 1, 1]))
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    with pytest.raises(InputError, match="transform is singular"):
        read(tmp_path / "a.nii")


def test_a_header_that_announces_more_than_there_is_allocates_nothing(tmp_path):
    with pytest.raises(InputError, match=r"its header announces 4294\d+ bytes, and there are \d+"):
        read(write(tmp_path / "a.nii", dim=[3, 32767, 32767, 2, 1, 1, 1, 1]))


def test_nothing_of_the_library_s_log_reaches_the_terminal(tmp_path):
    path = write(tmp_path / "a.nii", sform_code=0, pixdim=[1, 0, 0, 0, 0, 0, 0, 0])
    ran = subprocess.run(
        [sys.executable, "-m", "medvis", "info", str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stderr == ""

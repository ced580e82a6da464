"""NIfTI volumes: the same anatomy whatever the axes of the file, its scale, its unit, and what is refused."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest

from medvis.errors import InputError
from medvis.io.describe import describe
from medvis.io.magic import head_of
from medvis.io.readers.nifti import NiftiReader

VALUES = np.arange(2 * 3 * 4, dtype=np.int16).reshape(4, 3, 2)  # x (to right), y (to anterior), z (to superior)
AFFINE = np.array([[0.5, 0, 0, -7], [0, 0.7, 0, -8], [0, 0, 2.0, -9], [0, 0, 0, 1.0]])


def save(path, values=VALUES, affine=AFFINE, kind=nibabel.Nifti1Image, unit="mm"):
    image = kind(values, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def patch(path, offset, data):
    """Overwrites bytes of the NIfTI-1 header, which nibabel would make consistent again."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def read(path):
    return NiftiReader().read(path)


def refused(path):
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in caught.value.line
    return caught.value.line


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_ras_volume_lies_as_a_ct_would(tmp_path, name, kind):
    scan = read(save(tmp_path / name, kind=kind))
    expected = VALUES.transpose(2, 1, 0)[:, ::-1, ::-1]  # frames up, rows to posterior, columns to the left
    np.testing.assert_array_equal(scan.pixels[..., 0], expected)
    assert scan.geometry.spacing == (0.7, 0.5)
    assert scan.geometry.slice_spacing == 2.0
    np.testing.assert_allclose(scan.geometry.orientation, [1, 0, 0, 0, 1, 0], atol=1e-12)
    assert describe(scan)["plane"] == "axial"
    assert scan.modality is None
    assert scan.source.details["axes_in_file"] == "RAS"


@pytest.mark.parametrize("codes", list(itertools.permutations("RAS")), ids="".join)
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_arrangement_of_the_file_gives_the_same_scan(tmp_path, codes, flips):
    opposite = {"R": "L", "A": "P", "S": "I"}
    wanted = [opposite[code] if flip else code for code, flip in zip(codes, flips, strict=True)]
    image = nibabel.Nifti1Image(VALUES, AFFINE)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(AFFINE), nibabel.orientations.axcodes2ornt(tuple(wanted))
    )
    turned = image.as_reoriented(turn)
    turned.header.set_xyzt_units("mm")
    nibabel.save(turned, tmp_path / "turned.nii")
    scan, plain = read(tmp_path / "turned.nii"), read(save(tmp_path / "plain.nii"))
    np.testing.assert_array_equal(scan.pixels, plain.pixels)
    np.testing.assert_allclose(scan.geometry.positions, plain.geometry.positions, atol=1e-5)
    np.testing.assert_allclose(scan.geometry.orientation, plain.geometry.orientation, atol=1e-6)
    assert scan.geometry.spacing == pytest.approx(plain.geometry.spacing)


def test_a_voxel_keeps_its_place_in_the_patient(tmp_path):
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag([0.5, 0.7, 2.0]), (3, -4, 5)
    scan = read(save(tmp_path / "oblique.nii", affine=affine))
    for i, j, k in itertools.product(range(4), range(3), range(2)):
        frame, row, col = (int(n) for n in np.argwhere(scan.pixels[..., 0] == VALUES[i, j, k])[0])
        ras = affine @ (i, j, k, 1)
        assert scan.geometry.to_patient(frame, row, col) == pytest.approx((-ras[0], -ras[1], ras[2]), abs=1e-4)
    assert describe(scan)["plane"] == "oblique, nearest to axial"


def test_scale_is_applied(tmp_path):
    image = nibabel.Nifti1Image(VALUES, AFFINE)
    image.header.set_slope_inter(2, -5)
    (tmp_path / "scaled.nii").write_bytes(image.to_bytes())
    scan = read(tmp_path / "scaled.nii")
    assert sorted(scan.pixels.ravel()) == sorted(2.0 * VALUES.ravel() - 5)


def test_units_of_the_values(tmp_path):
    scan = read(save(tmp_path / "plain.nii"))
    assert scan.unit == "US"
    assert "does not say the unit" in scan.notes[-1]
    scan = read(save(tmp_path / "ct.nii", VALUES * 100 - 1000))
    assert scan.unit == "HU"
    assert "look like HU" in scan.notes[-1]
    assert scan.valid is None


def test_corners_of_a_ct_are_padding(tmp_path):
    values = np.zeros((8, 8, 3), np.int16)
    values[:2, :2] = -3024
    scan = read(save(tmp_path / "ct.nii", values))
    assert scan.unit == "HU"
    assert (~scan.valid).sum() == 12
    np.testing.assert_array_equal(scan.valid, scan.pixels[..., 0] > -3024)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_units_of_length(tmp_path, unit, factor):
    scan = read(save(tmp_path / "a.nii", unit=unit))
    assert scan.geometry.spacing == pytest.approx((0.7 * factor, 0.5 * factor))
    assert scan.geometry.slice_spacing == pytest.approx(2.0 * factor)
    assert any("mm was assumed" in note for note in scan.notes) == (unit == "unknown")


def test_without_a_transform(tmp_path):
    scan = read(patch(save(tmp_path / "a.nii"), 252, bytes(4)))  # qform_code and sform_code
    assert scan.geometry.positions is None
    assert scan.geometry.spacing == pytest.approx((0.7, 0.5))
    assert "no transform" in scan.geometry.reasons["positions"]


def test_sheared(tmp_path):
    affine = AFFINE.copy()
    affine[0, 2] = 0.5
    assert any("sheared" in note for note in read(save(tmp_path / "tilt.nii", affine=affine)).notes)
    affine = AFFINE.copy()
    affine[0, 1] = 0.3
    assert read(save(tmp_path / "skew.nii", affine=affine)).geometry.orientation is None


def test_shapes(tmp_path):
    assert read(save(tmp_path / "flat.nii", VALUES[:, :, 0])).pixels.shape == (1, 3, 4, 1)
    assert read(save(tmp_path / "four.nii", VALUES[..., None])).pixels.shape == (2, 3, 4, 1)
    assert "holds 5 volumes" in refused(save(tmp_path / "many.nii", np.zeros((2, 2, 2, 5), np.int16)))


def test_floats_that_are_no_number(tmp_path):
    values = VALUES.astype(np.float32)
    values[0, 0, 0] = np.nan
    scan = read(save(tmp_path / "nan.nii", values))
    assert np.isfinite(scan.pixels).all()
    assert (~scan.valid).sum() == 1


def test_what_is_refused(tmp_path):
    colour = np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "one real number per voxel" in refused(save(tmp_path / "colour.nii", colour))
    assert "one real number per voxel" in refused(save(tmp_path / "complex.nii", VALUES.astype(np.complex64)))
    pair = nibabel.Nifti1Pair(VALUES, AFFINE)
    nibabel.save(pair, tmp_path / "pair.hdr")
    assert "header of a .hdr/.img pair" in refused(tmp_path / "pair.hdr")
    assert "singular" in refused(patch(save(tmp_path / "singular.nii"), 280, bytes(16)))  # srow_x


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_truncated(tmp_path, name, share, capfd):
    data = save(tmp_path / name, np.random.default_rng(0).integers(0, 99, (16, 16, 9)).astype(np.int16)).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    assert "cannot be read" in refused(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_the_name_does_not_matter(tmp_path):
    data = save(tmp_path / "a.nii").read_bytes()
    (tmp_path / "plain").write_bytes(data)
    (tmp_path / "packed.dat").write_bytes(gzip.compress(data))
    for name in ("plain", "packed.dat"):
        path = tmp_path / name
        assert NiftiReader().format_of(head_of(path), path) == "nifti"
        np.testing.assert_array_equal(read(tmp_path / name).pixels, read(tmp_path / "a.nii").pixels)

"""mask.png and mask.nii.gz: the numbers exact, the place in the patient right, visible in any viewer."""

import itertools
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from case_maker import make_outcome
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medvis.core.geometry import Geometry
from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.report import Reading
from medvis.errors import OutputError, StageError
from medvis.io.colours import FINDINGS
from medvis.io.writers.mask import MaskWriter, voxel_to_ras, write_nifti, write_png


def test_one_frame_becomes_a_palette_png(tmp_path):
    outcome = make_outcome(rows=60, cols=90, findings=3)
    writer = MaskWriter()
    assert isinstance(writer, Writer)
    assert writer.write(outcome, tmp_path) == [tmp_path / "mask.png"]
    assert writer.files(1) == ("mask.png",)
    with Image.open(tmp_path / "mask.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), outcome.case.mask[0])
        seen = np.array(picture.convert("RGB"))
    assert seen[outcome.case.mask[0] == 0].max() == 0
    for number in (1, 2, 3):
        assert (seen[outcome.case.mask[0] == number] == FINDINGS[number - 1]).all()


def test_the_colours_differ_in_lightness_from_black_and_from_each_other():
    assert len(set(FINDINGS)) == len(FINDINGS)
    assert all(0.2126 * r + 0.7152 * g + 0.0722 * b > 80 for r, g, b in FINDINGS)


@pytest.mark.parametrize(("top", "mode"), [(0, "P"), (1, "P"), (255, "P"), (256, "I;16"), (65535, "I;16")])
def test_every_number_survives(tmp_path, top, mode):
    mask = np.array([[0, 1, top], [top, 0, top // 2]], np.int32)
    mask = np.minimum(mask, top)
    write_png(mask, tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.mode == mode
        np.testing.assert_array_equal(np.array(picture), mask)


def test_more_findings_than_a_png_can_hold(tmp_path):
    with pytest.raises(OutputError, match="65536 findings"):
        write_png(np.full((2, 2), 65536, np.int32), tmp_path / "m.png")


def load(path):
    image = nibabel.load(path)
    return image, np.asarray(image.dataobj)


def test_a_series_lies_where_the_scan_lies(tmp_path):
    outcome = make_outcome(frames=7, rows=40, cols=60, spacing=(0.5, 0.8), slice_spacing=2.5)
    assert MaskWriter().files(7) == ("mask.nii.gz",)
    assert MaskWriter().write(outcome, tmp_path) == [tmp_path / "mask.nii.gz"]
    image, voxels = load(tmp_path / "mask.nii.gz")
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels, outcome.case.mask.transpose(2, 1, 0))
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    np.testing.assert_allclose(image.header.get_qform(), image.affine, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.header.get_zooms(), (0.8, 0.5, 2.5), rtol=1e-6)
    for frame, row, col in itertools.product((0, 6), (0, 39), (0, 59)):
        left, back, up = outcome.case.scan.geometry.to_patient(frame, row, col)
        np.testing.assert_allclose(image.affine @ [col, row, frame, 1], [-left, -back, up, 1], atol=1e-4)


def oblique(angle, shear=0.0, frames=3):
    c, s = np.cos(angle), np.sin(angle)
    orientation = np.array([c, s, 0, -s, c, 0])
    step = np.array([0, shear, 4.0])
    return Geometry((0.6, 0.9), 4.0, np.array([5.0, -7, 11]) + np.arange(frames)[:, None] * step, orientation)


@given(st.floats(-3, 3), st.floats(-2, 2), st.integers(0, 2), st.integers(0, 50), st.integers(0, 50))
def test_the_affine_agrees_with_the_standard_for_any_orientation(angle, shear, frame, row, col):
    geometry = oblique(angle, shear)
    left, back, up = geometry.to_patient(frame, row, col)
    np.testing.assert_allclose(voxel_to_ras(geometry) @ [col, row, frame, 1], [-left, -back, up, 1], atol=1e-9)


@pytest.mark.parametrize("shear", [0.0, 1.5])
def test_a_tilted_gantry_is_in_the_sform_and_the_nearest_qform_beside_it(tmp_path, shear):
    """ITK opens no file with a sheared sform alone; dcm2niix writes both, too."""
    write_nifti(np.zeros((3, 4, 5), np.int32), oblique(0.3, shear), tmp_path / "m.nii.gz")
    image, _ = load(tmp_path / "m.nii.gz")
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    turned = image.header.get_qform()[:3, :3]
    axes = turned / np.linalg.norm(turned, axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(image.affine, voxel_to_ras(oblique(0.3, shear)), atol=1e-5)


def test_the_slices_may_run_downwards(tmp_path):
    geometry = oblique(0.0)
    down = Geometry(geometry.spacing, 4.0, geometry.positions[::-1].copy(), geometry.orientation)
    write_nifti(np.zeros((3, 4, 5), np.int32), down, tmp_path / "m.nii.gz")
    image, _ = load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(image.affine @ [0, 0, 2, 1], [-5, 7, 11, 1], atol=1e-5)
    np.testing.assert_allclose(image.header.get_qform(), image.affine, atol=1e-4)


STACKED = Geometry((0.6, 0.9), None, np.zeros((3, 3)), np.array([1.0, 0, 0, 0, 1, 0]))


@pytest.mark.parametrize(
    ("geometry", "zooms", "unit"),
    [
        (Geometry(reasons={"spacing": "absent"}), (1, 1, 1), "unknown"),
        (Geometry((0.6, 0.9), 3.0), (0.9, 0.6, 3.0), "mm"),
        (STACKED, (0.9, 0.6, 1), "mm"),
    ],
)
def test_an_unknown_place_is_said_and_claimed_nowhere(tmp_path, geometry, zooms, unit):
    mask = np.arange(60, dtype=np.int32).reshape(3, 4, 5)
    write_nifti(mask, geometry, tmp_path / "m.nii.gz")
    image, voxels = load(tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(voxels, mask.transpose(2, 1, 0))
    assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
    assert b"place in the patient unknown" in bytes(image.header["descrip"])
    assert image.header.get_xyzt_units()[0] == unit
    np.testing.assert_allclose(image.header.get_zooms(), zooms, rtol=1e-6)


def test_uneven_slices_are_said(tmp_path):
    even = oblique(0.0)
    uneven = Geometry(even.spacing, None, even.positions * np.array([[1], [1], [1.5]]), even.orientation)
    write_nifti(np.zeros((3, 4, 5), np.int32), uneven, tmp_path / "m.nii.gz")
    assert b"unevenly spaced" in bytes(load(tmp_path / "m.nii.gz")[0].header["descrip"])
    write_nifti(np.zeros((3, 4, 5), np.int32), even, tmp_path / "m.nii.gz")
    assert bytes(load(tmp_path / "m.nii.gz")[0].header["descrip"]).rstrip(b"\0") == b"medvis: finding numbers"


def test_many_findings_need_more_bits(tmp_path):
    mask = np.array([[[0, 40_000]]] * 2, np.int32)
    write_nifti(mask, Geometry(), tmp_path / "m.nii.gz")
    voxels = load(tmp_path / "m.nii.gz")[1]
    assert voxels.dtype == np.int32
    assert voxels.max() == 40_000


@pytest.mark.parametrize("frames", [1, 4])
def test_equal_masks_give_equal_files(tmp_path, frames):
    outcome = make_outcome(frames=frames, rows=30, cols=30)
    texts = [MaskWriter().write(outcome, tmp_path)[0].read_bytes() for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_task_that_outlines_nothing_has_no_mask():
    outcome = make_outcome()
    told = replace(outcome.case, mask=None, classes=(Reading(name="slag", probability=1.0),))
    assert MaskWriter().applies(outcome)
    assert MaskWriter().applies(replace(outcome, case=replace(outcome.case, mask=None))), "and write says what to run"
    assert not MaskWriter().applies(replace(outcome, case=told))


def test_without_a_segmentation_there_is_no_mask(tmp_path):
    outcome = make_outcome()
    bare = Outcome(outcome.case.derive(outcome.case.scan.trail[0], mask=None), outcome.report, outcome.display)
    with pytest.raises(StageError, match="run 'segment' before it"):
        MaskWriter().write(bare, tmp_path)

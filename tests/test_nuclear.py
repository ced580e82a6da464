"""NM: the first frame's place lies in the detector's item, and Spacing Between Slices has a sign (PS3.3 C.8.4.15)."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.dataset import Dataset

from medvis.io.open import open_scan

FIRST = (-100.0, -90.0, 50.0)


def nm(kind="RECON TOMO", frames=4, place=True, **tags):
    """Slices whose values are 100 times their number in the file."""
    stored = np.repeat(100 * np.arange(frames, dtype=np.uint16), 9).reshape(frames, 3, 3)
    more = {"SliceVector": list(range(1, frames + 1)), "SpacingBetweenSlices": 4.5, "PixelSpacing": [4, 3], **tags}
    image_type = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    ds = maker.image(stored, "NM", SOPClassUID="1.2.840.10008.5.1.4.1.1.20", ImageType=image_type, **more)
    detector = Dataset()
    if place:
        detector.ImagePositionPatient, detector.ImageOrientationPatient = list(FIRST), list(maker.AXIAL)
    ds.DetectorInformationSequence = [detector]
    return ds


def read(ds, folder):
    return open_scan(maker.save(ds, folder / "nm.dcm"))


@pytest.mark.parametrize(("step", "last"), [(4.5, 63.5), (-4.5, 36.5)])
def test_slices_lie_along_the_normal_or_against_it(tmp_path, step, last):
    """The first slice is at z = 50; three steps on, the last one is behind it, or before it where the sign is minus."""
    scan = read(nm(SpacingBetweenSlices=step), tmp_path)
    assert scan.geometry.slice_spacing == pytest.approx(4.5)
    heights = {int(values.max()): z for values, z in zip(scan.pixels, scan.geometry.positions[:, 2], strict=True)}
    assert heights[0] == 50 and heights[300] == pytest.approx(last)
    assert sorted(heights.values()) == pytest.approx(scan.geometry.positions[:, 2])
    assert scan.geometry.positions[:, :2].tolist() == [list(FIRST[:2])] * 4


def test_the_slice_vector_says_which_slice_a_frame_is(tmp_path):
    scan = read(nm(SliceVector=[4, 3, 2, 1]), tmp_path)
    assert scan.pixels[:, 0, 0, 0].tolist() == [300, 200, 100, 0]
    assert scan.geometry.positions[:, 2] == pytest.approx([36.5, 41, 45.5, 50])


@pytest.mark.parametrize("kind", ["TOMO", "DYNAMIC", "GATED", "STATIC", "WHOLE BODY", "GATED TOMO"])
def test_views_are_no_slices(tmp_path, kind):
    """A projection for each angle, a picture for each time: a step in mm between them means nothing."""
    scan = read(nm(kind), tmp_path)
    assert scan.geometry.slice_spacing is None and scan.geometry.positions is None
    assert scan.geometry.reasons["slice_spacing"] == f"frames of Image Type {kind} are no slices"


@pytest.mark.parametrize(("place", "words"), [(True, "share one position"), (False, "show one slice")])
def test_phases_of_the_heart_are_no_stack(tmp_path, place, words):
    scan = read(nm("RECON GATED TOMO", place=place, SliceVector=[1, 2, 1, 2]), tmp_path)
    assert scan.geometry.slice_spacing is None
    assert words in scan.geometry.reasons["slice_spacing"]


def test_the_step_is_a_distance_also_where_nothing_says_the_place(tmp_path):
    scan = read(nm(place=False, SpacingBetweenSlices=-4.5), tmp_path)
    assert scan.geometry.slice_spacing == 4.5 and scan.geometry.positions is None

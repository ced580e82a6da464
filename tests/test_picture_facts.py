"""What a user says of a picture: the CT window that it was saved in, which gives its HU back, and the pixels in mm."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from tiny_chest import chest, scan_of

import medvis
from medvis.builtin_tasks import configs_folder
from medvis.cli.options import with_picture
from medvis.core.geometry import Geometry
from medvis.errors import InputError, SettingsError, UsageError
from medvis.learn.data.views import ViewReader, read_hounsfield
from medvis.ops.window import voi_linear_exact
from medvis.pipeline import Pipeline, load
from medvis.preprocess.picture import with_facts
from medvis.settings import PictureFacts, load_task

SAMPLE = Path(__file__).parent.parent / "sample_data"
LUNG = PictureFacts(window=(-600, 1500))


def grey(frames, bits=8, **changes):
    return scan_of(np.asarray(frames, np.float32), unit="grey", bits=bits, modality=None, **changes)


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_the_window_is_turned_round(bits, dtype):
    """Against the forward transformation of PS3.3 C.11.2.1.3.2, which test_window.py holds to the standard's text."""
    hu = np.linspace(-1349, 149, 32 * 32, dtype=np.float32).reshape(1, 32, 32)
    saved = np.rint(voi_linear_exact(hu, -600, 1500) * (2**bits - 1)).astype(dtype)
    scan = with_facts(grey(saved, bits), LUNG)
    assert scan.unit == "HU"
    np.testing.assert_allclose(scan.pixels[..., 0], hu, atol=0.51 * 1500 / (2**bits - 1) + 1e-3)
    assert scan.trail[-1].settings == {"window": [-600.0, 1500.0], "given_by": "user"}


def test_the_ends_of_the_range_are_the_ends_of_the_window():
    values = np.zeros((1, 32, 32))
    values[0, 0, 0] = 255
    pixels = with_facts(grey(values), LUNG).pixels
    assert (pixels.min(), pixels.max()) == (-1350, 150)
    inverted = with_facts(grey(values, inverted=True), LUNG)
    assert inverted.pixels[0, 0, 0, 0] == -1350 and not inverted.inverted


def test_the_size_of_a_pixel_is_taken_as_given():
    scan = grey(np.eye(32)[None], geometry=Geometry(reasons={"spacing": "print", "positions": "none"}))
    for given, spacing in ((0.7, (0.7, 0.7)), ((0.7, 0.8), (0.7, 0.8))):
        known = with_facts(scan, PictureFacts(mm_per_pixel=given))
        assert known.geometry.spacing == spacing and known.unit == "grey"
        assert known.geometry.reasons == {"positions": "none"}
        assert known.trail[-1].name == "picture" and known.trail[-1].settings["given_by"] == "user"


def test_what_is_no_picture_is_left_alone_and_that_is_said():
    scan = chest()
    same = with_facts(scan, PictureFacts(window=(0, 100), mm_per_pixel=3))
    assert same.pixels is scan.pixels and same.geometry is scan.geometry and "not used" in same.notes[-1]
    assert with_facts(scan, PictureFacts()) is scan


@pytest.mark.parametrize("frames", [np.full((1, 32, 32), -1), np.full((1, 32, 32), 256), np.full((1, 32, 32), 0.5)])
def test_values_that_no_window_was_applied_to_are_refused(frames):
    bits = 32 if frames.dtype.kind == "f" else 8
    with pytest.raises(InputError, match="--picture-window is given; wanted: a grey picture of unsigned"):
        with_facts(grey(frames, bits), LUNG)


def test_the_picture_of_a_slice_says_what_the_slice_says():
    """The nodule of the sample: not seen on the estimated scale, and as in the DICOM file with the window given."""
    facts = {"picture.window": [-600, 1500], "picture.mm_per_pixel": 0.5703125}
    given = medvis.diagnose(SAMPLE / "lung1_slice.png", "lung-nodule", facts)
    dicom = medvis.diagnose(SAMPLE / "lung1" / "0007.dcm", "lung-nodule")
    assert (given.verdict.decision, given.scan.unit) == ("positive", "HU")
    assert given.findings[0].probability == pytest.approx(dicom.findings[0].probability, abs=0.03)
    for name in ("longest_diameter_mm", "area_mm2"):
        assert getattr(given.findings[0], name) == pytest.approx(getattr(dicom.findings[0], name), rel=0.05)
    assert given.findings[0].intensity.mean == pytest.approx(dicom.findings[0].intensity.mean, abs=15)
    assert given.provenance.config_sha256 != dicom.provenance.config_sha256
    assert given.provenance.trail[1]["settings"] == {
        "window": [-600.0, 1500.0], "mm_per_pixel": 0.5703125, "given_by": "user",
    }  # fmt: skip


def test_without_its_window_the_picture_is_referred_and_no_density_is_told():
    line = Pipeline("lung-nodule")
    scan = load(SAMPLE / "lung1_slice.png")
    outcome = line.outcome(scan)
    report = outcome.report
    assert report.verdict.decision == "refer" and "--picture-window CENTER,WIDTH" in report.verdict.reasons[0]
    assert report.scan.unit == "grey"
    assert all(finding.intensity.unit == "grey" for finding in report.findings)
    np.testing.assert_array_equal(outcome.case.scan.pixels, scan.pixels)
    assert outcome.display.center is None, "a window in HU is none for grey values"


def test_the_panel_shows_the_file_as_it_is(tmp_path, medvis):
    from medvis.io.picture.slices import Slices

    outcome = Pipeline("lung-nodule").outcome(load(SAMPLE / "lung1_slice.png"))
    slices = Slices(outcome.case, outcome.display)
    assert slices.as_stored and slices.window_words == ""
    shown = slices.window(0)
    assert (shown.center - shown.width / 2, shown.center + shown.width / 2) == (0, 255)


def test_the_settings_count_in_the_hash_and_only_where_they_are_made():
    plain = load_task("lung-nodule")
    body = yaml.safe_load((configs_folder() / "lung-nodule.yaml").read_text(encoding="utf-8"))
    assert "picture" not in body
    hashes = {
        load_task("lung-nodule", {"picture.window": window, "picture.mm_per_pixel": size}).sha256
        for window in (None, [-600, 1500], [-600, 1400])
        for size in (None, 0.7, [0.7, 0.8])
    }
    assert len(hashes) == 9 and plain.sha256 in hashes


@pytest.mark.parametrize(
    "wrong", [{"window": [0, 0]}, {"window": [0, -1]}, {"window": [1]}, {"mm_per_pixel": 0}, {"mm_per_pixel": [1, -1]}]
)
def test_what_can_be_no_window_and_no_size_is_refused(wrong):
    key, value = next(iter(wrong.items()))
    with pytest.raises(SettingsError, match=f"picture.{key}"):
        load_task("lung-nodule", {f"picture.{key}": value})


@pytest.mark.parametrize("text", ["", "40", "40,0", "40,-1", "1,2,3", "a,b", "nan,5", "40,inf"])
def test_a_wrong_option_is_one_line(text):
    with pytest.raises(UsageError, match="--picture-window"):
        with_picture({}, text, None)
    assert with_picture({}, "-600,1500", "0.7") == {"picture.window": [-600, 1500], "picture.mm_per_pixel": 0.7}
    with pytest.raises(UsageError, match="--mm-per-pixel"):
        with_picture({}, None, text if text != "40" else "-40")


def test_the_commands_take_them(medvis, tmp_path):
    options = ("--picture-window", "-600,1500", "--mm-per-pixel", "0.57,0.57")
    picture = SAMPLE / "lung1_slice.png"
    body = json.loads(medvis("diagnose", picture, "--task", "lung-nodule", "--json", *options).stdout)
    assert (body["scan"]["unit"], body["scan"]["spacing_mm"]) == ("HU", [0.57, 0.57])
    case = tmp_path / "windowed.case"
    medvis("window", picture, "--task", "lung-nodule", *options, "-o", case)
    assert load(case).unit == "HU"


def test_training_and_evaluation_see_the_same_units(tmp_path):
    path = tmp_path / "slice.png"
    cv2.imwrite(str(path), np.arange(64 * 64).reshape(64, 64).astype(np.uint8))
    hu = read_hounsfield(path, LUNG)
    assert (hu.min(), hu.max()) == (-1350, 150)
    reader = ViewReader(load_task("lung-nodule", {"picture.window": [-600, 1500]}))
    np.testing.assert_array_equal(reader.picture(path)[..., 0], reader.ct(hu, "slice"))

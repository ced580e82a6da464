"""Text in the pictures: found by its shape on a dark border, painted over on demand, and never passed unasked."""

import json

import cv2
import numpy as np
import pytest
from dicom_maker import compress, image, save
from pydicom import dcmread

pytest.importorskip("dicomanonymizer", reason="the extra deid is not installed")

from test_deidentify import SLICE, only, run

from medvis.ops.text_detection import text_boxes

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
NAME, AT = "DOE^JOHN 17.05.1963", (14, 28)
LOSSLESS = "1.2.840.10008.1.2.5"  # RLE


def speckle(shape=(240, 400)) -> np.ndarray:
    """Something like ultrasound, with a dark border of 40 rows above it; uint8."""
    noise = cv2.GaussianBlur(np.random.default_rng(5).normal(size=shape).astype(np.float32), (0, 0), 2.5)
    picture = np.clip(90 + 25 * noise / noise.std(), 0, 255).astype(np.uint8)
    picture[:40] = 4
    return picture


def lettered(picture, font=FONTS[0], scale=0.6, bright=255):
    """The picture with a name in its border, and where the letters are."""
    out = picture.copy()
    cv2.putText(out, NAME, AT, font, scale, bright, 1, cv2.LINE_AA)
    return out, out != picture


def covered(boxes, shape) -> np.ndarray:
    out = np.zeros(shape[:2], bool)
    for row0, col0, row1, col1 in boxes:
        out[row0:row1, col0:col1] = True
    return out


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("scale", [0.4, 0.6, 0.9])
@pytest.mark.parametrize("dark", [False, True])
def test_letters_on_a_border_are_found_whole_in_both_polarities(font, scale, dark):
    picture, letters = lettered(speckle(), font, scale)
    boxes = text_boxes(255 - picture if dark else picture)
    assert covered(boxes, picture.shape)[letters].all()
    assert covered(boxes, picture.shape)[60:].mean() < 0.02  # what is no border stays nearly untouched


def test_any_numbers_and_colours_will_do():
    picture, letters = lettered(speckle())
    deep = picture.astype(np.int16) * 9 - 1000
    for same in (deep, np.repeat(picture[..., None], 3, 2)):
        assert covered(text_boxes(same), picture.shape)[letters].all()


def test_nothing_and_smooth_shades_are_no_text():
    shade = np.add.outer(np.sin(np.arange(200) / 30), np.cos(np.arange(300) / 40))
    assert text_boxes(np.zeros((20, 20))) == text_boxes(shade) == []


def clip(**tags):
    """Two frames of ultrasound with the name in both, as a data set, and where the name is."""
    picture, letters = lettered(speckle())
    return image(np.stack([picture, picture]), "US", PatientID="1", PatientName="Doe^John", **tags), letters


@pytest.mark.parametrize("said", [None, "YES"])
def test_a_picture_that_may_show_a_name_is_not_passed_unasked(tmp_path, capfd, said):
    ds, _ = clip(BurnedInAnnotation=said)
    save(ds, tmp_path / "us.dcm")
    assert run("deidentify", tmp_path / "us.dcm", "-o", tmp_path / "out") == 3
    line = capfd.readouterr().err
    assert "may show the patient's name" in line and "--black-out-text" in line and line.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert run("deidentify", tmp_path / "us.dcm", "-o", tmp_path / "out", "--accept-burned-in") == 0
    assert "what looks like text is still there: rows" in capfd.readouterr().err
    assert dcmread(only(tmp_path / "out")).PixelData == ds.PixelData


def test_what_is_said_to_show_none_passes(tmp_path):
    ds, _ = clip(BurnedInAnnotation="NO")
    save(ds, tmp_path / "us.dcm")
    assert run("deidentify", tmp_path / "us.dcm", "-o", tmp_path / "out") == 0


@pytest.mark.parametrize("syntax", [None, LOSSLESS])
def test_text_is_painted_over_in_every_frame_and_nothing_else_is(tmp_path, capfd, syntax):
    ds, letters = clip(BurnedInAnnotation="YES")
    before = ds.pixel_array.copy()
    save(ds if syntax is None else compress(ds, syntax), tmp_path / "us.dcm")
    assert run("deidentify", tmp_path / "us.dcm", "-o", tmp_path / "out", "--black-out-text", "--json") == 0
    (told,) = json.loads(capfd.readouterr().out)["files"]
    assert told["blacked_out"] and set(told["text_regions"][0]) == {"row0", "col0", "row1", "col1"}
    new = dcmread(only(tmp_path / "out"))
    after, painted = new.pixel_array, covered([tuple(box.values()) for box in told["text_regions"]], letters.shape)
    assert after.shape == before.shape and painted[letters].all()
    assert not after[:, painted].any() and np.array_equal(after[:, ~painted], before[:, ~painted])
    assert new.BurnedInAnnotation == "YES"  # a search by shape proves nothing


def test_colour_and_monochrome1_are_painted_black_as_they_are_shown(tmp_path):
    picture, letters = lettered(speckle())
    colour = image(np.repeat(picture[..., None], 3, 2), "US", PhotometricInterpretation="RGB")
    turned = image(255 - picture, "DX", PhotometricInterpretation="MONOCHROME1")
    for name, ds, black in (("rgb", colour, 0), ("dx", turned, 255)):
        save(ds, tmp_path / f"{name}.dcm")
        assert run("deidentify", tmp_path / f"{name}.dcm", "-o", tmp_path / name, "--black-out-text", "--quiet") == 0
        assert (dcmread(only(tmp_path / name)).pixel_array[letters] == black).all()


def test_an_overlay_in_unused_bits_goes(tmp_path):
    ds = dcmread(SLICE)
    ds.decompress(generate_instance_uid=False)
    clean = ds.pixel_array.astype(np.uint16)
    hidden = clean.copy()
    hidden[100:120, 100:200] |= 0x8000
    ds.PixelData = hidden.tobytes()
    for element, vr, value in ((0x10, "US", 512), (0x11, "US", 512), (0x100, "US", 16), (0x102, "US", 15)):
        ds.add_new(0x60000000 | element, vr, value)
    ds.save_as(tmp_path / "a.dcm")
    assert run("deidentify", tmp_path / "a.dcm", "-o", tmp_path / "out") == 0
    new = dcmread(only(tmp_path / "out"))
    assert np.array_equal(np.frombuffer(new.PixelData, "<u2").reshape(clean.shape), clean)
    assert not any(element.tag.group == 0x6000 for element in new)

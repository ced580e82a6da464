"""Pictures that say in EXIF, or elsewhere, which side is up."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medvis.io.open import open_scan

PICTURE = np.random.default_rng(2).integers(0, 255, (6, 9), dtype=np.uint8)
XMP = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='r'><r:Description xmlns:tiff='t' {}/></r:RDF></x:xmpmeta>"
TURNED = XMP.format('tiff:Orientation="8"')
NOTE = "an orientation of 8, given in XMP or a text profile and not in EXIF, was not applied"


def exif(orientation):
    told = Image.Exif()
    told[274] = orientation
    return told


def png(path, told=None, texts=()):
    more = PngInfo()
    for name, words in texts:
        more.add_itxt(name, words)
    Image.fromarray(PICTURE).save(path, pnginfo=more, **({} if told is None else {"exif": exif(told)}))
    return open_scan(path)


def test_exif_of_a_png_is_followed_and_decides(tmp_path):
    scan = png(tmp_path / "a.png", told=6, texts=[("XML:com.adobe.xmp", TURNED)])
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], np.rot90(PICTURE, -1))
    assert scan.notes == ()


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, orientation):
    np.testing.assert_array_equal(png(tmp_path / "a.png", told=orientation).pixels[0, ..., 0], PICTURE)


@pytest.mark.parametrize(
    "text",
    [
        ("XML:com.adobe.xmp", TURNED),
        ("Raw profile type exif", f"\nexif\n {len(exif(8).tobytes())}\n{exif(8).tobytes().hex()}\n"),
    ],
)
def test_an_orientation_elsewhere_in_a_png_is_told(tmp_path, text):
    scan = png(tmp_path / "a.png", texts=[text])
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], PICTURE)
    assert scan.notes == (NOTE,)


@pytest.mark.parametrize("text", [XMP.format('tiff:Orientation="1"'), XMP.format(""), "tiff:Orientation <<< damaged"])
def test_one_that_is_upright_or_damaged_needs_no_note(tmp_path, text):
    assert png(tmp_path / "a.png", texts=[("XML:com.adobe.xmp", text)]).notes == ()


@pytest.mark.parametrize("first", ["xmp", "exif"])
def test_exif_of_a_jpeg_is_found_behind_xmp(tmp_path, first):
    """Both are APP1 segments, in any order."""
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(path, quality=100, exif=exif(6), xmp=TURNED.encode())
    data = path.read_bytes()
    parts = [data.index(mark) - 4 for mark in (b"Exif\x00", b"http://ns.adobe.com")]
    blocks = [data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")] for at in parts]
    rest = data.replace(blocks[0], b"").replace(blocks[1], b"")
    path.write_bytes(rest[:2] + b"".join(blocks[::-1] if first == "xmp" else blocks) + rest[2:])
    scan = open_scan(path)
    assert scan.pixels.shape[1:3] == (9, 6) and scan.notes == ()


def test_an_orientation_in_xmp_alone_of_a_jpeg_is_told(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE).save(path, quality=100, xmp=TURNED.encode())
    scan = open_scan(path)
    assert scan.pixels.shape[1:3] == (6, 9) and scan.notes == (NOTE,)

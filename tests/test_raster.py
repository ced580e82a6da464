"""PNG, JPEG, TIFF and BMP: depth, colour, alpha, orientation, damage; test_tiff.py has what only TIFF has."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from medvis.errors import InputError
from medvis.io.describe import describe
from medvis.io.magic import head_of
from medvis.io.open import open_scan
from medvis.io.readers.raster import RasterReader

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (7, 9), dtype=np.uint8)
DEEP = RNG.integers(0, 65535, (7, 9), dtype=np.uint16)
RGB = RNG.integers(0, 255, (7, 9, 3), dtype=np.uint8)


def save(path, pixels):
    """Writes grey, RGB or RGBA pixels."""
    order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[2 if pixels.ndim == 2 else pixels.shape[2]]
    assert cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., order])
    return path


def read(path):
    return RasterReader().read(path)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, rows, *extra):
    """A PNG by hand, for the kinds that OpenCV does not write. `rows` are the packed bytes of each row."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\x00" + row for row in rows))
    chunks = chunk(b"IHDR", head) + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def exif(orientation):
    """The TIFF structure that holds nothing but an orientation."""
    return b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "colour"])
def test_eight_bit(tmp_path, suffix, pixels):
    scan = read(save(tmp_path / f"image.{suffix}", pixels))
    np.testing.assert_array_equal(scan.pixels[0], pixels.reshape(7, 9, -1))
    assert (scan.bits, scan.unit, scan.modality, scan.valid) == (8, "grey", None, None)
    assert scan.notes == ()
    assert scan.source.format == {"tif": "tiff"}.get(suffix, suffix)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("pixels", [DEEP, np.dstack([DEEP, DEEP + 1, DEEP // 2])], ids=["grey", "colour"])
def test_sixteen_bit(tmp_path, suffix, pixels):
    scan = read(save(tmp_path / f"image.{suffix}", pixels))
    np.testing.assert_array_equal(scan.pixels[0], pixels.reshape(7, 9, -1))
    assert scan.bits == 16


def test_jpeg(tmp_path):
    smooth = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8) * 2
    scan = read(save(tmp_path / "image.jpg", smooth))
    np.testing.assert_allclose(scan.pixels[0, ..., 0], smooth, atol=4)
    colour = read(save(tmp_path / "colour.jpg", np.dstack([smooth, smooth // 2, 255 - smooth])))
    assert colour.channels == 3
    assert colour.pixels[0, 0, 0, 2] > 200


def test_spacing_is_unknown_with_a_reason(tmp_path):
    facts = describe(read(save(tmp_path / "image.png", GREY)))
    assert facts["spacing_mm"] is None
    assert "about print" in facts["unknown"]["spacing_mm"]
    assert facts["range"] == [GREY.min(), GREY.max()]


def test_alpha_is_left_out(tmp_path):
    for suffix, pixels in (("png", np.dstack([RGB, GREY])), ("tif", np.dstack([RGB, GREY * 0 + 255]))):
        scan = read(save(tmp_path / f"image.{suffix}", pixels))
        np.testing.assert_array_equal(scan.pixels[0], RGB)
        assert scan.notes == ("the alpha channel was left out",)


def test_grey_with_alpha_stays_grey(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png(2, 1, 8, 4, [bytes([10, 255, 200, 0])]))
    scan = read(path)
    assert scan.pixels.ravel().tolist() == [10, 200]
    assert scan.notes == ("the alpha channel was left out",)


def test_palette_is_expanded(tmp_path):
    palette = chunk(b"PLTE", bytes([255, 0, 0, 1, 2, 3]))
    path = tmp_path / "image.png"
    path.write_bytes(png(3, 1, 8, 3, [bytes([1, 0, 1])], palette))
    np.testing.assert_array_equal(read(path).pixels[0, 0], [[1, 2, 3], [255, 0, 0], [1, 2, 3]])
    path.write_bytes(png(3, 1, 8, 3, [bytes([1, 0, 1])], palette, chunk(b"tRNS", b"\x00")))
    assert read(path).notes == ("the alpha channel was left out",)


def test_one_bit(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(png(8, 1, 1, 0, [bytes([0b10010110])]))
    assert (read(path).pixels.ravel() / 255).tolist() == [1, 0, 0, 1, 0, 1, 1, 0]


TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(tmp_path, orientation):
    picture = np.zeros((16, 24), np.uint8)
    picture[:8, :8] = 250
    picture[8:, 16:] = 120
    path = save(tmp_path / "image.jpg", picture)
    segment = b"Exif\x00\x00" + exif(orientation)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    np.testing.assert_allclose(read(path).pixels[0, ..., 0], TURNED[orientation](picture), atol=6)


def test_float_tiff_with_nan(tmp_path):
    values = np.array([[0.5, np.nan], [-2, 1e5]], np.float32)
    scan = read(save(tmp_path / "image.tif", values))
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], [[0.5, 0], [-2, 1e5]])
    np.testing.assert_array_equal(scan.valid[0], np.isfinite(values))
    assert scan.bits == 32


def test_equal_channels_are_told(tmp_path):
    assert read(save(tmp_path / "a.png", np.dstack([GREY] * 3))).source.details["channels_equal"]
    assert not read(save(tmp_path / "b.png", RGB)).source.details["channels_equal"]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated(tmp_path, suffix, share, capfd):
    path = save(tmp_path / f"image.{suffix}", RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(path)
    assert capfd.readouterr() == ("", "")


def test_claims(tmp_path):
    image = save(tmp_path / "image.png", GREY)
    assert RasterReader().format_of(head_of(image), image) == "png"
    text = tmp_path / "text.png"
    text.write_text("no image")
    assert RasterReader().format_of(head_of(text), text) is None
    assert RasterReader().format_of(b"BMW is no bitmap", text) is None
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.png")


def wide(*values):
    """Samples of 16 bits, as PNG has them."""
    return b"".join(struct.pack(">H", value) for value in values)


@pytest.mark.parametrize(
    ("colour", "row", "extra", "expected"),
    [
        (4, wide(1000, 65535, 50000, 7), (), [[1000], [50000]]),
        (6, wide(1000, 2000, 3000, 5, 50000, 1, 2, 3), (), [[1000, 2000, 3000], [50000, 1, 2]]),
        (2, wide(1000, 2000, 3000, 50000, 1, 2), (chunk(b"tRNS", wide(1000, 2000, 3000)),), None),
        (0, wide(5000, 9000), (chunk(b"tRNS", wide(5000)),), [[5000], [9000]]),
    ],
    ids=["grey with alpha", "RGBA", "a transparent colour", "a transparent grey"],
)
def test_sixteen_bit_png_with_transparency(tmp_path, colour, row, extra, expected):
    path = tmp_path / "image.png"
    path.write_bytes(png(2, 1, 16, colour, [row], *extra))
    scan = read(path)
    assert scan.pixels[0, 0].tolist() == (expected or [[1000, 2000, 3000], [50000, 1, 2]])
    assert scan.notes == ("the alpha channel was left out",)


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_of_a_png(tmp_path, orientation):
    path = tmp_path / "image.png"
    path.write_bytes(png(3, 2, 8, 0, [bytes([1, 2, 3]), bytes([4, 5, 6])], chunk(b"eXIf", exif(orientation))))
    expected = TURNED[orientation](np.array([[1, 2, 3], [4, 5, 6]]))
    np.testing.assert_array_equal(read(path).pixels[0, ..., 0], expected)


def test_an_animation_is_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(255 - GREY)])
    with pytest.raises(InputError, match="PNG animation of 2 frames; wanted: one picture"):
        read(path)


def test_colours_of_print_are_refused(tmp_path):
    path = tmp_path / "image.jpg"
    Image.fromarray(np.dstack([RGB, GREY]), "CMYK").save(path)
    with pytest.raises(InputError, match=r"JPEG of 4 channels \(CMYK\) is not read; wanted: grey or RGB"):
        read(path)


def test_a_complaint_about_what_is_no_pixel_is_no_damage(tmp_path):
    """Many editors write an sRGB profile that libpng warns of."""
    path = tmp_path / "image.png"
    path.write_bytes(png(2, 1, 8, 0, [bytes([5, 9])], chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))))
    assert read(path).pixels.ravel().tolist() == [5, 9]


@pytest.mark.parametrize("damage", ["crc", "idat"])
def test_a_damaged_chunk_of_a_png(tmp_path, damage):
    path = save(tmp_path / "image.png", RNG.integers(0, 255, (64, 64), dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[data.find(b"IDAT") + (300 if damage == "idat" else -4)] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere(tmp_path, progressive):
    whole = tmp_path / "whole.jpg"
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    Image.fromarray(smooth).save(whole, quality=90, progressive=progressive)
    data, path = whole.read_bytes(), tmp_path / "cut.jpg"
    for length in range(20, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match="truncated or corrupt"):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_size_that_the_file_is_too_short_for_costs_no_memory(tmp_path, suffix):
    """A decoder would take gigabytes for the size that the head says before it finds that the pixels are not there."""
    data = bytearray(save(tmp_path / f"image.{suffix}", RNG.integers(0, 255, (64, 64), dtype=np.uint8)).read_bytes())
    if suffix == "png":
        data[16:24] = struct.pack(">II", 30000, 30000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    elif suffix == "jpg":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", 30000, 30000)
    else:
        data[18:26] = struct.pack("<ii", 30000, 30000)
    path = tmp_path / f"large.{suffix}"
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or corrupt"):
        read(path)


def test_the_alpha_of_a_bmp_is_told_where_there_is_one(tmp_path):
    head = struct.pack("<IiiHHIIiiII", 56, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    start = 14 + len(head) + len(masks)
    path = tmp_path / "image.bmp"
    path.write_bytes(b"BM" + struct.pack("<III", start + 8, 0, start) + head + masks + bytes([1, 2, 3, 9, 4, 5, 6, 9]))
    scan = read(path)
    assert scan.pixels[0, 0].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert scan.notes == ("the alpha channel was left out",)


def test_further_pictures_of_a_jpeg_are_told(tmp_path):
    """CIPA DC-007: phones and stereo cameras keep several pictures in one file."""
    path = tmp_path / "image.jpg"
    Image.fromarray(GREY).save(path, "MPO", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    scan = read(path)
    assert scan.frames == 1 and "further pictures of the file" in scan.notes[0]


@pytest.mark.parametrize(("kind", "words"), [("GIF", "a GIF image"), ("WEBP", "a RIFF file (a WebP image")])
def test_what_is_not_read_has_a_name(tmp_path, kind, words):
    path = tmp_path / "image"
    Image.fromarray(GREY).save(path, kind)
    with pytest.raises(InputError) as caught:
        open_scan(path)
    assert words in caught.value.found

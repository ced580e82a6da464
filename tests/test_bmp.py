"""BMP of every header: colours in bit fields, palettes of OS/2, and pixels that begin where the palette is."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from medvis.errors import InputError
from medvis.io.open import open_scan

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
COLOURS = np.array([[RED, GREEN], [BLUE, WHITE], [WHITE, (0, 0, 0)]], np.uint8)  # the topmost row first
X888 = (0xFF0000, 0xFF00, 0xFF)


def bmp(pixels, bits, masks=(), size=40, compression=3, top_down=False):
    """A file of [rows, cols] numbers, with masks behind the first 40 bytes of the header."""
    rows, cols = pixels.shape
    padded = np.pad(pixels, ((0, 0), (0, -cols * bits // 8 % 4 * 8 // bits)))
    body = (padded if top_down else padded[::-1]).astype(f"<u{bits // 8}").tobytes()
    head = struct.pack("<IiiHHIIiiII", size, cols, -rows if top_down else rows, 1, bits, compression, 0, 0, 0, 0, 0)
    head = (head + b"".join(struct.pack("<I", mask) for mask in masks)).ljust(size, b"\x00")
    start = 14 + len(head)
    return b"BM" + struct.pack("<III", start + len(body), 0, start) + head + body


def packed(colours, masks):
    """Each full channel sets all bits of its mask."""
    return sum((colours[..., index] == 255) * np.uint32(mask) for index, mask in enumerate(masks))


def read(path, data):
    path.write_bytes(data)
    return open_scan(path)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, X888),
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (32, (0xFF000000, 0xFF0, 0xFF0000)),
        (32, (0xFFE00000, 0x1FFC00, 0x3FF)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0xC000, 0x3800, 0x400)),
    ],
)
def test_bit_fields_of_any_place_and_width(tmp_path, bits, masks, size, top_down):
    """All bits of a mask are full colour: 255, not the 248 of five bits that are only shifted."""
    data = bmp(packed(COLOURS, masks), bits, masks, size, top_down=top_down)
    scan = read(tmp_path / "a.bmp", data)
    np.testing.assert_array_equal(scan.pixels[0], COLOURS)


@pytest.mark.parametrize(("masks", "compression"), [((0x7C00, 0x3E0, 0x1F), 0), ((0xF800, 0x7E0, 0x1F), 3)])
def test_sixteen_bits_against_pillow(tmp_path, masks, compression):
    pixels = np.random.default_rng(3).integers(0, 65536, (5, 7), dtype=np.uint16)
    data = bmp(pixels, 16, masks if compression else (), compression=compression)
    scan = read(tmp_path / "a.bmp", data)
    wanted = np.asarray(Image.open(tmp_path / "a.bmp").convert("RGB")).astype(int)
    assert np.abs(scan.pixels[0] - wanted).max() <= 1  # Pillow cuts, where 255/31 is rounded here


@pytest.mark.parametrize("bits", [16, 32])
def test_alpha_is_told_where_a_mask_for_it_is_given(tmp_path, bits):
    masks = (0xF00, 0xF0, 0xF)
    pixels = packed(COLOURS, masks)
    assert read(tmp_path / "a.bmp", bmp(pixels, bits, (*masks, 0xF000), 56)).notes == (
        "the alpha channel was left out",
    )
    assert read(tmp_path / "b.bmp", bmp(pixels, bits, (*masks, 0), 56)).notes == ()


def os2(palette, indices):
    rows, cols = indices.shape
    colours = b"".join(bytes(colour[::-1]) for colour in palette)
    body = np.pad(indices, ((0, 0), (0, -cols % 4)))[::-1].astype(np.uint8).tobytes()
    start = 26 + len(colours)
    head = struct.pack("<IHHHH", 12, cols, rows, 1, 8)
    return b"BM" + struct.pack("<III", start + len(body), 0, start) + head + colours + body


@pytest.mark.parametrize("count", [256, 252])
def test_a_palette_of_os2_has_colours(tmp_path, count):
    palette = np.random.default_rng(4).integers(0, 256, (count, 3), dtype=np.uint8)
    indices = np.arange(33 * 33).reshape(33, 33) % count
    scan = read(tmp_path / "a.bmp", os2(palette.tolist(), indices))
    np.testing.assert_array_equal(scan.pixels[0], palette[indices])


def test_a_grey_palette_of_os2_is_grey(tmp_path):
    indices = np.arange(33 * 33).reshape(33, 33) % 256
    scan = read(tmp_path / "a.bmp", os2([(255 - grey,) * 3 for grey in range(256)], indices))
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], 255 - indices)
    assert scan.channels == 1


def test_pixels_inside_the_palette_are_damage(tmp_path):
    path = tmp_path / "a.bmp"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[10:14] = struct.pack("<I", 54)
    with pytest.raises(InputError, match="pixels begin inside its palette"):
        read(path, bytes(data))


@pytest.mark.parametrize("masks", [(0, 0xFF00, 0xFF), (0xFF00FF, 0xFF00, 0xFF)])
def test_masks_that_are_none_are_refused(tmp_path, masks):
    with pytest.raises(InputError, match="has the bit mask"):
        read(tmp_path / "a.bmp", bmp(np.zeros((2, 2), np.uint32), 32, masks, 52))


def test_a_file_that_is_cut_off(tmp_path):
    data = bmp(packed(COLOURS, X888), 32, X888, 52)
    for length in range(60, len(data), 5):
        with pytest.raises(InputError, match="truncated or corrupt"):
            read(tmp_path / "a.bmp", data[:length])

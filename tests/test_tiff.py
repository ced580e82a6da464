"""TIFF by its tags: layouts, compressions, pages and damage, against tifffile's own reading of the same files."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from medvis.errors import InputError
from medvis.io.inputs import volumes
from medvis.io.readers.raster import RasterReader
from medvis.pipeline import Pipeline, load

ROWS, COLS = 48, 64
G8 = (np.add.outer(np.arange(ROWS) * 3, np.arange(COLS)) % 256).astype(np.uint8)
G16 = G8.astype(np.uint16) * 257
RGB8 = np.dstack([G8, np.roll(G8, 5, 1), 255 - G8])
RGB16 = RGB8.astype(np.uint16) * 257
FLOAT = (G8.astype(np.float32) - 100) / 7
THREE = "the picture's 3 channels, whose meaning is no colour, were taken as red, green and blue"
ALPHA = "the alpha channel was left out"


@pytest.fixture
def tiff(tmp_path):
    """Writes a TIFF with tifffile; gives its path."""

    def write(pixels, **options):
        path = tmp_path / "image.tif"
        tifffile.imwrite(path, pixels, **{"metadata": None, **options})
        return path

    return write


def read(path):
    return RasterReader().read(path)


def planes(pixels):
    return np.moveaxis(pixels, -1, 0).copy()


LAYOUTS = {
    "planar 16 bit": (planes(RGB16), {"photometric": "rgb", "planarconfig": "separate"}, RGB16, ()),
    "grey with alpha": (
        np.dstack([G16, G16 * 0 + 9]), {"photometric": "minisblack", "extrasamples": ["unassalpha"]}, G16, (ALPHA,)
    ),
    "WhiteIsZero, 16 bit": (G16, {"photometric": "miniswhite"}, 65535 - G16, ()),
    "WhiteIsZero, 8 bit": (G8, {"photometric": "miniswhite"}, 255 - G8, ()),
    "WhiteIsZero, 12 bit": (G16 >> 4, {"photometric": "miniswhite", "bitspersample": 12}, 4095 - (G16 >> 4), ()),
    "unassociated alpha": (
        np.dstack([RGB8, G8 * 0 + 64]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, RGB8, (ALPHA,)
    ),
    "associated alpha": (
        np.dstack([RGB8, G8 * 0 + 64]), {"photometric": "rgb", "extrasamples": ["assocalpha"]}, RGB8,
        (f"{ALPHA}; the colours are multiplied by it",),
    ),
    "five samples": (
        np.dstack([RGB8, G8, G8]), {"photometric": "rgb", "extrasamples": ["unspecified"] * 2}, RGB8,
        ("2 samples a pixel beside the colours were left out",),
    ),
    "three samples": (
        np.dstack([G16, G16 // 2, G16 // 3]),
        {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unspecified"] * 2},
        np.dstack([G16, G16 // 2, G16 // 3]), (THREE,),
    ),
    "packed 12 bit": (G16 >> 4, {"bitspersample": 12}, G16 >> 4, ()),
    "signed": (G16.astype(np.int32).astype(np.int16), {}, G16.astype(np.int32).astype(np.int16), ()),
    "float16": (FLOAT.astype(np.float16), {}, FLOAT.astype(np.float16), ()),
    "float64": (FLOAT.astype(np.float64), {}, FLOAT, ()),
    "tiles, big-endian": (RGB16, {"photometric": "rgb", "tile": (16, 32), "byteorder": ">"}, RGB16, ()),
    "BigTIFF": (RGB16, {"photometric": "rgb", "byteorder": ">", "bigtiff": True}, RGB16, ()),
    "tiles, planar": (planes(RGB8), {"photometric": "rgb", "planarconfig": "separate", "tile": (32, 32)}, RGB8, ()),
    "bilevel": (G8 > 99, {"photometric": "minisblack"}, G8 > 99, ()),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tiff, layout):
    pixels, options, expected, notes = LAYOUTS[layout]
    scan = read(tiff(pixels, **options))
    np.testing.assert_array_equal(scan.pixels[0], expected.astype(np.float32).reshape(ROWS, COLS, -1))
    assert scan.notes == notes
    assert scan.bits == (1 if pixels.dtype == bool else options.get("bitspersample", 8 * pixels.dtype.itemsize))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "lzma"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("pixels", [G8, RGB16, FLOAT, FLOAT.astype(np.float16)], ids=["u1", "u2 RGB", "f4", "f2"])
def test_compressions_and_predictors(tiff, compression, byteorder, pixels):
    for predictor in (False, True) if compression != "packbits" else (False,):
        for shape in ({"rowsperstrip": 20}, {"tile": (32, 32)}):
            options = {"compression": compression, "predictor": predictor, "byteorder": byteorder, **shape}
            path = tiff(pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options)
            expected = tifffile.imread(path)
            np.testing.assert_array_equal(expected, pixels)
            np.testing.assert_array_equal(read(path).pixels[0], expected.astype(np.float32).reshape(ROWS, COLS, -1))


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_in_tiff_keeps_its_colours(tiff, photometric, subsampling):
    smooth = np.dstack([np.add.outer(np.arange(ROWS), np.arange(COLS) * k) for k in (1, 2, 3)]).astype(np.uint8)
    pixels = smooth[..., 0] if photometric == "minisblack" else smooth
    options = {"subsampling": subsampling} if photometric == "ycbcr" else {}
    path = tiff(pixels, photometric=photometric, compression="jpeg", rowsperstrip=16, **options)
    expected = tifffile.imread(path).astype(np.float32).reshape(ROWS, COLS, -1)
    np.testing.assert_allclose(read(path).pixels[0], expected, atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tiff, orientation):
    """TIFF 6.0: the 0th row is the visual (top, bottom, …), the 0th column the visual (left, right, …)."""
    turned = {
        1: G8, 2: np.fliplr(G8), 3: np.rot90(G8, 2), 4: np.flipud(G8),
        5: G8.T, 6: np.rot90(G8, -1), 7: np.rot90(G8, 2).T, 8: np.rot90(G8),
    }  # fmt: skip
    path = tiff(G8, extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(read(path).pixels[0, ..., 0], turned[orientation])


def test_a_palette_is_its_colours(tiff):
    table = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    path = tiff(G8, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read(path).pixels[0], np.moveaxis(table[:, G8] >> 8, 0, -1))


def test_white_is_zero_without_a_highest_value(tiff):
    scan = read(tiff(FLOAT, photometric="miniswhite"))
    assert scan.inverted
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], FLOAT)


def test_fill_order(tmp_path):
    """The lowest bit of a byte comes first: bits 10010110 are read as 01101001."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.array([[1, 0, 0, 1, 0, 1, 1, 0]], bool), photometric="minisblack", metadata=None)
    data = bytearray(stream.getvalue())
    tag = struct.pack("<HHI", 254, 4, 1)  # NewSubfileType, which tifffile may leave out, stays as it is
    assert data.count(tag) <= 1
    path = tmp_path / "image.tif"
    path.write_bytes(with_tag(bytes(data), 266, 2))
    assert read(path).pixels.ravel().tolist() == [0, 1, 1, 0, 1, 0, 0, 1]


def with_tag(data, code, value):
    """A little-endian TIFF of one directory with one more SHORT; the directory moves to the end."""
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    entries = [data[offset + 2 + 12 * index : offset + 14 + 12 * index] for index in range(count)]
    entries = [entry for entry in entries if struct.unpack_from("<H", entry)[0] != code]
    entries.append(struct.pack("<HHIHH", code, 3, 1, value, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    return (
        data[:4] + struct.pack("<I", len(data)) + data[8:]
        + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    )  # fmt: skip


def test_no_data_is_padding(tiff):
    """GDAL's tag: -9999 must not squeeze the picture into the top of the range."""
    values = np.where(G8 < 30, np.float32(-9999), G8)
    scan = read(tiff(values, extratags=[(42113, "s", 0, "-9999", True)]))
    np.testing.assert_array_equal(scan.valid[0], G8 >= 30)
    assert "no-data value -9999" in scan.notes[0]
    view = Pipeline("steel").run(Pipeline("steel").accept(scan), last="window")[0].view
    assert float(np.asarray(view[0])[G8 == 30].max()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("text", "masked"), [("-9999", False), ("nan", False), ("nonsense", False), ("0", True)])
def test_no_data_that_no_pixel_can_have(tiff, text, masked):
    scan = read(tiff(G8, extratags=[(42113, "s", 0, text, True)]))
    assert (scan.valid is not None) == masked


UNREAD = {
    "compression ZSTD": ({"compression": "zstd"}, G8),
    "compression LERC": ({"compression": "lerc"}, G8),
    "compression JPEG2000": ({"compression": "jpeg2000"}, G8),
    "photometric interpretation SEPARATED": ({"photometric": "separated"}, np.dstack([RGB8, G8])),
    "photometric interpretation CIELAB": ({"photometric": "cielab"}, RGB8),
    "photometric interpretation CFA": ({"photometric": "cfa"}, G8),
    "samples that are complex numbers": ({}, FLOAT.astype(np.complex64)),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_is_not_read_is_refused_by_name(tiff, what):
    options, pixels = UNREAD[what]
    path = tiff(pixels, **options)
    with pytest.raises(InputError, match=rf"TIFF {what}.* (is|are) not read; wanted: ") as caught:
        read(path)
    assert "truncated" not in caught.value.line and "corrupt" not in caught.value.line


@pytest.mark.parametrize("samples", [2, 4])
def test_samples_without_a_meaning_are_refused(tiff, samples):
    pixels = np.dstack([G8] * samples)
    path = tiff(pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"] * (samples - 1))
    with pytest.raises(
        InputError, match=rf"{samples} samples a pixel, and does not say what {samples - 1} of them are"
    ):
        read(path)


def several(path, *pages, **options):
    with tifffile.TiffWriter(path) as writer:
        for pixels, more in pages:
            writer.write(pixels, metadata=None, **options, **more)
    return path


def test_every_page_is_a_case_of_its_own(tmp_path):
    pages = [G8, 255 - G8, RGB8]
    path = several(tmp_path / "pages.tif", *((page, {}) for page in pages))
    with volumes(path) as inside:
        assert [volume.label for volume in inside] == ["page-1", "page-2", "page-3"]
        for volume, page in zip(inside, pages, strict=True):
            np.testing.assert_array_equal(volume.read().pixels[0], page.reshape(ROWS, COLS, -1))
        assert inside[1].read().source.frame_numbers == (2,)
    with pytest.raises(InputError, match=r"holds 3 volumes: page-1 .*; wanted: one"):
        load(path)


def test_thumbnails_and_masks_are_no_cases(tmp_path):
    pages = [
        (RGB8[::4, ::4], {"subfiletype": 1, "photometric": "rgb"}),
        (RGB8, {"photometric": "rgb"}),
        (G8 > 9, {"subfiletype": 4, "photometric": "mask"}),
    ]
    scan = read(several(tmp_path / "pages.tif", *pages))
    np.testing.assert_array_equal(scan.pixels[0], RGB8)
    assert set(scan.notes) == {
        "1 reduced picture(s) of the TIFF file were left out",
        "1 transparency mask(s) of the TIFF file were left out",
    }
    only = several(tmp_path / "only.tif", *pages[:1])
    with pytest.raises(InputError, match="without a full page"):
        read(only)


def test_pictures_behind_a_directory_are_told(tmp_path):
    path = tmp_path / "sub.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(G8, subifds=2, metadata=None)
        writer.write(G8[::2, ::2], subfiletype=1, metadata=None)
        writer.write(G8[::4, ::4], subfiletype=1, metadata=None)
    assert read(path).notes == ("2 SubIFD picture(s) of the TIFF file were left out",)


STACKS = {
    "ome Z": ({"ome": True, "metadata": {"axes": "ZYX"}}, (4, ROWS, COLS)),
    "imagej Z": ({"imagej": True, "metadata": {"axes": "ZYX"}}, (4, ROWS, COLS)),
    "ome C": ({"ome": True, "metadata": {"axes": "CYX"}}, (3, ROWS, COLS)),
    "imagej C": ({"imagej": True, "metadata": {"axes": "CYX"}}, (3, ROWS, COLS)),
    "ome ZC": ({"ome": True, "metadata": {"axes": "ZCYX"}}, (2, 3, ROWS, COLS)),
    "ome CZ": ({"ome": True, "metadata": {"axes": "CZYX"}}, (3, 2, ROWS, COLS)),
    "imagej ZC": ({"imagej": True, "metadata": {"axes": "ZCYX"}}, (2, 3, ROWS, COLS)),
}


@pytest.mark.parametrize("kind", STACKS)
def test_what_the_file_says_is_one_stack_or_one_picture(tiff, kind):
    options, shape = STACKS[kind]
    pixels = (np.arange(np.prod(shape)).reshape(shape) % 251).astype(np.uint8)
    scan = read(tiff(pixels, photometric="minisblack", **options))
    axes = options["metadata"]["axes"]
    expected = pixels if "Z" in axes else pixels[None]
    if "C" in axes:
        expected = np.moveaxis(expected, axes.find("C") if "Z" in axes else 1, -1)
        assert scan.notes == (THREE,)
    np.testing.assert_array_equal(scan.pixels, expected.reshape(*scan.pixels.shape))
    assert scan.frames == (1 if "Z" not in axes else shape[axes.find("Z")])


def test_times_are_cases_and_other_channels_are_refused(tiff):
    times = tiff(np.stack([G8, 255 - G8]), photometric="minisblack", ome=True, metadata={"axes": "TYX"})
    with volumes(times) as inside:
        assert [volume.read().pixels[0, 0, 0, 0] for volume in inside] == [G8[0, 0], 255 - G8[0, 0]]
    pair = tiff(np.stack([G8, G8]), photometric="minisblack", ome=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match="a picture of 2 channels; wanted: 1 or 3"):
        read(pair)


def test_a_file_that_tells_of_more_pages_than_it_has_is_refused(tiff, tmp_path):
    path = tiff(np.stack([G8] * 3), photometric="minisblack", imagej=True, metadata={"axes": "ZYX"})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"images=3", b"images=9").replace(b"slices=3", b"slices=9"))
    with pytest.raises(InputError, match="tells of 9 page"):
        read(path)


def test_a_stack_is_no_single_picture_for_a_task_of_whole_images(tiff):
    path = tiff(np.stack([G8] * 3), photometric="minisblack", imagej=True, metadata={"axes": "ZYX"})
    line = Pipeline("steel")
    with pytest.raises(InputError, match="is a stack of 3 pictures; wanted: one picture"):
        line.accept(load(path))


def test_each_page_has_its_own_answer(tmp_path, medvis):
    path = several(tmp_path / "pages.tif", *((np.roll(np.tile(G8, (3, 2)), shift, 1), {}) for shift in (0, 9, 30)))
    ran = medvis("diagnose", path, "--task", "steel", "--json", "-q")
    assert ran.code == 0, ran.stderr
    notes = [report["scan"]["notes"] for report in ran.lines]
    assert notes == [[f"page {number} of a TIFF file of 3 pages"] for number in (1, 2, 3)]


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "lzma", "jpeg"])
def test_a_strip_that_is_short_is_damage(tiff, compression):
    """tifffile and libtiff fill up what is absent."""
    rows, cols = np.mgrid[:ROWS, :COLS]
    path = tiff(
        (np.sin(rows / 7) * np.cos(cols / 9) * 90 + 120).astype(np.uint8), compression=compression, rowsperstrip=16
    )
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags[279]
        counts, at = tag.value, tag.valueoffset
    size = {3: 2, 4: 4}[int(tag.dtype)]
    data[at + size : at + 2 * size] = (counts[1] * 2 // 3).to_bytes(size, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"truncated or corrupt: strip 2 of 3 "):
        read(path)


@pytest.mark.parametrize("compression", ["zlib", "lzma", "lzw"])
def test_zeros_inside_a_strip_are_damage(tiff, compression):
    noise = np.random.default_rng(0).integers(0, 60, (ROWS, COLS)).astype(np.uint8).repeat(4, 1)
    path = tiff(noise, compression=compression, rowsperstrip=ROWS)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0] + file.pages[0].databytecounts[0] // 2
    data[start : start + 32] = bytes(32)
    path.write_bytes(data)
    with pytest.raises(InputError, match="strip 1 of 1 "):
        read(path)


def test_the_chain_of_directories_must_be_whole(tmp_path):
    path = several(tmp_path / "pages.tif", (G8, {}), (G8, {}), (G8, {}))
    data = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[2].offset
    (count,) = struct.unpack_from("<H", data, last)
    circle = bytearray(data)
    struct.pack_into("<I", circle, last + 2 + 12 * count, first)
    path.write_bytes(circle)
    with pytest.raises(InputError, match="go in a circle"):
        read(path)
    struct.pack_into("<I", circle, last + 2 + 12 * count, len(data) + 100)
    path.write_bytes(circle)
    with pytest.raises(InputError, match="directory 4 lies beyond its end"):
        read(path)


def test_resolution_is_no_spacing(tiff):
    scan = read(tiff(G8, resolution=(254, 254), resolutionunit="inch"))
    assert scan.geometry.spacing is None and "--mm-per-pixel" in scan.geometry.reasons["spacing"]


@pytest.mark.parametrize(
    ("options", "spacing"),
    [
        ({"ome": True, "metadata": {"PhysicalSizeX": 500.0, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.7,
                                    "PhysicalSizeYUnit": "mm"}}, (0.7, 0.5)),
        ({"ome": True, "metadata": {"PhysicalSizeX": 500.0, "PhysicalSizeY": 250.0}}, (0.25, 0.5)),
        ({"ome": True, "metadata": {"PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0, "PhysicalSizeXUnit": "pixel",
                                    "PhysicalSizeYUnit": "pixel"}}, None),
        ({"ome": True, "metadata": {}}, None),
        ({"imagej": True, "metadata": {"unit": "mm"}, "resolution": (2, 4)}, (0.25, 0.5)),
        ({"imagej": True, "metadata": {"unit": "um"}, "resolution": (0.002, 0.002)}, (0.5, 0.5)),
        ({"imagej": True, "metadata": {"unit": "inch"}, "resolution": (72, 72)}, None),
        ({"imagej": True, "metadata": {}, "resolution": (72, 72)}, None),
    ],
)  # fmt: skip
def test_a_description_in_units_of_length_is_spacing(tiff, options, spacing):
    scan = read(tiff(G8, photometric="minisblack", **options))
    assert scan.geometry.spacing == (None if spacing is None else pytest.approx(spacing))
    assert ("spacing" in scan.geometry.reasons) == (spacing is None)
    assert any("pixel size is that of the file's description" in note for note in scan.notes) == (spacing is not None)


def test_reading_needs_no_codecs_beside_the_base_install(tmp_path):
    """tifffile wants imagecodecs for LZW, JPEG and the floating-point predictor; medvis does not install it."""
    kinds = {
        "lzw": (G8, {"compression": "lzw", "predictor": True}),
        "float": (FLOAT, {"compression": "zlib", "predictor": True}),
        "lzma": (G8, {"compression": "lzma"}),
        "packbits": (G8, {"compression": "packbits"}),
        "packed": (G16 >> 4, {"bitspersample": 12}),
        "jpeg": (np.full_like(G8, 90), {"compression": "jpeg"}),
    }
    for name, (pixels, options) in kinds.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, metadata=None, **options)
        np.save(tmp_path / f"{name}.npy", pixels)
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from medvis.io.readers.raster import RasterReader\n"
        "for path in sorted(Path(sys.argv[1]).glob('*.tif')):\n"
        "    pixels = RasterReader().read(path).pixels[0, ..., 0]\n"
        "    assert (pixels == np.load(path.with_suffix('.npy')).astype(np.float32)).all(), path\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

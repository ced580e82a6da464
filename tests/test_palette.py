"""PALETTE COLOR in every byte order, width and length that files have (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6)."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medvis.errors import InputError
from medvis.io.open import open_scan

NAMES = ("Red", "Green", "Blue")
INDICES = np.arange(0, 256, 17, dtype=np.uint8).reshape(4, 4)
WIDE = np.random.default_rng(6).integers(0, 65536, (3, 256), dtype=np.uint16)
NARROW = np.random.default_rng(7).integers(0, 256, (3, 256), dtype=np.uint8)


def image(tables, descriptor, indices=INDICES, **tags):
    ds = maker.image(indices, "US", PhotometricInterpretation="PALETTE COLOR", **tags)
    for name, data in zip(NAMES, tables, strict=True):
        word = "SS" if descriptor[1] < 0 else "US"
        ds.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableDescriptor"), word, list(descriptor))
        ds.add_new(tag_for_keyword(f"{name}PaletteColorLookupTableData"), "OW", data)
    return ds


def read(ds, folder, syntax=ExplicitVRLittleEndian):
    return open_scan(maker.save(ds, folder / "a.dcm", syntax))


def check(scan, table, bits):
    np.testing.assert_array_equal(scan.pixels[0], table.T[INDICES])
    assert scan.bits == bits


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_words_have_the_byte_order_of_the_file(tmp_path, syntax):
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    check(read(image([table.astype(order).tobytes() for table in WIDE], (256, 0, 16)), tmp_path, syntax), WIDE, 16)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bytes_are_two_to_a_word(tmp_path, syntax):
    """The first of a pair is the lower byte of its word (PS3.5 8.1.1), which big endian stores behind the higher."""
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    packed = [table.view("<u2").astype(order).tobytes() for table in NARROW]
    check(read(image(packed, (256, 0, 8)), tmp_path, syntax), NARROW, 8)


def test_bytes_of_a_word_each(tmp_path):
    check(read(image([table.astype("<u2").tobytes() for table in NARROW], (256, 0, 8)), tmp_path), NARROW, 8)


def test_an_odd_number_of_bytes_is_padded(tmp_path):
    packed = [table[:255].tobytes() + b"\0" for table in NARROW]
    scan = read(image(packed, (255, 0, 8)), tmp_path)
    np.testing.assert_array_equal(scan.pixels[0, 3, 3], NARROW[:, 254])  # beyond the last entry


def test_more_than_is_asked_for_is_left(tmp_path):
    check(read(image([table.tobytes() + bytes(20) for table in WIDE], (256, 0, 16)), tmp_path), WIDE, 16)


def test_zero_entries_are_all_that_sixteen_bits_count(tmp_path):
    tables = [np.roll(np.arange(65536, dtype="<u2"), turn).tobytes() for turn in (0, 1, 2)]
    scan = read(image(tables, (0, 0, 16), INDICES.astype(np.uint16) * 257), tmp_path)
    assert scan.pixels[0, 3, 3].tolist() == [65535, 65534, 65533]


@pytest.mark.parametrize("first", [-128, 65408])
def test_the_first_value_has_the_sign_of_the_pixels(tmp_path, first):
    """65408 is −128 to whoever reads the descriptor as unsigned."""
    signed = (INDICES.astype(np.int16) - 128).astype(np.int8)
    check(read(image([table.tobytes() for table in WIDE], (256, first, 16), signed), tmp_path), WIDE, 16)


def test_entries_that_fill_eight_of_sixteen_bits_are_no_darkness(tmp_path):
    scan = read(image([table.astype("<u2").tobytes() for table in NARROW], (256, 0, 16)), tmp_path)
    check(scan, NARROW, 8)
    assert scan.notes == ("the palette says 16 bits, but no entry needs more than 8, which were believed",)


def test_transparency_is_left_out_and_told(tmp_path):
    ds = image([table.tobytes() for table in WIDE], (256, 0, 16))
    ds.add_new(tag_for_keyword("AlphaPaletteColorLookupTableData"), "OW", WIDE[0].tobytes())
    scan = read(ds, tmp_path)
    check(scan, WIDE, 16)
    assert scan.notes == ("the palette's transparency was left out",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"BluePaletteColorLookupTableData": bytes(200)}, "has a palette of 200 entries; wanted: 256"),
        ({"BluePaletteColorLookupTableData": bytes(100)}, "has a palette of 100 entries; wanted: 256"),
        ({"BluePaletteColorLookupTableDescriptor": [128, 0, 16]}, "three tables of one kind"),
        ({"RedPaletteColorLookupTableDescriptor": None}, "three tables of one kind"),
        ({f"{name}PaletteColorLookupTableDescriptor": [256, 0, 12] for name in NAMES}, "entries of 12 bits"),
    ],
)
def test_a_palette_that_cannot_be_right_is_refused(tmp_path, change, words):
    ds = maker.with_tags(image([table.tobytes() for table in WIDE], (256, 0, 16)), change)
    with pytest.raises(InputError, match=words):
        read(ds, tmp_path)


def test_colours_beside_greys_are_told(tmp_path):
    """A supplemental palette (PS3.3 C.7.6.19): values from its first one on are colours, no greys."""
    ds = image([table.tobytes() for table in WIDE], (256, 200, 16))
    ds.PhotometricInterpretation, ds.PixelPresentation = "MONOCHROME2", "COLOR"
    scan = read(ds, tmp_path)
    assert scan.channels == 1 and scan.notes == (
        "a palette of the file shows some values in colour; all were read as greys",
    )


def test_a_voi_lut_of_bytes_in_big_endian(tmp_path):
    """The same bytes two to a word, in the table of a window."""
    ds = maker.image(INDICES, "DX")
    item = maker.lut([0], bits=8)
    item.LUTDescriptor = [256, 0, 8]
    item.add_new(0x00283006, "OW", NARROW[0].view("<u2").astype(">u2").tobytes())
    ds.VOILUTSequence = [item]
    (table,) = read(ds, tmp_path, ExplicitVRBigEndian).source.voi_luts
    np.testing.assert_array_equal(table.data, NARROW[0])

"""UIDs are made in one way, and stay what they are: another value would be another object in every archive."""

import re

import pytest
from pydicom.uid import UID

from medvis.dicom import uids
from medvis.dicom.deidentify.pseudonyms import Secret
from medvis.dicom.uids import hashed_uid, uid_of_bits


def test_values_do_not_change():
    assert hashed_uid("a", "b") == "2.25.167612356721423125364565693811849259779"
    assert uids.WRITER_UID == "2.25.248891389167927613728938262500161962152"
    assert Secret(b"k" * 16).uid("1.2.3") == "2.25.72715576927023726249159578558096039881"


@pytest.mark.parametrize("bits", [bytes(16), b"\xff" * 16, b"\x00" * 15 + b"\x01", b"\xff" * 32])
def test_any_bits_are_a_valid_uid(bits):
    """PS3.5 9.1: at most 64 characters, and no component with a leading zero."""
    uid = uid_of_bits(bits)
    assert UID(uid).is_valid and len(uid) <= 44 and re.fullmatch(r"2\.25\.(0|[1-9]\d*)", uid)


def test_the_parts_of_a_hash_are_told_apart():
    assert hashed_uid("a", "b") == hashed_uid("a", "b") != hashed_uid("ab")

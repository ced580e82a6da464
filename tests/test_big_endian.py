"""Pixels of less than a word in big endian: VR OW turns the bytes of each word round, OB does not (PS3.5 8.1.1)."""

from __future__ import annotations

import dicom_maker as maker
import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian

from medvis.io.open import open_scan

RANDOM = np.random.default_rng(8)


def read(ds, folder, stream, word):
    """The pixels of little-endian bytes, stored in big endian."""
    stream += b"\0" * (len(stream) % 2)
    ds.PixelData = stream if word == "OB" else np.frombuffer(stream, "<u2").astype(">u2").tobytes()
    ds["PixelData"].VR = word
    return open_scan(maker.save(ds, folder / "a.dcm", ExplicitVRBigEndian))


@pytest.mark.parametrize("word", ["OB", "OW"])
@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (3, 4, 8), (3, 5, 7)])
def test_one_bit(tmp_path, shape, word):
    bits = RANDOM.integers(0, 2, shape, dtype=np.uint8)
    ds = maker.image(bits, "OT", BitsAllocated=1, BitsStored=1, HighBit=0)
    scan = read(ds, tmp_path, np.packbits(bits.ravel(), bitorder="little").tobytes(), word)
    np.testing.assert_array_equal(scan.pixels[..., 0].reshape(shape), bits)


@pytest.mark.parametrize("word", ["OB", "OW"])
@pytest.mark.parametrize(("shape", "colour"), [((3, 5), False), ((3, 3, 5), False), ((3, 5, 3), True)])
def test_eight_bits(tmp_path, shape, colour, word):
    values = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    ds = maker.image(values, "OT", **({"PhotometricInterpretation": "RGB"} if colour else {}))
    scan = read(ds, tmp_path, values.tobytes(), word)
    np.testing.assert_array_equal(scan.pixels.reshape(shape), values)

"""Pictures and masks at random: sound ones hold what tifffile and their writer say, damaged ones are read or refused.

MEDVIS_FUZZ=2000 python -m pytest tests/test_fuzz_pictures.py -s     takes 2,000 of each and prints the figures
"""

import io
import os
import sys
from collections import Counter
from pathlib import Path

import fuzz_pictures as make
import numpy as np
import pytest
import tifffile

from medvis.errors import InputError
from medvis.io.readers.decoded import UPRIGHT
from medvis.io.readers.raster import RasterReader
from medvis.learn.data.masks import read_mask

COUNT = int(os.environ.get("MEDVIS_FUZZ", "150"))
FIRST = int(os.environ.get("MEDVIS_FUZZ_SEED", "0"))
SECONDS, MEGABYTES = 5.0, 1024.0


def numbers():
    return range(FIRST, FIRST + COUNT)


def by_tifffile(path):
    """[rows, cols, samples] as stored, or None where tifffile cannot read it."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            pixels = page.asarray()
            if page.planarconfig == 2 and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            return pixels.reshape(*pixels.shape[:2], -1)
    except Exception:
        return None


def test_sound_tiffs_hold_what_tifffile_says(tmp_path):
    path, seen, refused = tmp_path / "image.tif", 0, Counter()
    for number in numbers():
        made = make.tiff(np.random.default_rng(number))
        path.write_bytes(made.data)
        try:
            scan = RasterReader().read(path)
        except InputError as error:
            refused[error.found.split(": ")[-1]] += 1
            continue
        seen += 1
        expected = by_tifffile(path).astype(np.float32)[..., : scan.channels]
        if made.made["photometric"] == "miniswhite" and not scan.inverted:
            expected = 2**scan.bits - 1 - expected
        expected = UPRIGHT[made.made["orientation"]](expected)
        tolerance = 3 if made.made["compression"] == "jpeg" else 0
        np.testing.assert_allclose(scan.pixels[0], expected, rtol=0, atol=tolerance, err_msg=f"{number} {made.made}")
    sys.stdout.write(f"\n{seen} of {COUNT} TIFFs read; refused: {dict(refused)}\n")
    assert seen > COUNT // 2
    assert all("is not read" in reason for reason in refused), refused


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured as Linux does")
def test_damaged_pictures_are_read_or_refused(worker, tmp_path):
    kinds, failures = Counter(), []
    for number in numbers():
        random = np.random.default_rng([1, number])
        ending, sound = make.picture(random)
        what, data = make.damaged(random, sound)
        path = tmp_path / f"damaged.{ending}"
        path.write_bytes(data)
        came = worker.read(path)
        kinds[came["kind"]] += 1
        if came["kind"] not in ("scan", "refused") or came["cpu"] > SECONDS or came["mb"] > MEGABYTES:
            failures.append(f"{number} {ending} {what}: {came}")
        elif came["kind"] == "refused" and ("\n" in came["line"] or len(came["line"]) > 500):
            failures.append(f"{number} {ending} {what}: not one line: {came['line']}")
        elif came["kind"] == "scan" and ending == "tif" and what in ("truncated", "tail") and _pixels_lost(sound, data):
            failures.append(f"{number} {what}: read, though its pixels are not all there")
    sys.stdout.write(f"\n{COUNT} damaged pictures: {dict(kinds)}\n")
    assert not failures, "\n".join(failures)
    assert kinds["refused"] > COUNT // 4


def _pixels_lost(sound, data):
    with tifffile.TiffFile(io.BytesIO(sound)) as file:
        page = file.pages.first
        return max(sum(pair) for pair in zip(page.dataoffsets, page.databytecounts, strict=True)) > len(data)


def test_damaged_tiffs_are_no_other_picture_than_tifffile_says(tmp_path):
    """Where both read a file whose pixels were left alone, both see the same."""
    path, both = tmp_path / "image.tif", 0
    for number in numbers():
        random = np.random.default_rng([2, number])
        made = make.tiff(random)
        head = bytearray(made.data)
        for _ in range(int(random.integers(1, 4))):
            head[int(random.integers(8, 220))] = int(random.integers(256))
        path.write_bytes(head)
        try:
            scan = RasterReader().read(path)
        except InputError:
            continue
        expected = by_tifffile(path)
        if expected is None or scan.pixels[0].shape[:2] != expected.shape[:2] or made.made["orientation"] > 1:
            continue
        with tifffile.TiffFile(path) as file:
            photometric, turned = file.pages.first.photometric, 274 in file.pages.first.tags
        if turned or photometric not in (1, 2) or made.made["compression"] == "jpeg":
            continue
        both += 1
        finite = np.where(np.isfinite(expected), expected, 0).astype(np.float32)[..., : scan.channels]
        np.testing.assert_array_equal(scan.pixels[0], finite, err_msg=f"{number} {made.made}")
    assert both > 0


def test_masks_of_any_kind_are_their_target(tmp_path):
    for number in numbers():
        ending, data, marked = make.mask(np.random.default_rng([3, number]))
        path = tmp_path / f"mask.{ending}"
        path.write_bytes(data)
        np.testing.assert_array_equal(read_mask(path).target, marked, err_msg=str(number))


def test_damaged_masks_are_read_or_refused(tmp_path):
    kinds = Counter()
    for number in numbers():
        random = np.random.default_rng([4, number])
        ending, sound, marked = make.mask(random)
        what, data = make.damaged(random, sound)
        path = tmp_path / f"mask.{ending}"
        path.write_bytes(data)
        try:
            target = read_mask(path).target
        except InputError as error:
            kinds["refused"] += 1
            assert "\n" not in error.line, (number, what)
        else:
            kinds["same" if target.shape == marked.shape and (target == marked).all() else "another"] += 1
            assert ending == "tif" or (target == marked).all(), f"{number} {what}: a PNG has a checksum on all it holds"
    sys.stdout.write(f"\n{COUNT} damaged masks: {dict(kinds)}\n")
    assert kinds["refused"] > COUNT // 3

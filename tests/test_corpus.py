"""Every file of two public corpora is read like an independent decoder reads it, or refused with the right words.

    python -m pytest tests/test_corpus.py -s     prints the table by transfer syntax

`corpus_digests.csv` holds what the independent decoders gave; `python tests/corpus_maker.py` makes it anew.
"""

import sys
import warnings
from collections import Counter, defaultdict

import corpus
import numpy as np
import pytest
from pydicom import dcmread

from medvis.errors import InputError
from medvis.io.open import open_scan

TABLE = {row.file: row for row in corpus.rows()}
HERE = dict(corpus.files())
NO_PIXELS = ("no pixel data", "no image", "no DICOM image", "DICOMDIR", "volumes", "text", "unknown", "gzip", "JSON")
"""Words for what has no pixels itself; an index is refused where it lists several volumes."""


def outcome(row):
    """``identical``, ``within N``, ``refused: …``; or what is wrong, in capitals."""
    try:
        scan = open_scan(row.path)
        values = corpus.stored(row.path) if row.expected == "read" else scan.pixels
    except InputError as error:
        fine = row.expected in error.line and "\n" not in error.line and len(error.line) < 1000
        return f"refused: {row.expected}" if fine else f"WRONGLY REFUSED: {error.line}"
    except Exception as error:
        return f"TRACEBACK: {error!r}"
    if row.expected != "read":
        return f"READ, but {row.expected}"
    wanted = rescaled(row.path, values, scan)
    return (
        "MISMATCH of modality values" if wanted is not None and (scan.pixels != wanted).any() else compared(row, values)
    )


def compared(row, values):
    """``identical``, ``within N`` or ``MISMATCH``, by digest, else by samples where the table has a tolerance."""
    if corpus.digest(values) == row.digest:
        return "identical"
    limit = float(row.tolerance)
    if not limit:
        return "MISMATCH"
    wanted = [float(one) for one in row.samples.split()]
    far = np.abs(np.array(corpus.samples(values)) - wanted).max()
    return f"within {limit:g}" if far <= limit else f"MISMATCH by {far:g}"


def rescaled(path, values, scan):
    """What the scan must hold by the header's own Rescale Slope and Intercept; None where another transform applies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path, force=True, stop_before_pixels=True)
    if "ModalityLUTSequence" in ds or "SharedFunctionalGroupsSequence" in ds:
        return None
    slope, intercept = (1, 0) if scan.channels == 3 else (ds.get("RescaleSlope", 1) or 1, ds.get("RescaleIntercept", 0))
    frames = values[[number - 1 for number in scan.source.frame_numbers or range(1, len(values) + 1)]]
    found = frames.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0)
    return found if scan.channels == 3 else found[..., None]


@pytest.fixture(scope="module")
def outcomes():
    """Of every file of the table that is here."""
    return {name: outcome(TABLE[name]) for name in HERE if name in TABLE}


def test_nothing_is_silently_wrong_and_nothing_fails(outcomes):
    sys.stdout.write(f"\n{table(outcomes)}\n")
    wrong = {name: said for name, said in outcomes.items() if said[:2].isupper()}
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())


def test_files_with_pixels_are_read(outcomes):
    if not corpus.SHARED.is_dir():
        pytest.skip("the shared corpus is not beside this checkout")
    pixels = [said for said in outcomes.values() if not said.startswith("refused") or not without_pixels(said)]
    read = [said for said in pixels if not said.startswith("refused")]
    assert len(pixels) > 280
    assert len(read) / len(pixels) >= 0.97


def test_the_table_lists_every_file():
    """Of the shared corpus; pydicom may come with other files in another version."""
    shared = {name for name in HERE if name.startswith("shared/")}
    assert shared <= TABLE.keys()
    known = [name for name in HERE if name in TABLE]
    assert len(known) > 0.9 * len(HERE)


def test_every_row_names_its_decoder():
    for row in TABLE.values():
        assert bool(row.decoder) == (row.expected == "read"), row.file
        assert bool(row.samples) == (row.tolerance not in ("", "0")), row.file


def without_pixels(said):
    return any(words in said for words in NO_PIXELS)


def table(outcomes):
    """By transfer syntax: files, with pixels, read, identical, within the tolerance, refused and why."""
    counts, reasons = defaultdict(Counter), defaultdict(Counter)
    for name, said in outcomes.items():
        for key in (TABLE[name].syntax or "(no transfer syntax)", "ALL"):
            count = counts[key]
            count["files"] += 1
            refused = said.startswith("refused")
            count["pixels"] += not (refused and without_pixels(said))
            count["read"] += not refused
            count["identical"] += said == "identical"
            count["within"] += said.startswith("within")
            if refused:
                reasons[key][said.removeprefix("refused: ")] += 1
    lines = [f"{'transfer syntax':48} files pixels  read identical within 1  refused"]
    for key in sorted(counts, key=lambda name: (name == "ALL", name)):
        count = counts[key]
        why = ", ".join(f"{number} {words}" for words, number in reasons[key].most_common())
        lines.append(
            f"{key[:48]:48} {count['files']:5} {count['pixels']:6} {count['read']:5} {count['identical']:9}"
            f" {count['within']:8}  {why}"
        )
    return "\n".join(lines)

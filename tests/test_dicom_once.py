"""Each file of a series is parsed once and hashed once, whatever is written; one that changes in between is noticed."""

import builtins
import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import pydicom.filereader
import pytest
import results_maker as make

from medvis.dicom.read.parsed_file import parse
from medvis.dicom.read.study import volumes_in
from medvis.errors import InputError, OutputError
from medvis.io.open import open_scan

SERIES = Path(__file__).parents[1] / "sample_data" / "lung1"
EVERYTHING = "json,heatmap,mask,seg,sr,sc,pm"


@pytest.fixture
def counted(monkeypatch):
    """How often each file is parsed (every way into pydicom goes through `read_partial`) and hashed, by its path."""
    parses, hashes = Counter(), Counter()
    read_partial, file_digest = pydicom.filereader.read_partial, hashlib.file_digest

    def parsing(stream, *args, **kwargs):
        parses[Path(stream.name)] += 1
        return read_partial(stream, *args, **kwargs)

    def hashing(stream, *args):
        hashes[Path(stream.name)] += 1
        return file_digest(stream, *args)

    monkeypatch.setattr(pydicom.filereader, "read_partial", parsing)
    monkeypatch.setattr(hashlib, "file_digest", hashing)
    return parses, hashes


def of_source(counts, folder):
    return {path.name: count for path, count in counts.items() if path.parent == folder}


@pytest.mark.parametrize("written", ["json", EVERYTHING])
def test_a_series_is_parsed_and_hashed_once(counted, medvis, written):
    assert medvis("diagnose", SERIES, "-o", "out", "--write", written, "-q").code == 0
    once = {path.name: 1 for path in SERIES.iterdir()}
    assert len(once) == 13
    parses, hashes = counted
    assert of_source(parses, SERIES) == once and of_source(hashes, SERIES) == once


@pytest.mark.parametrize("written", ["json", EVERYTHING])
def test_a_single_file_is_parsed_and_hashed_once(counted, medvis, tmp_path, written):
    path = Path(shutil.copy(SERIES / "0007.dcm", tmp_path))
    assert medvis("diagnose", path, "-o", "out", "--write", written, "-q").code == 0
    parses, hashes = counted
    assert of_source(parses, tmp_path) == of_source(hashes, tmp_path) == {"0007.dcm": 1}


def test_no_other_way_reads_a_source_file_whole(monkeypatch):
    """The counts above know two ways; here every opening of a source is."""
    opened = Counter()
    path_open = Path.open

    def opening(self, *args, **kwargs):
        if self.parent == SERIES:
            opened[self.name] += 1
        return path_open(self, *args, **kwargs)

    real = builtins.open
    monkeypatch.setattr(Path, "open", opening)
    monkeypatch.setattr(builtins, "open", lambda file, *args, **kwargs: _refuse_source(real, file, *args, **kwargs))
    scan = volumes_in(SERIES, sorted(SERIES.iterdir())).single().read()
    assert scan.frames == 13 and set(opened.values()) == {2}  # header with hash, pixels


def _refuse_source(real, file, *args, **kwargs):
    assert not str(file).startswith(str(SERIES)), file
    return real(file, *args, **kwargs)


@pytest.fixture
def series(tmp_path):
    return Path(shutil.copytree(SERIES, tmp_path / "series"))


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def test_a_file_that_changes_before_its_pixels_are_read(series):
    volume = volumes_in(series, sorted(series.iterdir())).single()
    flip_last_byte(series / "0005.dcm")
    with pytest.raises(InputError, match=r"0005\.dcm has changed"):
        volume.read()


def test_a_file_that_vanishes_before_its_pixels_are_read(series):
    volume = volumes_in(series, sorted(series.iterdir())).single()
    (series / "0005.dcm").unlink()
    with pytest.raises(InputError, match=r"0005\.dcm cannot be read"):
        volume.read()


def test_a_file_that_was_merely_touched_is_the_same(series):
    volume = volumes_in(series, sorted(series.iterdir())).single()
    os.utime(series / "0005.dcm", ns=(1, 1))
    assert volume.read().pixels.tobytes() == open_scan(SERIES).pixels.tobytes()


@pytest.mark.parametrize("writer", ["seg", "sr", "sc", "pm"])
def test_a_file_that_changes_before_the_results_are_written(tmp_path, writer):
    folder = make.series(tmp_path / "in")
    outcome = make.outcome_of(folder)
    flip_last_byte(sorted(folder.iterdir())[1])
    with pytest.raises(OutputError, match="has changed"):
        make.written(outcome, tmp_path / "out", writer)


def test_a_header_that_was_released_is_parsed_again_and_is_the_same(series):
    file = parse(series / "0005.dcm")
    header, content = file.header(), file.content
    file.release()
    assert file.header() == header and file.content == content
    assert file.with_pixels().PixelData == pydicom.dcmread(series / "0005.dcm").PixelData
    file.release()
    flip_last_byte(series / "0005.dcm")
    with pytest.raises(InputError, match="has changed"):
        file.header()


def test_with_pixels_is_what_pydicom_reads_in_one_go(series):
    for path in sorted(series.iterdir()):
        assert parse(path).with_pixels() == pydicom.dcmread(path)


def test_what_a_caller_sets_stays_out_of_the_header(series):
    file = parse(series / "0005.dcm")
    file.header().PatientName = "other"
    file.with_pixels().BitsStored = 3
    assert file.header() == pydicom.dcmread(series / "0005.dcm", stop_before_pixels=True)

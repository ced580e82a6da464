"""The UIDs of results: the same for what says the same, others for anything else."""

import shutil
import subprocess
from io import BytesIO

import dicom_maker as maker
import pytest
import results_maker as make
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medvis import plugins
from medvis.dicom.content_digest import header_digest
from medvis.dicom.objects.writer import ObjectWriter

GROUP = "medvis.writers"

WRITERS = [name for name in plugins.names(GROUP) if issubclass(plugins.load(GROUP, name), ObjectWriter)]
TAG = Tag("ReferencedStudySequence")


def results(path, out, **overrides):
    make.written(make.outcome_of(path, **overrides), out, *WRITERS)
    return {file.name: file.read_bytes() for file in out.glob("*.dcm")}


def changed(folder, change):
    for path in folder.iterdir():
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    found = results(make.series(folder / "series"), folder / "out")
    assert set(found) == {"seg.dcm", "sr.dcm", "capture.dcm", "evidence.dcm"}
    return found


def rewritten(syntax):
    def change(ds):
        ds.file_meta.TransferSyntaxUID = syntax
        ds.file_meta.ImplementationVersionName = "ARCHIVE"

    return change


def compressed(syntax):
    return lambda ds: maker.compress(ds, syntax)


@pytest.mark.parametrize(
    "change",
    [
        *(rewritten(syntax) for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)),
        *(compressed(syntax) for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless)),
    ],
    ids=["implicit", "deflated", "RLE", "JPEG 2000", "JPEG-LS"],
)
def test_a_series_in_another_encoding_gives_the_same_bytes(change, plain, tmp_path):
    assert results(changed(make.series(tmp_path / "series"), change), tmp_path / "out") == plain


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_so_does_a_colour_picture_whose_planes_and_colours_are_stored_otherwise(syntax, tmp_path):
    path = make.picture(tmp_path / "in" / "a.dcm", "OT", PhotometricInterpretation="RGB")
    first = results(path, tmp_path / "first", **make.RASTER)
    changed(path.parent, compressed(syntax))
    assert "sr.dcm" in first
    assert results(path, tmp_path / "again", **make.RASTER) == first


@pytest.mark.parametrize("options", [["+ti"], ["+te", "+e", "+g"], ["+te", "-e", "-p"]])
def test_lengths_written_otherwise_change_nothing(options, tmp_path):
    tool = shutil.which("dcmconv")
    if tool is None:
        pytest.skip("dcmconv of DCMTK is not installed")
    first = make.enhanced(tmp_path / "first.dcm")
    other = tmp_path / "other.dcm"
    subprocess.run([tool, *options, str(first), str(other)], check=True)
    assert other.read_bytes() != first.read_bytes()
    assert results(other, tmp_path / "o") == results(first, tmp_path / "f")


def repainted(ds):
    pixels = ds.pixel_array.copy()
    pixels[0, 0] += 1
    ds.PixelData = pixels.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        repainted,
        lambda ds: setattr(ds, "PatientName", "Meier^Anna"),
        lambda ds: setattr(ds, "WindowWidth", 1400),
        lambda ds: setattr(ds, "SliceThickness", 2),
    ],
    ids=["a pixel", "the name", "the window", "the thickness"],
)
def test_the_same_instances_saying_something_else_give_other_uids(change, plain, tmp_path):
    found = results(changed(make.series(tmp_path / "series"), change), tmp_path / "out")
    assert not uids(found) & uids(plain)


def uids(found):
    return {dcmread(BytesIO(body)).SOPInstanceUID for body in found.values()}


def test_a_sequence_counts_in_full(tmp_path):
    ds = dcmread(make.enhanced(tmp_path / "one.dcm"))
    before = header_digest(ds)
    assert header_digest(dcmread(tmp_path / "one.dcm")) == before
    ds.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient[2] += 0.5
    assert header_digest(ds) != before


def sequence(body):
    ds = Dataset()
    ds[TAG] = RawDataElement(TAG, "SQ", len(body), body, 0, is_implicit_VR=False, is_little_endian=True)
    return ds


def test_a_sequence_that_cannot_be_parsed_is_taken_as_its_bytes():
    with pytest.raises(OSError, match="No tag"):
        list(sequence(b"\x08\x00")[TAG])
    assert header_digest(sequence(b"\x08\x00")) != header_digest(sequence(b"\x08\x01"))

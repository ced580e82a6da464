"""Nothing but DICOM results carries a patient's identity: it is planted in a whole series and looked for everywhere."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import results_maker
from pacs_tools import free_port, listening, serving, storescu
from pydicom import dcmread

pytest.importorskip("dicomanonymizer", reason="the extra deid is not installed")

from test_deidentify import leaks, planted

from medvis import plugins
from medvis.dicom.objects.sc.writer import CaptureWriter
from medvis.dicom.read.facts import safe_description
from medvis.errors import OutputError

SAMPLES = Path(__file__).parents[1] / "sample_data" / "lung1"
WRITERS = ",".join(plugins.names("medvis.writers"))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Two slices of the sample series with identity in every attribute that the table of PS3.15 names."""
    folder = tmp_path_factory.mktemp("series")
    for name in ("0006.dcm", "0007.dcm"):
        ds = planted(dcmread(SAMPLES / name))
        ds.Modality, ds.BodyPartExamined = "CT", "CHEST"
        ds.file_meta.SourceApplicationEntityTitle = "PLANTED"
        ds.save_as(folder / name)
    return folder


def medvis(*arguments, stdin=None):
    """Output, errors and code of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "medvis", *map(str, arguments)], capture_output=True, check=False, input=stdin,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert leaks(done.stdout) == [] and leaks(done.stderr) == [], (arguments, leaks(done.stdout), leaks(done.stderr))
    return done


def check_files(folder):
    """DICOM objects belong to the patient, and say so; nothing else knows. Returns the names without and with it."""
    free, owned = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if data[128:132] == b"DICM":
            assert b"PLANTED" in data, path.name
            owned.append(path.name)
            continue
        assert leaks(gzip.decompress(data) if path.suffix == ".gz" else data) == [], path.name
        assert leaks(path.relative_to(folder).as_posix().encode()) == []
        free.append(path.name)
    return free, owned


def test_every_writer(series, tmp_path):
    assert medvis("diagnose", series, "-o", tmp_path / "out", "--write", WRITERS).returncode == 0
    free, owned = check_files(tmp_path / "out")
    assert free == ["heatmap.png", "mask.nii.gz", "report.json"]
    assert owned == ["capture.dcm", "evidence.dcm", "seg.dcm", "sr.dcm"]
    assert medvis("diagnose", series / "0007.dcm", "--json").returncode == 0


def test_info_and_every_link_of_the_chain(series, tmp_path):
    """The case files go through the pipe, where they are looked at."""
    assert medvis("info", series, "--json").returncode == 0 and medvis("info", series / "0006.dcm").returncode == 0
    case = medvis("window", series / "0007.dcm", "-o", "-").stdout
    for stage in ("enhance", "infer", "segment"):
        done = medvis(stage, "-", "-o", "-", stdin=case)
        assert done.returncode == 0 and len(done.stdout) > 1_000_000
        case = done.stdout
    assert medvis("report", "-", "-o", tmp_path / "out", "--write", WRITERS, stdin=case).returncode == 0
    assert "report.json" in check_files(tmp_path / "out")[0]


def test_names_of_files_stay_with_whoever_gave_the_folder(series, tmp_path):
    """An export may name its files after the patient; what is passed on must not."""
    folder = tmp_path / "in"
    (folder / "PLANTED").mkdir(parents=True)
    for path in series.iterdir():
        (folder / "PLANTED" / f"PLANTED_{path.name}").write_bytes(path.read_bytes())
    (folder / "PLANTED letter.txt").write_text("Dear PLANTED")
    assert medvis("diagnose", folder, "-o", tmp_path / "out", "--write", WRITERS).returncode == 0
    free, _ = check_files(tmp_path / "out")
    assert "report.json" in free
    assert "1 file(s) that are no DICOM were ignored" in (tmp_path / "out" / "report.json").read_text()


@pytest.mark.parametrize("keyword", ["PatientName", "ReferringPhysicianName", "OperatorsName", "InstitutionName"])
def test_a_description_without_names(keyword):
    ds = dcmread(SAMPLES / "0007.dcm", stop_before_pixels=True)
    setattr(ds, keyword, "Meier^Eva")
    ds.SeriesDescription = "Thorax eva Dr.Meier 1mm"
    assert safe_description(ds) == "Thorax … … 1mm"


def test_what_goes_wrong_is_told_without_a_name(series, tmp_path):
    """Each of these ends with one line about a file whose header is full of identity."""
    whole = (series / "0007.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) - 9000])
    (tmp_path / "half.dcm").write_bytes(whole[: len(whole) // 3])
    ds = dcmread(series / "0007.dcm")
    for name, changes in {
        "nothing.dcm": {"Rows": None},
        "other.dcm": {"Modality": "MR"},
        "odd.dcm": {"RescaleIntercept": None, "BitsAllocated": 13},
    }.items():
        for keyword, value in changes.items():
            setattr(ds, keyword, value)
        ds.save_as(tmp_path / name)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name, uid in (("a.dcm", "1.2.3"), ("b.dcm", "1.2.4")):
        other = dcmread(series / "0007.dcm")
        other.SeriesInstanceUID, other.SeriesDescription = uid, "PLANTED"
        other.save_as(mixed / name)
    for path in sorted(tmp_path.iterdir()):
        medvis("diagnose", path, "-o", tmp_path.parent / f"out-{path.name}")
        medvis("info", path)
        medvis("deidentify", path, "-o", tmp_path.parent / f"new-{path.name}")


def test_a_library_that_quotes_the_header_is_not_quoted(tmp_path):
    class Quoting(CaptureWriter):
        def build(self, outcome, source, folder):
            raise ValueError(f"{source.header.PatientName} born {source.header.PatientBirthDate} is too long")

    outcome = results_maker.outcome_of(results_maker.picture(tmp_path / "one.dcm"), **results_maker.RASTER)
    with pytest.raises(OutputError) as error:
        Quoting().write(outcome, tmp_path)
    assert error.value.line.startswith(f"no capture.dcm can be made for {tmp_path / 'one.dcm'}: … born … is too long")


@pytest.fixture
def study(series, tmp_path):
    """The planted series, and a knee that no task is for, as a study of its own."""
    ds = dcmread(series / "0007.dcm")
    ds.BodyPartExamined, ds.StudyInstanceUID, ds.SOPInstanceUID = "KNEE", "1.2.3", "1.2.3.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.save_as(tmp_path / "knee.dcm")
    return [*sorted(series.iterdir()), tmp_path / "knee.dcm"]


def test_a_listener_and_its_store(study, tmp_path):
    """Two studies, one of which no task is for, and nobody who takes the results."""
    pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
    options = ("--quiet-period", "300ms", "--to", f"NOBODY@127.0.0.1:{free_port()}", "--write", WRITERS)
    with listening(tmp_path / "store", *options) as running:
        assert storescu(running.port, *study) == 0
        running.told("diagnosed", 2)
        running.told("not sent")
        running.told("done")
        assert running.end(signal.SIGTERM) == 0
        said = "".join(running.text) + running.process.stderr.read()
    assert leaks(said.encode()) == []
    store = tmp_path / "store"
    received = [path for path in store.rglob("*") if path.is_file() and "in" in path.relative_to(store).parts]
    assert len(received) == 3
    for path in received:
        path.unlink()
    free, owned = check_files(store)
    assert {"problems.txt", "queue.sqlite3", "report.json"} <= set(free) and "sr.dcm" in owned


def test_to_and_from_an_archive(study, tmp_path):
    """Whatever is said on the way, also about what fails."""
    pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
    ds = dcmread(study[0])
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"
    ds.save_as(tmp_path / "odd.dcm")
    (tmp_path / "half.dcm").write_bytes(study[0].read_bytes()[:900])
    uid = str(ds.StudyInstanceUID)
    (tmp_path / "orthanc").mkdir()
    with serving(tmp_path / "orthanc") as orthanc:
        for peer in (orthanc.web, orthanc.dimse):
            medvis("push", *study, tmp_path / "odd.dcm", tmp_path / "half.dcm", "--to", peer)
            assert medvis("pull", peer, "--study", uid, "-o", tmp_path / peer[:4]).returncode == 0
            assert medvis("pull", peer, "--study", "1.2.99", "-o", tmp_path / "x").returncode == 3
        url = f"{orthanc.web}/studies/{uid}"
        assert medvis("diagnose", url, "-o", tmp_path / "out", "--write", WRITERS).returncode == 0
    assert "report.json" in check_files(tmp_path / "out")[0]
    assert medvis("push", *study, "--to", f"NOBODY@127.0.0.1:{free_port()}").returncode == 7

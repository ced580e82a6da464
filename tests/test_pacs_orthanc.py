"""Fetching from and sending to a real PACS: Orthanc with its DICOMweb plug-in, on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pacs_tools import Orthanc, make_orthanc, serving, storescu

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("httpx", reason="the extra 'pacs' is not installed")

from pydicom import dcmread

from medvis.pacs.files import identity_of_file
from medvis.pacs.remote import fetched


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(running) -> Orthanc:
    """With nothing in it."""
    running.empty()
    return running


@pytest.fixture
def filled(orthanc, slices) -> Orthanc:
    """With three slices of the sample series, sent by DCMTK."""
    assert storescu(orthanc.dicom, *slices, aec="ORTHANC") == 0
    return orthanc


@pytest.fixture(scope="module")
def known(slices):
    """Study, series and instances of the slices."""
    found = [identity_of_file(path) for path in slices]
    return found[0].study, found[0].series, sorted(one.instance for one in found)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def same_images(folder: Path, slices) -> bool:
    """Whether the files hold the same data sets; their file meta information is each server's own."""
    sent = {ds.SOPInstanceUID: ds for ds in map(dcmread, slices)}
    return all(ds == sent.pop(ds.SOPInstanceUID) for ds in map(dcmread, folder.rglob("*.dcm"))) and not sent


def test_a_study_there_and_back(filled, slices, known, medvis):
    """DCMTK → Orthanc → pull → diagnose → push → Orthanc: the results are in the same study."""
    study, series, instances = known
    ran = medvis("pull", filled.web, "--study", study, "-o", "in")
    assert ran.code == 0, ran.stderr
    assert names(Path("in")) == [f"{series}/{instance}.dcm" for instance in instances]
    assert same_images(Path("in"), slices)
    for source, out in (("in", "out"), (slices[0].parent, "of the disk")):
        assert medvis("diagnose", source, "-o", out, "--write", "json,seg,sr,sc", "--quiet").code == 0
    assert objects("out") == objects("of the disk")
    assert medvis("push", "out", "--to", filled.web).code == 0
    wanted = sorted([("CT", study, 3), ("SEG", study, 1), ("SR", study, 1), sc_of("out", study)])
    assert filled.series() == wanted
    pushed = medvis("push", "out", "--to", filled.dimse, "--json")  # again, the other way: nothing is doubled
    assert (pushed.code, len(pushed.json["files"]), pushed.json["failures"]) == (0, 3, {})
    assert filled.series() == wanted


def objects(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*.dcm")}


def sc_of(folder, study) -> tuple[str, str, int]:
    """The series of the Secondary Capture, whose modality is its writer's choice."""
    captures = [dcmread(path, stop_before_pixels=True) for path in Path(folder).rglob("*.dcm")]
    (found,) = [ds for ds in captures if ds.Modality not in ("SEG", "SR")]
    return (found.Modality, study, 1)


@pytest.mark.parametrize("via", ["get", "move", "auto"])
def test_pulling_by_dimse(filled, slices, known, medvis, via):
    study, series, instances = known
    options = ["--via", via, "--port", filled.move_port]
    ran = medvis("pull", filled.dimse, "--study", study, "--series", series, "-o", "in", *options)
    assert ran.code == 0, ran.stderr
    assert ran.stdout.decode().split() == [f"in/{series}/{instance}.dcm" for instance in instances]
    assert same_images(Path("in"), slices)


def test_a_pull_goes_on_where_it_broke_off(filled, slices, known, medvis):
    study, series, instances = known
    there = Path("in", series, f"{instances[0]}.dcm")
    there.parent.mkdir(parents=True)
    there.write_bytes(b"as it was")
    for source in (filled.web, filled.dimse):
        assert medvis("pull", source, "--study", study, "-o", "in", "--json").json["failures"] == {}
        assert there.read_bytes() == b"as it was"
        assert len(names(Path("in"))) == 3
        Path("in", series, f"{instances[1]}.dcm").unlink()


@pytest.mark.parametrize("protocol", ["web", "dimse"])
def test_what_cannot_be_written_is_said_and_the_rest_comes(filled, known, medvis, protocol):
    """A folder stands where a file should go."""
    study, series, instances = known
    Path("in", series, f"{instances[1]}.dcm", "x").mkdir(parents=True)
    ran = medvis("pull", getattr(filled, protocol), "--study", study, "-o", "in")
    assert ran.code == 8
    assert "directory" in ran.stderr.lower()
    assert names(Path("in")) == [f"{series}/{instances[0]}.dcm", f"{series}/{instances[2]}.dcm"]


def test_a_url_is_diagnosed_as_its_folder_is(filled, known, slices, medvis):
    from conftest import canonical

    study, series, _ = known
    url = f"{filled.web}/studies/{study}/series/{series}"
    ran = medvis("diagnose", url, "-o", "out", "--write", "json,seg", "--quiet")
    assert ran.code == 0, ran.stderr
    report = Path("out", "report.json").read_text()
    assert json.loads(report)["scan"]["path"] == url
    assert dcmread("out/seg.dcm").StudyInstanceUID == study
    assert medvis("pull", url, "-o", "in").code == 0
    here = medvis("diagnose", "in", "--json", "--quiet").stdout
    assert canonical(report)["findings"] == canonical(here)["findings"]
    assert "no such series" in medvis("diagnose", f"{filled.web}/studies/{study}/series/1.2.3", "-o", "x").error(3)
    assert "names no study" in medvis("diagnose", filled.web, "-o", "x").error(2)
    assert not Path("x").exists()


def test_listing(filled, known, medvis):
    study, series, instances = known
    for source in (filled.web, filled.dimse):
        (found,) = medvis("pull", source, "--query", "PatientID=LUNG1", "--json").json
        assert found["StudyInstanceUID"] == study
        assert (found["ModalitiesInStudy"], found["PatientID"]) == ("CT", "LUNG1")
        assert medvis("pull", source, "--query", "PatientID=NOBODY", "--json").json == []
        lines = medvis("pull", source, "--query", "StudyInstanceUID=").stdout.decode().splitlines()
        assert len(lines) == 2
        assert "LUNG1" not in "".join(lines)  # nobody asked who it is
        (found,) = medvis("pull", source, "--study", study, "--query", "Modality=CT", "--json").json
        assert found["SeriesInstanceUID"] == series
        below = medvis("pull", source, "--study", study, "--series", series, "--query", "InstanceNumber=", "--json")
        assert sorted(one["SOPInstanceUID"] for one in below.json) == instances


def test_a_study_that_is_not_there(filled, medvis):
    for source in (filled.web, filled.dimse):
        assert "no such study" in medvis("pull", source, "--study", "1.2.3", "-o", "in").error(3)
    assert "answers 404" in medvis("pull", f"{filled.web}/nonsense", "--query", "Modality=CT").error(3)
    assert not Path("in").exists()


def test_pushing_says_what_was_not_taken(orthanc, slices, medvis):
    bad = Path("bad.dcm")
    bad.write_bytes(b"no DICOM")
    text = Path("folder")
    text.mkdir()
    (text / "report.json").write_text("{}")
    (text / "a.dcm").write_bytes(slices[1].read_bytes())
    for to in (orthanc.web, orthanc.dimse):
        ran = medvis("push", slices[0], bad, text, "--to", to)
        assert ran.code == 8
        assert "bad.dcm: no DICOM file" in ran.stderr
        assert sorted(ran.stdout.decode().split()) == sorted([str(slices[0]), "folder/a.dcm"])
        assert [count for *_, count in orthanc.series()] == [2]
        orthanc.empty()


def test_a_file_of_a_kind_that_the_peer_does_not_know(orthanc, slices, medvis):
    ds = dcmread(slices[0])
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"
    ds.save_as("odd.dcm")
    ran = medvis("push", "odd.dcm", slices[1], "--to", orthanc.dimse)
    assert ran.code == 8
    assert "the peer does not take it" in ran.stderr
    assert [count for *_, count in orthanc.series()] == [1]


def test_a_url_as_a_folder(filled, slices, known):
    study, series, _ = known
    with fetched(f"{filled.web}/studies/{study}/series/{series}") as folder:
        assert same_images(folder, slices)
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), fetched(f"{filled.web}/studies/{study}") as folder:
        raise ZeroDivisionError
    assert not folder.exists()


def test_credentials_are_shown_to_the_service_and_to_nobody_else(tmp_path, slices, known, medvis, monkeypatch):
    server = make_orthanc(tmp_path)
    config = json.loads((tmp_path / "orthanc.json").read_text())
    config |= {"AuthenticationEnabled": True, "RegisteredUsers": {"me": "a-secret"}}
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    monkeypatch.setattr(server, "answers", lambda: "has started" in (tmp_path / "log").read_text())
    server.start()
    try:
        assert storescu(server.dicom, slices[0], aec="ORTHANC") == 0
        line = medvis("pull", server.web, "--query", "Modality=").error(3)
        assert "401" in line
        monkeypatch.setenv("MEDVIS_DICOMWEB_USER", "me")
        monkeypatch.setenv("MEDVIS_DICOMWEB_PASSWORD", "wrong-secret")
        assert "secret" not in medvis("pull", server.web, "--query", "Modality=").error(3)
        monkeypatch.setenv("MEDVIS_DICOMWEB_PASSWORD", "a-secret")
        ran = medvis("pull", server.web, "--study", known[0], "-o", "in")
        assert (ran.code, len(names(Path("in")))) == (0, 1)
        assert "secret" not in ran.stderr
    finally:
        server.stop()

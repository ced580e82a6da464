"""The parts of the network: who is called, with which credentials, and how files travel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvis.errors import InputError, OutputError, SettingsError, UsageError

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("httpx", reason="the extra 'pacs' is not installed")

from medvis.cli.network import seconds
from medvis.dicom.uids import InstanceUids
from medvis.pacs.dimse.query import identifier
from medvis.pacs.files import file_header, identity_of_data, identity_of_file
from medvis.pacs.peers import DimsePeer, RetrieveTarget, WebPeer, parse_peer, split_url
from medvis.pacs.query import checked_keys
from medvis.pacs.settings import ListenSettings, Tls
from medvis.pacs.tls import client_context, server_context
from medvis.pacs.web.credentials import credentials
from medvis.pacs.web.multipart import Upload, boundary_of, copy_first_part

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("PACS@10.0.0.7:104", DimsePeer("PACS", "10.0.0.7", 104)),
        ("dicoms://MY PACS@pacs.example:2762", DimsePeer("MY PACS", "pacs.example", 2762, tls=True)),
        ("PACS@[::1]:104", DimsePeer("PACS", "::1", 104)),
        ("https://pacs.example/dicom-web/", WebPeer("https://pacs.example/dicom-web")),
        ("http://127.0.0.1:8042/dicom-web", WebPeer("http://127.0.0.1:8042/dicom-web")),
        ("http://localhost/x", WebPeer("http://localhost/x")),
    ],
)
def test_who_is_called(text, peer):
    assert parse_peer(text) == peer


@pytest.mark.parametrize(
    "text",
    [
        "pacs.example", "@host:104", "PACS@host", "PACS@host:0", "PACS@host:70000", "A_TITLE_TOO_LONG_@h:104",
        "https://", "https://user:secret@pacs.example/x", "https://pacs.example/x?token=1", "ftp://host/x",
        "http://pacs.example/dicom-web", "http://10.0.0.7/dicom-web", "http://127.0.0.1.example/x", "https://[bad/x",
    ],
)  # fmt: skip
def test_who_is_not_called(text):
    with pytest.raises(UsageError) as error:
        parse_peer(text)
    assert "secret" not in error.value.line


def test_plain_http_to_another_machine_has_to_be_permitted(monkeypatch):
    monkeypatch.setenv("MEDVIS_INSECURE_HTTP", "1")
    assert parse_peer("http://pacs.example/dicom-web") == WebPeer("http://pacs.example/dicom-web")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", None),
        ("/studies/1.2", RetrieveTarget("1.2")),
        ("/studies/1.2/series/3.4/", RetrieveTarget("1.2", "3.4")),
        ("/studies/1.2/series/3.4/instances/5.6", RetrieveTarget("1.2", "3.4", "5.6")),
    ],
)
def test_what_a_url_names(path, target):
    assert split_url(f"https://h/dicom-web{path}") == (WebPeer("https://h/dicom-web"), target)


@pytest.mark.parametrize("path", ["1.2/metadata", "1.2/instances/3.4", "../../etc", "1.2/series/..", "1.2/series", "x"])
def test_a_url_that_names_something_else(path):
    with pytest.raises(UsageError):
        split_url(f"https://h/dicom-web/studies/{path}")


@pytest.mark.parametrize("uid", ["", "..", "1/2", "1.2 ", "1." + "2" * 64, "1..2", "1.2\n"])
def test_a_uid_is_digits_and_dots(uid):
    with pytest.raises(UsageError):
        RetrieveTarget(uid)


def header_of(url: str) -> str | None:
    import httpx

    found = credentials(url)
    if found is None:
        return None
    return next(found.auth_flow(httpx.Request("GET", url))).headers["Authorization"]


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No credentials anywhere."""
    for name in list(os.environ):
        if name.startswith("MEDVIS_DICOMWEB_") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def test_credentials_come_from_the_environment_or_a_netrc_file(bare, tmp_path):
    assert header_of("https://pacs.example/x") is None
    netrc = tmp_path / "net rc"
    netrc.write_text("machine pacs.example login me password one\n")
    netrc.chmod(0o600)
    bare.setenv("NETRC", str(netrc))
    assert header_of("https://pacs.example/x") == "Basic bWU6b25l"
    assert header_of("https://other.example/x") is None
    bare.setenv("MEDVIS_DICOMWEB_USER", "me")
    bare.setenv("MEDVIS_DICOMWEB_PASSWORD", "two")
    assert header_of("https://pacs.example/x") == "Basic bWU6dHdv"
    bare.setenv("MEDVIS_DICOMWEB_TOKEN", "three")
    assert header_of("https://pacs.example/x") == "Bearer three"


def test_half_of_the_credentials_and_a_bad_netrc_are_said_without_quoting_them(bare, tmp_path):
    bare.setenv("MEDVIS_DICOMWEB_PASSWORD", "secret")
    with pytest.raises(SettingsError) as error:
        credentials("https://pacs.example")
    assert "secret" not in error.value.line
    bare.delenv("MEDVIS_DICOMWEB_PASSWORD")
    bare.setenv("NETRC", str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match="no file"):
        credentials("https://pacs.example")
    broken = tmp_path / "broken"
    broken.write_text("machine pacs.example passwort secret\n")
    broken.chmod(0o600)
    bare.setenv("NETRC", str(broken))
    with pytest.raises(SettingsError) as error:
        credentials("https://pacs.example")
    assert "secret" not in error.value.line


@given(body=st.binary(max_size=200), size=st.integers(1, 60), other=st.binary(max_size=30))
def test_a_part_is_found_however_the_message_is_cut(body, size, other):
    boundary = b"xyz"
    if b"\r\n--" + boundary in body + b"\r\n":
        return
    message = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--xyz\r\n\r\n" + other + b"\r\n--xyz--"
    got: list[bytes] = []
    copy_first_part((message[at : at + size] for at in range(0, len(message), size)), boundary, got.append)
    assert b"".join(got) == body


@pytest.mark.parametrize(
    ("message", "reason"),
    [(b"--xyz\r\n\r\nhalf of a file", "ends within"), (b"", "no file"), (b"<html>" * 4000, "no multipart")],
)
def test_a_message_that_is_cut_off_is_no_file(message, reason):
    with pytest.raises(ValueError, match=reason):
        copy_first_part(iter([message]), b"xyz", lambda _: None)


def test_the_boundary_stands_in_the_content_type():
    assert boundary_of('multipart/related; type="application/dicom"; boundary="a-b"') == b"a-b"
    assert boundary_of("Multipart/Related; Boundary=a_b; x=y") == b"a_b"
    assert boundary_of("application/dicom") is None


def test_an_upload_has_the_length_that_it_announces_and_is_read_back(slices):
    upload = Upload(slices[0])
    message = b"".join(upload)
    assert len(message) == int(upload.headers["Content-Length"])
    got: list[bytes] = []
    copy_first_part(iter([message]), boundary_of(upload.headers["Content-Type"]) or b"", got.append)
    assert b"".join(got) == slices[0].read_bytes()


def test_a_data_set_and_its_file_have_one_identity(slices, tmp_path):
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    identity = identity_of_file(slices[0])
    ds = dcmread(slices[0], stop_before_pixels=True)
    assert identity == InstanceUids(
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, CT, ds.file_meta.TransferSyntaxUID
    )
    data = DicomBytesIO()
    data.is_little_endian, data.is_implicit_VR = True, False
    write_dataset(data, ds)
    assert identity_of_data(data.getvalue(), identity.syntax) == identity
    again = tmp_path / "again.dcm"
    again.write_bytes(file_header(identity) + data.getvalue())
    assert identity_of_file(again) == identity
    assert file_header(identity) == file_header(identity)


@pytest.mark.parametrize("data", [b"", b"garbage" * 99, bytes(5000), b"\x08\x00\x16\x00UI\xff\xff"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_what_is_no_data_set_has_no_identity(data, syntax, tmp_path):
    with pytest.raises(ValueError, match="no DICOM data set"):
        identity_of_data(data, syntax)
    path = tmp_path / "x.dcm"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no DICOM file"):
        identity_of_file(path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"aet": "A" * 17}, "title"), ({"allow": ["a\\b"]}, "title"), ({"port": 70000}, "port"), ({"typo": 1}, "typo"),
        ({"tls": {"key": "k.pem"}}, "certificate"),
    ],
)  # fmt: skip
def test_a_setting_that_is_wrong_is_named(change, word):
    from medvis.settings import validated

    with pytest.raises(SettingsError, match=word):
        validated(ListenSettings, change, "listen")


def test_the_port_is_not_opened_to_everybody():
    ListenSettings(host="::1").check_reach()
    ListenSettings(host="0.0.0.0", allow=["PACS"]).check_reach()
    ListenSettings(host="pacs", tls=Tls(cert=Path("c"), ca=Path("a"))).check_reach()
    with pytest.raises(UsageError, match="--allow"):
        ListenSettings(host="0.0.0.0").check_reach()


def test_waiting_doubles_up_to_a_bound():
    settings = ListenSettings(backoff=5, backoff_most=60)
    assert [settings.wait(attempts) for attempts in (1, 2, 3, 4, 5, 99)] == [5, 10, 20, 40, 60, 60]


def test_tls_files_that_are_none_are_said(tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM")
    for files in (Tls(cert=broken), Tls(ca=tmp_path / "absent"), Tls(cert=tmp_path / "absent")):
        with pytest.raises(SettingsError):
            client_context(files)
    with pytest.raises(SettingsError, match="--tls-cert"):
        server_context(Tls(ca=broken))
    assert server_context(Tls()) is None


@pytest.mark.parametrize(
    ("text", "value"), [("5s", 5), ("250ms", 0.25), ("2m", 120), ("3 min", 180), ("12h", 43200), ("1.5d", 129600)]
)
def test_durations(text, value):
    assert seconds(text, "--x") == value


def test_a_number_alone_is_in_the_options_own_unit():
    assert seconds("7", "--keep", "d") == 7 * 86400
    with pytest.raises(UsageError, match="--keep"):
        seconds("soon", "--keep")


def test_keys_of_a_query_are_attributes():
    assert checked_keys(["PatientName=Doe*", "StudyDate="]) == {"PatientName": "Doe*", "StudyDate": ""}
    for text in ("PatientsName=x", "PatientName", "=x"):
        with pytest.raises(UsageError):
            checked_keys([text])
    asked = identifier("instance", {"PatientName": "Müller", "SOPInstanceUID": ""})
    assert (asked.QueryRetrieveLevel, asked.SpecificCharacterSet) == ("IMAGE", "ISO_IR 192")


def test_without_the_extra_the_commands_say_what_to_install(medvis, monkeypatch):
    from medvis.pacs import settings

    monkeypatch.setattr(settings, "find_spec", lambda name: None if name == "httpx" else object())
    for command in (["listen"], ["pull", "PACS@127.0.0.1:104"], ["push", "x", "--to", "PACS@127.0.0.1:104"]):
        assert "pip install 'medvis[pacs]'" in medvis(*command).error(4)


def test_a_peer_that_is_not_there(medvis, slices, tmp_path):
    from pacs_tools import free_port

    for peer in (f"PACS@127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}/dicom-web"):
        assert "cannot be reached" in medvis("pull", peer, "--query", "Modality=CT").error(InputError.exit_code)
    assert "cannot be reached" in medvis("push", slices[0], "--to", f"P@127.0.0.1:{free_port()}").error(
        OutputError.exit_code
    )
    ran = medvis("push", slices[0], "--to", f"http://127.0.0.1:{free_port()}/dicom-web")
    assert ran.code == 8
    assert "cannot be reached" in ran.stderr


def test_wrong_use_is_said(medvis):
    assert "--study" in medvis("pull", "PACS@127.0.0.1:104").error(2)
    assert "both" in medvis("pull", "PACS@127.0.0.1:104", "--series", "1.2", "-o", "x").error(2)
    assert "one of them" in medvis("pull", "https://h/x/studies/1.2", "--study", "1.2", "-o", "x").error(2)
    assert "--via" in medvis("pull", "PACS@127.0.0.1:104", "--via", "mail").error(2)
    assert "does not exist" in medvis("push", "absent.dcm", "--to", "PACS@127.0.0.1:104").error(3)
    assert "unknown task" in medvis("listen", "--task", "nonsense", "--port", "0").error(4)
    assert "--write" in medvis("listen", "--write", "nonsense", "--port", "0").error(2)
    assert "typo" in medvis("listen", "--set", "listen.typo=1", "--port", "0").error(4)
    assert "--allow" in medvis("listen", "--host", "0.0.0.0", "--port", "0").error(2)
    assert "no DICOM peer" in medvis("listen", "--to", "nonsense", "--port", "0").error(2)

"""The listener against senders that are right, wrong and hostile; no diagnosis, but the queue on the disk."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from io import BytesIO
from pathlib import Path

import pytest
from pacs_tools import free_port, need_tool, receiving, storescu, told, until, wait_for

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")

from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from medvis.errors import MedvisError, OutputError, SettingsError
from medvis.pacs.dimse.associations import SYNTAXES, association, contexts_in_groups
from medvis.pacs.files import identity_of_file
from medvis.pacs.listener.listener import Listener
from medvis.pacs.peers import DimsePeer, PeerError
from medvis.pacs.push import push
from medvis.pacs.settings import ListenSettings, Tls

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def peer_of(listener, **changes) -> DimsePeer:
    return DimsePeer(**{"aet": "MEDVIS", "host": "127.0.0.1", "port": listener.port, **changes})


def stored(listener) -> int:
    return sum(len(files) for files in listener.store.journal.files().values())


def failures(files, listener) -> list[str | None]:
    return [sent.failure for sent in push(files, peer_of(listener), Tls(), aet="SENDER")]


def serves(listener, slices) -> bool:
    """Whether a sender is let in and served; no is the answer while the associations are all taken."""
    try:
        return goes_on(listener, slices)
    except PeerError:
        return False


def goes_on(listener, slices) -> bool:
    """Whether an honest sender is still served."""
    return failures(slices[:1], listener) == [None]


@pytest.fixture
def raw_store(tmp_path):
    """Sends these bytes as the data set of a C-STORE; the status, or None without an answer."""

    def send(listener, data: bytes, instance: str = "1.2.3") -> int | None:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, instance
        meta.TransferSyntaxUID = EXPLICIT
        path = tmp_path / "raw.dcm"
        with path.open("wb") as stream:
            stream.write(bytes(128) + b"DICM")
            write_file_meta_info(stream, meta, enforce_standard=False)
            stream.write(data)
        with association(peer_of(listener), contexts_in_groups([(CT, EXPLICIT)])[0], Tls()) as held:
            return held.send_c_store(path).get("Status")

    return send


def test_what_is_confirmed_is_on_the_disk_once(slices, tmp_path):
    with receiving(tmp_path / "s") as listener:
        assert failures(slices, listener) == [None] * 3
        assert failures(slices, listener) == [None] * 3  # again: known
        (first, second) = wait_for(listener, "received", 2)
        assert (first["new"], second["new"]) == (3, 0)
        assert stored(listener) == 3
        files = sorted((tmp_path / "s" / "studies").rglob("*.dcm"))
    assert {identity_of_file(path) for path in files} == {identity_of_file(path) for path in slices}
    assert not list((tmp_path / "s" / "incoming").iterdir())
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    assert told(listener, "stopped")[0]["queue"]["open"] == 1


def test_the_log_tells_no_identity(slices, tmp_path):
    from pydicom import dcmread

    ds = dcmread(slices[0], stop_before_pixels=True)
    with receiving(tmp_path / "s") as listener:
        failures(slices, listener)
        wait_for(listener, "received")
    said = repr(listener.events)
    for word in (ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID):
        assert str(word) not in said
    assert not [path for path in (tmp_path / "s").rglob("*") if str(ds.StudyInstanceUID) in path.name]


def test_what_is_offered_is_what_is_read():
    from medvis.dicom.read.decode import DECODERS

    deflated_frames = "1.2.840.10008.1.2.8.1"  # which the reader unpacks itself
    assert sorted(SYNTAXES) == sorted({*map(str, DECODERS), deflated_frames})


def test_an_echo_is_answered(tmp_path):
    with receiving(tmp_path / "s") as listener:
        command = [need_tool("echoscu"), "-aec", "MEDVIS", "127.0.0.1", str(listener.port)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_only_titles_on_the_list_are_let_in(slices, tmp_path):
    with receiving(tmp_path / "s", allow=["SENDER", "OTHER"]) as listener:
        assert storescu(listener.port, slices[0], aet="STRANGER") != 0
        assert storescu(listener.port, slices[0], aec="ANYTHING") != 0
        assert stored(listener) == 0
        assert storescu(listener.port, slices[0], aet="OTHER") == 0
        assert stored(listener) == 1
    refused = told(listener, "refused")
    assert [facts["sender"].partition("@")[0] for facts in refused] == ["STRANGER", "SENDER"]


def test_a_rejection_is_said_in_words(slices, tmp_path):
    with receiving(tmp_path / "s", allow=["PACS"]) as listener, pytest.raises(PeerError, match="calling ae title"):
        failures(slices, listener)


def test_no_more_associations_than_allowed(slices, tmp_path):
    with receiving(tmp_path / "s", max_associations=1) as listener:
        contexts = contexts_in_groups([(CT, EXPLICIT)])[0]
        with association(peer_of(listener), contexts, Tls()), pytest.raises(PeerError):
            failures(slices, listener)
        until(lambda: serves(listener, slices), 20)


def test_a_full_disk_is_out_of_resources(slices, tmp_path):
    with receiving(tmp_path / "s", min_free_mb=1 << 40) as listener:
        (said,) = failures(slices[:1], listener)
        assert said == "refused: status A700, out of resources"
        assert stored(listener) == 0
    assert not list((tmp_path / "s").rglob("*.dcm"))


def test_a_data_set_above_the_limit_ends_the_connection_only(raw_store, slices, tmp_path):
    with receiving(tmp_path / "s", max_object_mb=1) as listener:
        with pytest.raises((OutputError, MedvisError, RuntimeError, AssertionError)):
            assert raw_store(listener, bytes(3 << 20)) is not None
        assert any(facts["reason"] == "more bytes than the limit" for facts in wait_for(listener, "refused"))
        assert goes_on(listener, slices)
        assert stored(listener) == 1


@pytest.mark.parametrize("data", [b"\0", b"garbage" * 1000, b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"])
def test_a_data_set_that_is_none_is_refused(raw_store, data, slices, tmp_path):
    with receiving(tmp_path / "s") as listener:
        assert raw_store(listener, data) == 0xC000
        assert goes_on(listener, slices)
        assert stored(listener) == 1


def test_a_data_set_that_is_another_is_refused(raw_store, slices, tmp_path):
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    data = DicomBytesIO()
    data.is_little_endian, data.is_implicit_VR = True, False
    write_dataset(data, dcmread(slices[0], stop_before_pixels=True))
    with receiving(tmp_path / "s") as listener:
        assert raw_store(listener, data.getvalue(), instance="1.2.3") == 0xA900
        assert stored(listener) == 0


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        random.Random(5).randbytes(5000),
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),  # an association request of 4 GiB
        b"\x04\x00\x00\x00\x00\x20" + bytes(32),  # data before any association
        b"\x01\x00\x00\x00\x00\x04\x00\x01\x00\x00",  # a request that ends too early
        b"",
    ],
)
def test_garbage_on_the_port_harms_nobody(words, slices, tmp_path):
    with receiving(tmp_path / "s") as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as stranger:
            stranger.sendall(words)
            assert goes_on(listener, slices)
        assert goes_on(listener, slices)


def test_half_a_data_set_is_no_instance(slices, tmp_path):
    with receiving(tmp_path / "s", max_associations=1) as listener:
        entity = AE("SENDER")
        held = entity.associate(
            "127.0.0.1", listener.port, contexts=contexts_in_groups([(CT, EXPLICIT)])[0], ae_title="MEDVIS"
        )
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CT, "1.2.3"
        request.DataSet = BytesIO(bytes(100_000))
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        pieces = list(message.encode_msg(held.accepted_contexts[0].context_id, 8192))
        for piece in pieces[: len(pieces) // 2]:
            held.dul.send_pdu(piece)
        time.sleep(0.3)
        held.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: serves(listener, slices), 20)  # which is when the one association allowed has ended
        assert stored(listener) == 1
        held.kill()
        held.join(10)


def test_one_store_has_one_listener(tmp_path):
    with receiving(tmp_path / "s"), pytest.raises(SettingsError, match="another listener"):
        Listener(ListenSettings(port=0, store=tmp_path / "s"), {}, lambda *_: None)


def test_a_port_that_is_taken(tmp_path):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OutputError, match=str(port)):
        Listener(ListenSettings(port=port, store=tmp_path / "s"), {}, lambda *_: None)
    with receiving(tmp_path / "s") as listener:  # the store was let go
        assert listener.port


@pytest.fixture(scope="module")
def papers(tmp_path_factory) -> Path:
    """Certificates: ours and theirs from one authority, a stranger's from another."""
    folder = tmp_path_factory.mktemp("papers")
    openssl = need_tool("openssl")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for authority in ("ca", "strangers"):
        names = ["-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-days", "2", "-subj", f"/CN={authority}"]
        run("req", "-x509", *curve, *names)
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name, authority in (("ours", "ca"), ("theirs", "ca"), ("stranger", "strangers")):
        run("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "san"]
        run("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem", "-days", "2")
    return folder


def shown(papers: Path, name: str | None, authority: str = "ca") -> Tls:
    own = {} if name is None else {"cert": papers / f"{name}.pem", "key": papers / f"{name}.key"}
    return Tls(ca=papers / f"{authority}.pem", **own)


def test_over_tls_both_sides_show_who_they_are(papers, slices, tmp_path):
    with receiving(tmp_path / "s", tls=shown(papers, "ours")) as listener:
        silent = socket.create_connection(("127.0.0.1", listener.port))  # must not keep the others waiting
        right = push(slices[:1], peer_of(listener, tls=True), shown(papers, "theirs"))
        assert [sent.failure for sent in right] == [None]
        for wrong in (shown(papers, None), shown(papers, "stranger"), shown(papers, "theirs", "strangers")):
            with pytest.raises(PeerError):
                list(push(slices[1:], peer_of(listener, tls=True), wrong))
        with pytest.raises(PeerError):  # without TLS
            list(push(slices[1:], peer_of(listener), Tls()))
        assert stored(listener) == 1
        command = [
            need_tool("storescu"), "-xv", "-aec", "MEDVIS", "+tls", papers / "theirs.key", papers / "theirs.pem",
            "+cf", papers / "ca.pem", "127.0.0.1", str(listener.port), slices[1],
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert stored(listener) == 2
        silent.close()
    assert any(facts["reason"].startswith("TLS") for facts in told(listener, "refused"))

"""What a peer may make us read, hold and wait for, in both roles: raw bytes on loopback against limits made small."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from pacs_tools import receiving, storescu, told, until

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("httpx", reason="the extra 'pacs' is not installed")

from medvis.errors import SettingsError
from medvis.pacs.dimse import query
from medvis.pacs.peers import DimsePeer, PeerError, RetrieveTarget, WebPeer
from medvis.pacs.query import find
from medvis.pacs.settings import Tls
from medvis.pacs.web import bounds, client
from medvis.pacs.web.client import Web
from medvis.pacs.web.credentials import TOKEN, credentials

CT, EXPLICIT = b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.1.2.1"
FIND = b"1.2.840.10008.5.1.4.1.2.2.1"


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def associate(kind: int = 1, abstract: bytes = CT) -> bytes:
    """A-ASSOCIATE-RQ (1) or -AC (2), PS3.8 9.3.2 and 9.3.3, with one presentation context."""
    inner = item(0x30, abstract) if kind == 1 else b""
    context = item(0x20 if kind == 1 else 0x21, bytes([1, 0, 0, 0]) + inner + item(0x40, EXPLICIT))
    user = item(0x50, item(0x51, struct.pack(">I", 1 << 14)) + item(0x52, b"1.2.3"))
    titles = b"MEDVIS".ljust(16) + b"SCU".ljust(16) + bytes(32)
    body = struct.pack(">HH", 1, 0) + titles + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return struct.pack(">BBI", kind, 0, len(body)) + body


def pdata(data: bytes, *, command: bool = True, last: bool = True) -> bytes:
    body = struct.pack(">IBB", len(data) + 2, 1, command | last << 1) + data
    return struct.pack(">BBI", 4, 0, len(body)) + body


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def pending(number: int) -> bytes:
    """A C-FIND-RSP with status FF00 (PS3.4 C.4.1.1.4) and its identifier."""
    parts = ((0x100, 0x8020), (0x120, 1), (0x800, 1), (0x900, 0xFF00))
    body = element(2, FIND) + b"".join(element(tag, struct.pack("<H", value)) for tag, value in parts)
    uid = b"1.2.%05d\0" % number
    data = struct.pack("<HH2sH", 0x20, 0xD, b"UI", len(uid) + len(uid) % 2) + uid + b"\0" * (len(uid) % 2)
    return pdata(element(0, struct.pack("<I", len(body))) + body) + pdata(data, command=False)


def dial(listener) -> socket.socket:
    held = socket.create_connection(("127.0.0.1", listener.port), 20)
    held.sendall(associate())
    assert held.recv(1) == b"\x02"
    return held


def pour(held: socket.socket, data: bytes, times: int) -> int:
    """How often data could be sent before the other end closed."""
    for number in range(times):
        try:
            held.sendall(data)
        except OSError:
            return number
    return times


def reasons(listener) -> list[str]:
    return [str(facts["reason"]) for facts in told(listener, "refused")]


def test_an_endless_command_ends_the_connection(slices, tmp_path):
    with receiving(tmp_path / "s") as listener:
        with dial(listener) as held:
            assert pour(held, pdata(bytes(60_000), last=False), 5000) < 5000
        assert "more bytes than the limit" in reasons(listener)
        assert storescu(listener.port, slices[0]) == 0


def test_an_association_has_its_bytes(tmp_path):
    with receiving(tmp_path / "s", max_association_mb=1) as listener, dial(listener) as held:
        pour(held, pdata(bytes(60_000), command=False, last=False), 1000)
        until(lambda: "more bytes on one association than the limit" in reasons(listener), 10)


@pytest.mark.parametrize("begun", [b"", associate()], ids=["association", "message"])
def test_a_drip_ends_at_its_deadline(begun, slices, tmp_path):
    """A byte each 0.2 s, before and within an association, where each wait is far below the timeout."""
    rest = pdata(bytes(4000), last=False) if begun else associate()
    with receiving(tmp_path / "s", timeout=1, max_associations=1) as listener:
        with socket.create_connection(("127.0.0.1", listener.port), 20) as held:
            held.sendall(begun)
            for at in range(40):
                time.sleep(0.2)
                if not pour(held, rest[at : at + 1], 1):
                    break
            until(lambda: "a PDU took longer than the limit" in reasons(listener), 5)
        until(lambda: storescu(listener.port, slices[0]) == 0, 10)


def test_a_message_in_many_small_pieces_ends_at_its_deadline(tmp_path):
    with receiving(tmp_path / "s", request_timeout=1) as listener, dial(listener) as held:
        for _ in range(14):
            time.sleep(0.1)
            pour(held, pdata(b"\0\0", last=False), 1)
        until(lambda: "a message took longer than the limit" in reasons(listener), 5)


def test_one_address_does_not_take_all_connections(tmp_path):
    with receiving(tmp_path / "s", max_associations=4) as listener:
        held = [socket.create_connection(("127.0.0.1", listener.port), 20) for _ in range(5)]
        until(lambda: reasons(listener).count("too many connections of one address") == 2, 10)
        for one in held:
            one.close()


@pytest.fixture
def serve():
    """A server on loopback that does the same to every connection; its port."""
    servers = []

    def start(behave: Callable[[socket.socket], object]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def one(held: socket.socket) -> None:
            with held, suppress(OSError):
                behave(held)

        def loop() -> None:
            while True:
                try:
                    held, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(held,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return server.getsockname()[1]

    yield start
    for server in servers:
        server.close()


def accept_find(held: socket.socket) -> None:
    held.recv(1 << 16)
    held.sendall(associate(2))


def huge(held: socket.socket) -> None:
    accept_find(held)
    held.sendall(struct.pack(">BBI", 4, 0, 0xFFFFFFF0))
    pour(held, bytes(1 << 16), 1000)


def endless_command(held: socket.socket) -> None:
    accept_find(held)
    pour(held, pdata(bytes(60_000), last=False), 5000)


def endless_answers(held: socket.socket) -> None:
    accept_find(held)
    held.recv(1 << 16)
    for number in range(100_000):
        held.sendall(pending(number))


@pytest.mark.parametrize("behave", [huge, endless_command, endless_answers])
def test_an_application_entity_that_does_not_end_is_left(behave, serve, monkeypatch):
    monkeypatch.setattr(query, "MOST_MATCHES", 50)
    with pytest.raises(PeerError):
        find(DimsePeer("PACS", "127.0.0.1", serve(behave)), "study", {}, Tls())


def answering(kind: str, body: bytes, *, head: str = "", times: int = 1, pause: float = 0.0):
    """A service that answers every request with a body, so often, without telling a length."""

    def behave(held: socket.socket) -> None:
        held.recv(1 << 16)
        held.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n{head}\r\n".encode())
        for _ in range(times):
            held.sendall(body)
            time.sleep(pause)

    return behave


JSON, PARTS = "application/dicom+json", "multipart/related; type=application/dicom; boundary=B"
OPENING = b"--B\r\nContent-Type: application/dicom\r\n\r\n"
ZIPPED = "Content-Encoding: gzip\r\n"


def pages(held: socket.socket) -> None:
    """Other matches each time it is asked."""
    held.recv(1 << 16)
    body = json.dumps([{"00080018": {"vr": "UI", "Value": [f"1.2.{time.monotonic_ns()}.{n}"]}} for n in range(50)])
    held.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nConnection: close\r\n\r\n{body}".encode())


@pytest.mark.parametrize(
    ("behave", "found"),
    [
        (answering(JSON, gzip.compress(b"[" + b" " * 1000 + b"]"), head=ZIPPED), "compressed"),
        (answering(JSON, b" " * 60_000, times=1000), "more than"),
        (answering(JSON, b" ", times=100, pause=0.05), "slower"),
        (answering(JSON, b"[" * 100_000 + b"]" * 100_000), "deeply"),
        (pages, "more than"),
    ],
)
def test_a_search_ends_whatever_the_service_does(behave, found, serve, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_JSON", 1 << 20)
    monkeypatch.setattr(bounds, "GRACE", 0.5)
    monkeypatch.setattr(client, "MOST_MATCHES", 500)
    with Web(WebPeer(f"http://127.0.0.1:{serve(behave)}")) as web, pytest.raises(PeerError, match=found):
        list(web.search("studies", {}))


@pytest.mark.parametrize(
    ("behave", "found"),
    [
        (answering(PARTS, gzip.compress(OPENING), head=ZIPPED), "compressed"),
        (answering(PARTS, OPENING + bytes(60_000), times=1000), "more than"),
        (answering(PARTS, OPENING + b"x", times=100, pause=0.05), "slower"),
    ],
)
def test_an_instance_ends_whatever_the_service_does(behave, found, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "MOST_OBJECT", 1 << 20)
    monkeypatch.setattr(bounds, "GRACE", 0.5)
    target = RetrieveTarget("1.2", "1.2.3", "1.2.3.4")
    with Web(WebPeer(f"http://127.0.0.1:{serve(behave)}")) as web, pytest.raises(PeerError, match=found):
        web.fetch(target, tmp_path / "in" / "a.dcm")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("token", ["a\nX-Evil: 1", "tok\udcff", "a b"])
def test_a_token_that_no_header_can_hold_is_refused(token, monkeypatch):
    monkeypatch.setattr("os.environ", {TOKEN: token})
    with pytest.raises(SettingsError, match=TOKEN):
        credentials("https://pacs.example")

"""DICOMweb services that misbehave: nothing half-written, nothing followed, one line each."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("httpx", reason="the extra 'pacs' is not installed")

from medvis.errors import InputError
from medvis.pacs.files import identity_of_file
from medvis.pacs.peers import PeerError, RetrieveTarget, WebPeer
from medvis.pacs.query import instances
from medvis.pacs.remote import fetched
from medvis.pacs.settings import Tls
from medvis.pacs.web import client as webclient
from medvis.pacs.web.client import Web
from medvis.pacs.web.fetch import fetch_all

RELATED = 'multipart/related; type="application/dicom"; boundary=xyz'


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(webclient, "PATIENCE", 0.01)


class Quiet(BaseHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, *_):
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]):
    """A DICOMweb server on a port of its own, as a peer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield WebPeer(f"http://127.0.0.1:{server.server_address[1]}/dicom-web")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def service(*answers: tuple[int, dict[str, str], bytes]):
    """A server that gives these answers one after the other, the last one for ever; with the paths it was asked for."""
    waiting, asked = list(answers), []

    class Handler(Quiet):
        def do_GET(self):
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

    with serving(Handler) as peer:
        yield peer, asked


def part(body: bytes) -> bytes:
    return b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--xyz--"


@pytest.fixture
def wanted(slices) -> RetrieveTarget:
    identity = identity_of_file(slices[0])
    return RetrieveTarget(identity.study, identity.series, identity.instance)


@pytest.fixture
def image(slices) -> bytes:
    return slices[0].read_bytes()


def test_either_form_of_an_answer_is_a_file(wanted, image, tmp_path):
    for number, answer in enumerate(
        [({"Content-Type": RELATED}, part(image)), ({"Content-Type": "application/dicom"}, image)]
    ):
        with service((200, *answer)) as (peer, _):
            pulled = fetch_all(peer, [wanted], tmp_path / str(number), Tls())
        assert pulled.failures == []
        assert pulled.files[0].read_bytes() == image


def test_a_busy_service_is_asked_again(wanted, image, tmp_path):
    with service((503, {}, b""), (429, {}, b""), (200, {"Content-Type": RELATED}, part(image))) as (peer, asked):
        assert fetch_all(peer, [wanted], tmp_path, Tls()).failures == []
        assert len(asked) == 3


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (503, {}, b"", "answers 503"),
        (404, {}, b"", "not there"),
        (403, {}, b"", "not allowed"),
        (302, {"Location": "http://127.0.0.1:9/elsewhere"}, b"", "points elsewhere"),
        (200, {"Content-Type": "text/html"}, b"<html>", "not DICOM"),
        (200, {"Content-Type": RELATED}, b"--xyz\r\n\r\nDICM and half of it", "ends within a file"),
        (200, {"Content-Type": RELATED, "Content-Length": "5000"}, b"--xyz\r\n\r\nDICM", "connection failed"),
        (200, {"Content-Type": RELATED}, b"--xyz\r\n\r\nno DICOM at all\r\n--xyz--", "no DICOM file"),
    ],
)  # fmt: skip
def test_what_is_no_file_leaves_none(status, headers, body, reason, wanted, tmp_path):
    with service((status, {"Connection": "close", **headers}, body)) as (peer, _):
        ((what, why),) = fetch_all(peer, [wanted], tmp_path, Tls()).failures
    assert what == f"instance {wanted.instance}"
    assert reason in why
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_another_instance_is_not_taken_for_the_one_asked_for(wanted, slices, tmp_path):
    with service((200, {"Content-Type": RELATED}, part(slices[1].read_bytes()))) as (peer, _):
        assert fetch_all(peer, [wanted], tmp_path, Tls()).failures[0][1] == "another instance came"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def listing(*targets: RetrieveTarget) -> bytes:
    tags = {"0020000E": "series", "00080018": "instance"}
    items = [{tag: {"vr": "UI", "Value": [getattr(one, name)]} for tag, name in tags.items()} for one in targets]
    return json.dumps(items).encode()


def test_a_study_of_which_a_part_is_missing_is_no_folder(wanted, image):
    other = RetrieveTarget(wanted.study, str(wanted.series), "1.2.3")
    pages = (200, {}, listing(wanted, other)), (200, {}, b"[]"), (404, {}, b"")
    with service(*pages, (200, {"Content-Type": RELATED}, part(image))) as (peer, _):
        url = f"{peer}/studies/{wanted.study}"
        with pytest.raises(InputError, match="1 of 2 instances") as error, fetched(url):
            pass
    assert url in error.value.line


def test_a_listing_that_names_no_instance_leads_nowhere(wanted):
    hostile = listing(RetrieveTarget(wanted.study, "1.2", "1.3")).replace(b"1.3", b"../../x")
    refused = pytest.raises(InputError, match="one that is none")
    with service((200, {}, hostile)) as (peer, _), refused, fetched(f"{peer}/studies/{wanted.study}"):
        pass


def test_pages_are_turned_until_one_is_empty():
    pages = [
        [{"00100020": {"vr": "LO", "Value": [name]}} for name in names] for names in (["a", "b"], ["c"], ["d", "e"], [])
    ]
    answers = [(200, {}, json.dumps(page).encode()) for page in pages]
    with service(*answers) as (peer, asked), Web(peer) as web:
        assert [match["00100020"] for match in web.search("studies", {"00100020": ""})] == ["a", "b", "c", "d", "e"]
        assert [parse_qs(urlsplit(path).query).get("offset") for path in asked] == [None, ["2"], ["3"], ["5"]]
    with service(answers[0]) as (peer, asked), Web(peer) as web:  # one that knows no pages gives the same for ever
        assert len(list(web.search("studies", {}))) == 2
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J"}]}}], {"00100010": "Doe^J"}),
        ([{"00080061": {"vr": "CS", "Value": ["CT", "SR"]}}], {"00080061": "CT\\SR"}),
        ([{"00201206": {"vr": "IS", "Value": [3]}}], {"00201206": "3"}),
        ([{"00080020": {"vr": "DA"}, "00080050": {"vr": "SH", "Value": [None]}}], {"00080020": "", "00080050": ""}),
    ],
)  # fmt: skip
def test_values_of_every_form_are_text(body, text):
    with service((200, {}, json.dumps(body).encode())) as (peer, _), Web(peer) as web:
        assert list(web.search("studies", {})) == [text]


@pytest.mark.parametrize("body", [b"<html>", b'{"a": 1}', b"[1]", b'[{"00100020": 5}]'])
def test_an_answer_that_is_no_listing_is_said(body):
    with service((200, {}, body)) as (peer, _), Web(peer) as web, pytest.raises(InputError, match="DICOMweb"):
        list(web.search("studies", {}))


def test_nothing_found_is_nothing():
    with service((204, {}, b"")) as (peer, _), Web(peer) as web:
        assert list(web.search("studies", {})) == []


OK = {"00081199": {"vr": "SQ", "Value": [{}]}}
NO = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA900]}}]}}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, OK, None), (202, OK, None), (200, {}, None), (200, "<xml>", None),
        (409, NO, "refused, reason A900"), (202, NO, "refused, reason A900"), (400, {}, "answers 400"),
        (401, {}, "credentials"), (409, {}, "answers 409"), (500, "<xml>", "answers 500"), (307, {}, "elsewhere"),
    ],
)  # fmt: skip
def test_what_a_service_says_about_a_file(status, body, reason, slices):
    sent = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with service((status, {"Location": "/x"} if status == 307 else {}, sent)) as (peer, _), Web(peer) as web:
        said = web.store(slices[0])
    assert said is None if reason is None else reason in said


class Archive:
    """A DICOMweb service that holds one study of so many instances and gives them page by page, as it likes."""

    def __init__(self, held: int, cap: int, most: int = 10**6, told: int | None = None, pages: bool = True) -> None:
        self.held, self.cap, self.most, self.pages = held, cap, most, pages
        self.told = held if told is None else told
        self.limits: list[int | None] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, list[dict[str, object]]]:
        limit = int(query["limit"][0]) if "limit" in query else None
        self.limits.append(limit)
        if limit is not None and limit > self.most:
            return 400, []
        if not path.endswith("instances"):
            number = "00201208" if path.endswith("studies") else "00201209"
            found = {"0020000D": {"vr": "UI", "Value": ["1.2"]}, number: {"vr": "IS", "Value": [self.told]}}
            return 200, [found] if "offset" not in query else []
        first = int(query.get("offset", ["0"])[0]) if self.pages else 0
        stop = min(self.held, first + min(self.cap, limit or self.cap))
        uids = ((0x0020000E, "1.2.3"), (0x00080018, "1.2.3.{}"))
        return 200, [
            {f"{tag:08X}": {"vr": "UI", "Value": [uid.format(number)]} for tag, uid in uids}
            for number in range(first, stop)
        ]


@contextmanager
def archive(held: Archive):
    class Handler(Quiet):
        def do_GET(self):
            parts = urlsplit(self.path)
            status, found = held.answer(parts.path, parse_qs(parts.query))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as peer:
        yield peer


@pytest.mark.parametrize(
    "held",
    [
        Archive(25, cap=10),  # PS3.18 8.3.4.4: a service may give fewer than it is asked for
        Archive(25, cap=10, most=100),
        Archive(25, cap=7, most=20),
        Archive(25, cap=10**6, pages=False),
        Archive(1200, cap=10**6),
    ],
    ids=["capped pages", "400 for 500", "400 for 100", "no pages", "three pages"],
)
def test_every_instance_is_listed_whatever_the_service_makes_of_pages(held):
    with archive(held) as peer:
        listed = instances(peer, RetrieveTarget("1.2"), Tls())
    assert len({target.instance for target, _ in listed}) == len(listed) == held.held


def test_a_service_that_keeps_instances_back_is_an_error():
    with archive(Archive(25, cap=10, pages=False)) as peer:
        with pytest.raises(PeerError, match=r"lists 10 instances of a study of 25; wanted: all of them"):
            instances(peer, RetrieveTarget("1.2"), Tls())
        with pytest.raises(PeerError, match=r"lists 10 instances of a series of 25"):
            instances(peer, RetrieveTarget("1.2", "1.2.3"), Tls())
    with archive(Archive(25, cap=25, most=0)) as peer:
        assert len(instances(peer, RetrieveTarget("1.2"), Tls())) == 25


def test_a_service_that_refuses_every_limit_is_one_line():
    with service((400, {}, b"")) as (peer, asked), pytest.raises(PeerError, match="answers 400"):
        instances(peer, RetrieveTarget("1.2"), Tls())
    assert len(asked) == 4

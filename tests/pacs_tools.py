"""A real Orthanc on loopback, a real listener in a process of its own, and what tests ask of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

BINARY = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
PLACES = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
PLUGIN = next((found for place in PLACES for found in place.glob("libOrthancDicomWeb.so*")), None)
QUICK = ["--set", "listen.backoff=0.3", "--set", "listen.backoff_most=1", "--set", "listen.min_free_mb=0"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(wanted, seconds: float = 180.0):
    """The first truth that `wanted()` gives; fails the test after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = wanted()
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"{wanted.__name__} did not come true within {seconds:g} s")


def need_tool(name: str) -> str:
    """A program of the system: pynetdicom brings a storescu of its own, a script, into every environment."""
    places = [shutil.which(name, path=place) for place in os.environ["PATH"].split(os.pathsep)]
    found = next((place for place in places if place and Path(place).read_bytes()[:2] != b"#!"), None)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's dcmtk, openssl)")
    return found


@dataclass
class Orthanc:
    """A running server: AE title ORTHANC; it knows the title MEDVIS at `move_port`."""

    dicom: int
    http: int
    move_port: int
    folder: Path
    process: subprocess.Popen | None = None

    @property
    def dimse(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def get(self, path: str):
        return httpx.get(f"http://127.0.0.1:{self.http}{path}", trust_env=False, timeout=30).raise_for_status().json()

    def series(self) -> list[tuple[str, str, int]]:
        """(modality, study UID, number of instances) of each series."""
        found = []
        for series in self.get("/series?expand"):
            study = self.get(f"/series/{series['ID']}/study")["MainDicomTags"]["StudyInstanceUID"]
            found.append((series["MainDicomTags"]["Modality"], study, len(series["Instances"])))
        return sorted(found)

    def empty(self) -> None:
        for patient in self.get("/patients"):
            httpx.delete(f"http://127.0.0.1:{self.http}/patients/{patient}", trust_env=False).raise_for_status()

    def start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([BINARY, str(self.folder / "orthanc.json")], stdout=log, stderr=log)
        until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(self.get("/system"))
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


@contextmanager
def serving(folder: Path) -> Iterator[Orthanc]:
    """A running Orthanc, stopped afterwards. Skips the test where it is not installed."""
    server = make_orthanc(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def make_orthanc(folder: Path) -> Orthanc:
    """Not yet started. Skips the test where Orthanc is not installed."""
    if BINARY is None or PLUGIN is None:
        pytest.skip("Orthanc with its DICOMweb plug-in is not installed (Debian's orthanc and orthanc-dicomweb)")
    server = Orthanc(free_port(), free_port(), free_port(), folder)
    config = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "Plugins": [str(PLUGIN)], "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "MaximumStorageCacheSize": 0,
        "HttpBindAddresses": ["127.0.0.1"], "HttpPort": server.http,
        "DicomPort": server.dicom, "DicomAet": "ORTHANC", "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
        "DicomModalities": {"medvis": ["MEDVIS", "127.0.0.1", server.move_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    return server


def storescu(
    port: int, *files: Path, aec: str = "MEDVIS", aet: str = "SENDER", extra: tuple[str, ...] = ("-xv",)
) -> int:
    """DCMTK's storescu, which by -xv offers the JPEG 2000 that the sample series is in; its exit code."""
    command = [need_tool("storescu"), "-to", "20", "-aet", aet, "-aec", aec, "-xv", "127.0.0.1", str(port)]
    return subprocess.run([*command, *map(str, files)], capture_output=True, timeout=60, check=False).returncode


@dataclass
class Listening:
    """`medvis listen` in a process of its own, and the events that it has told so far."""

    process: subprocess.Popen
    port: int = 0
    events: list[dict] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def collect(self) -> None:
        for line in self.process.stdout:
            self.text.append(line)
            self.events.append(json.loads(line))

    def told(self, name: str, count: int = 1) -> list[dict]:
        """Waits until an event has come so often."""

        def event_has_come():
            found = [event for event in self.events if event["event"] == name]
            assert len(found) >= count or self.process.poll() is None, (self.text, self.process.stderr.read())
            return found if len(found) >= count else None

        event_has_come.__name__ = f"{name} {count}x in {self.text}"
        return until(event_has_come)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def listening(store: Path, *options: str):
    """A listener with a store; killed at the end if it still runs."""
    command = [sys.executable, "-m", "medvis", "listen", "--port", "0", "--store", str(store), "--json", *QUICK]
    process = subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    held = Listening(process)
    reader = Thread(target=held.collect, daemon=True)
    reader.start()
    try:
        held.port = held.told("listening")[0]["port"]
        yield held
    finally:
        if process.poll() is None:
            held.kill()
        reader.join(10)
        process.stdout.close()
        process.stderr.close()


@contextmanager
def receiving(store: Path, **settings):
    """A listener in this process, and the `events` it has told; no study is complete unless the settings say so."""
    from medvis.pacs.listener.listener import Listener
    from medvis.pacs.settings import ListenSettings

    events: list[tuple[str, dict]] = []
    values = {"port": 0, "store": store, "quiet_period": 1e6, "min_free_mb": 0, "timeout": 20, **settings}
    listener = Listener(ListenSettings(**values), {}, lambda name, facts: events.append((name, dict(facts))))
    stop = Event()
    thread = Thread(target=listener.run, args=(stop,))
    thread.start()
    listener.events = events
    try:
        yield listener
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def told(listener, name: str) -> list[dict]:
    return [facts for event, facts in listener.events if event == name]


def wait_for(listener, name: str, count: int = 1) -> list[dict]:
    def event():
        return told(listener, name) if len(told(listener, name)) >= count else None

    return until(event)

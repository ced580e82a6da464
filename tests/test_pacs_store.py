"""The listener's folder: what is not provably its own is never deleted, and what was confirmed is never lost."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from pacs_tools import receiving, told, until

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")

from pydicom import dcmread

from medvis.batch.journal import FILE, Journal
from medvis.errors import SettingsError
from medvis.pacs.listener.recovery import LOST, Recovered, instance_name, short
from medvis.pacs.listener.store import Store
from medvis.pacs.peers import DimsePeer
from medvis.pacs.push import push
from medvis.pacs.settings import Tls


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder but the queue: path → content."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {name: path.read_bytes() if path.is_file() else None for name, path in found.items() if FILE not in name}


def stored(slices: list[Path], folder: Path) -> Path:
    """A closed store with instances in it, as the listener leaves it."""
    Store(folder, 0).close()
    journal = Journal(folder)
    for path in slices:
        ds = dcmread(path, stop_before_pixels=True)
        name = instance_name(ds.SeriesInstanceUID, ds.SOPInstanceUID)
        target = folder / "studies" / short(ds.StudyInstanceUID) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        journal.add(ds.StudyInstanceUID, ds.SOPInstanceUID, "0" * 64, name)
    journal.close()
    return folder


def opened(folder: Path) -> tuple[Recovered, int]:
    """What a start finds, and how many instances the queue has after it."""
    store = Store(folder, 0)
    files = store.journal.files()
    store.close()
    return store.recovered, sum(map(len, files.values()))


@pytest.mark.parametrize(
    "name", ["studies/SMITH/ct.dcm", "incoming/thesis.txt", "lost/x", "a.txt", "studies/notes.txt"]
)
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_was(name, tmp_path):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(SettingsError, match="no queue of medvis"):
        Store(tmp_path, 0)
    assert tree(tmp_path) == before
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("name", ["incoming", "studies", "lost"])
def test_a_link_in_the_place_of_a_folder_of_ours_is_refused(name, tmp_path):
    Store(tmp_path / "s", 0).close()
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "ct.dcm").write_text("mine")
    shutil.rmtree(tmp_path / "s" / name, ignore_errors=True)
    (tmp_path / "s" / name).symlink_to(tmp_path / "archive")
    with pytest.raises(SettingsError, match="is a link"):
        Store(tmp_path / "s", 0)
    assert (tmp_path / "archive" / "ct.dcm").read_text() == "mine"


def test_files_without_rows_are_queued_again(slices, tmp_path):
    """The queue is replaced by an empty file, as its owner is told to do; or it is gone, which is refused."""
    folder = stored(slices, tmp_path / "s")
    before = tree(folder)
    assert opened(folder) == (Recovered(), len(slices))
    for path in folder.glob(f"{FILE}*"):
        path.unlink()
    with pytest.raises(SettingsError, match="no queue"):
        Store(folder, 0)
    (folder / FILE).touch()
    assert opened(folder) == (Recovered(queued=len(slices)), len(slices))
    assert tree(folder) == before


def test_what_is_not_ours_is_moved_aside(slices, tmp_path):
    """A file whose place is not that of the instance in it; folders, links, and drafts of others."""
    folder = stored(slices, tmp_path / "s")
    (study,) = (folder / "studies").iterdir()
    strays = {
        "incoming/thesis.txt": b"mine", "studies/notes.txt": b"mine", "studies/SMITH/ct.dcm": slices[0].read_bytes(),
        f"studies/{study.name}/notes.txt": b"mine", f"studies/{study.name}/in/copy.dcm": slices[0].read_bytes(),
        f"studies/{study.name}/out/notes.txt": b"mine",
    }  # fmt: skip
    for name, data in strays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "studies" / "link").symlink_to(tmp_path)
    (folder / "incoming" / ".medvis-0123456789abcdef").write_bytes(b"half of an instance that was never confirmed")
    assert opened(folder) == (Recovered(lost=len(strays) + 1), len(slices))
    lost = {name: data for name, data in tree(folder / LOST).items() if data is not None}
    assert lost == strays
    assert (folder / LOST / "studies" / "link").is_symlink()
    assert list((folder / "incoming").iterdir()) == []
    assert opened(folder) == (Recovered(), len(slices))


def test_what_is_done_goes_and_takes_nothing_with_it(slices, tmp_path):
    folder = stored(slices, tmp_path / "s")
    (study,) = (folder / "studies").iterdir()
    (study / "in" / "notes.txt").write_text("mine")
    store = Store(folder, 0)
    (queued,) = store.journal.due("open", store.journal.now())
    store.journal.settle(queued, "done")
    (study / "notes.txt").write_text("mine too")
    assert store.purge(0) == [queued.uid]
    store.close()
    assert not study.exists()
    assert sorted(path.name for path in (folder / LOST).rglob("*.txt")) == ["notes.txt", "notes.txt"]


@pytest.mark.parametrize("harm", [b"", b"\0" * 100, b"\xff" * 4096])
def test_a_damaged_queue_costs_no_image(harm, slices, tmp_path):
    folder = stored(slices, tmp_path / "s")
    before = tree(folder)
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[:4096] + harm)
    with pytest.raises(SettingsError, match="no queue"):
        Store(folder, 0)
    assert tree(folder) == before
    (folder / FILE).write_bytes(whole)
    assert opened(folder)[1] == len(slices)


def test_other_content_under_a_known_uid_is_refused_and_told(slices, tmp_path):
    changed = dcmread(slices[0])
    changed.PatientName, changed.PatientID = "OTHER^PERSON", "42"
    changed.save_as(tmp_path / "changed.dcm")
    with receiving(tmp_path / "s") as listener:
        peer = DimsePeer("MEDVIS", "127.0.0.1", listener.port)
        assert [sent.failure for _ in range(2) for sent in push(slices[:1], peer, Tls())] == [None, None]
        (sent,) = push([tmp_path / "changed.dcm"], peer, Tls())
        assert "C000" in (sent.failure or "")
        until(lambda: told(listener, "conflict"), 20)
    (kept,) = (tmp_path / "s").rglob("*.dcm")
    assert kept.read_bytes()[-1000:] == slices[0].read_bytes()[-1000:]


@pytest.mark.parametrize("by", [-86400.0, 86400.0])
def test_a_clock_that_is_set_does_not_hold_or_hurry_a_study(by, tmp_path, monkeypatch):
    """Set while the queue is open, and while it is closed."""
    real, off = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + off[0])
    journal = Journal(tmp_path)
    journal.add("1.2", "1.2.3", "0" * 64, "in/a")
    off[0] = by
    assert [study.uid for study in journal.due("open", journal.now())] == ["1.2"]
    assert journal.due("open", journal.now() - 5) == []
    journal.settle(journal.due("open", journal.now())[0], "open", due=journal.now() + 60)
    journal.close()
    off[0] = min(by, 0) * 2
    again = Journal(tmp_path)
    assert [study.uid for study in again.due("open", again.now())] == ["1.2"]
    again.close()

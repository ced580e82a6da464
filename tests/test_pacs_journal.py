"""The queue on the disk: what was confirmed stays, what was done is not done twice."""

from __future__ import annotations

import sqlite3
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")

from medvis.batch.journal import FILE, Journal, Result
from medvis.dicom.uids import InstanceUids
from medvis.errors import SettingsError
from medvis.pacs.dimse.receive import RefusedError
from medvis.pacs.listener.store import Store

CT = "1.2.840.10008.5.1.4.1.1.2"


def instance(number: int = 1, study: str = "1.2") -> InstanceUids:
    return InstanceUids(study, f"{study}.1", f"{study}.1.{number}", CT, "1.2.840.10008.1.2.1")


@pytest.fixture
def store(tmp_path):
    with_store = Store(tmp_path / "s", 0)
    yield with_store
    with_store.close()


def only(store, state):
    (study,) = store.journal.due(state, store.journal.now())
    return study


def test_a_study_goes_through_its_states(store):
    assert store.keep(instance(1), BytesIO(b"one")) == "new"
    assert store.keep(instance(1), BytesIO(b"one")) == "known"
    assert store.keep(instance(1), BytesIO(b"one, changed")) == "conflict"
    study = only(store, "open")
    assert (study.uid, study.attempts, study.digest) == ("1.2", 0, None)
    assert store.journal.due("open", store.journal.now() - 60) == []  # not quiet for long enough
    digest = store.journal.digest("1.2")
    assert store.journal.diagnosed("1.2", digest, [Result("9.1", "out/a"), Result("9.2", "out/b")])
    assert [result.uid for result in store.journal.unsent("1.2")] == ["9.1", "9.2"]
    store.journal.sent("1.2", ["9.1"])
    assert [result.uid for result in store.journal.unsent("1.2")] == ["9.2"]
    store.journal.sent("1.2", ["9.2"])
    assert store.journal.settle(only(store, "sending"), "done")
    assert store.journal.counts() == {"done": 1}


def test_a_result_that_comes_back_is_ours(store):
    store.keep(instance(1), BytesIO(b"one"))
    store.journal.diagnosed("1.2", store.journal.digest("1.2"), [Result("9.1", "out/a")])
    assert store.keep(InstanceUids("1.2", "9", "9.1", CT, "1.2"), BytesIO(b"a result")) == "own"
    assert [study.state for study in store.journal.due("sending", store.journal.now())] == ["sending"]


def test_late_instances_reopen_a_study_and_what_was_sent_is_not_sent_again(store):
    store.keep(instance(1), BytesIO(b"one"))
    first = store.journal.digest("1.2")
    store.journal.diagnosed("1.2", first, [Result("9.1", "out/a"), Result("9.2", "out/b")])
    store.journal.sent("1.2", ["9.1"])
    before = only(store, "sending")
    store.keep(instance(2), BytesIO(b"two"))
    assert not store.journal.settle(before, "done")
    study = only(store, "open")
    second = store.journal.digest("1.2")
    assert second != first
    assert not store.journal.diagnosed("1.2", first, [])  # of instances that are no longer all
    assert store.journal.diagnosed("1.2", second, [Result("9.1", "out/c"), Result("9.3", "out/d")])
    assert [result.uid for result in store.journal.unsent("1.2")] == ["9.3"]
    assert study.attempts == 0


def test_what_failed_is_tried_again_later_or_when_asked(store):
    store.keep(instance(1), BytesIO(b"one"))
    store.journal.count("1.2")
    study = only(store, "open")
    store.journal.settle(study, "open", due=store.journal.now() + 60)
    assert store.journal.due("open", store.journal.now()) == []
    store.journal.settle(study, "failed")
    store.journal.retry_failed()
    assert only(store, "open").attempts == 0


def test_what_is_done_is_removed_after_its_days(store):
    store.keep(instance(1), BytesIO(b"one"))
    store.keep(instance(1, "1.3"), BytesIO(b"other"))
    store.journal.diagnosed("1.2", store.journal.digest("1.2"), [])
    store.journal.settle(only(store, "sending"), "done")
    assert store.purge(days=1) == []
    assert store.purge(days=0) == ["1.2"]
    assert not store.folder("1.2").exists()
    assert store.folder("1.3").exists()
    assert list(store.journal.files()) == ["1.3"]
    assert store.keep(instance(1), BytesIO(b"one")) == "new"


def test_a_full_queue_leaves_no_file_behind(store, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store.journal, "add", full)
    with pytest.raises(RefusedError) as refusal:
        store.keep(instance(1), BytesIO(b"one"))
    assert refusal.value.status == 0xA700
    assert list(store.folder("1.2").rglob("*.dcm")) == []


def test_a_queue_of_another_kind_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be looked at " * 40)
    with pytest.raises(SettingsError, match="no queue"):
        Journal(tmp_path)
    (tmp_path / FILE).unlink()
    base = sqlite3.connect(tmp_path / FILE)
    base.execute("PRAGMA user_version = 7")
    base.close()
    with pytest.raises(SettingsError, match="version 7"):
        Journal(tmp_path)


class World:
    """A store, a sender and a destination; each method is one thing that may happen."""

    def __init__(self, folder):
        self.folder, self.store = folder, Store(folder, 0)
        self.arrived, self.delivered = 0, []

    def new(self):
        self.arrived += 1
        assert self.store.keep(instance(self.arrived), BytesIO(b"x")) == "new"

    def again(self):
        if self.arrived:
            assert self.store.keep(instance(self.arrived), BytesIO(b"x")) == "known"

    def diagnose(self):
        if self.store.journal.due("open", self.store.journal.now()):
            digest = self.store.journal.digest("1.2")
            assert self.store.journal.diagnosed("1.2", digest, [Result(f"9.{int(digest, 16)}", "out/a")])

    def outdated(self):
        assert not self.store.journal.diagnosed("1.2", "of others", [Result("9.0", "out/z")])

    def send(self):
        for study in self.store.journal.due("sending", self.store.journal.now()):
            for result in self.store.journal.unsent(study.uid):
                self.delivered.append(result.uid)
                self.store.journal.sent(study.uid, [result.uid])
            self.store.journal.settle(study, "done")

    def crash(self):
        self.store.close()
        self.store = Store(self.folder, 0)


STEPS = st.lists(st.sampled_from(["new", "again", "diagnose", "outdated", "send", "crash"]), max_size=20)


@hypothesis(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_nothing_is_lost_and_nothing_sent_twice(steps, tmp_path_factory):
    world = World(tmp_path_factory.mktemp("law"))
    for step in [*steps, "new", "diagnose", "send"]:
        getattr(world, step)()
    assert len(world.store.journal.files()["1.2"]) == world.arrived
    assert len(world.delivered) == len(set(world.delivered))
    assert world.store.journal.unsent("1.2") == []
    assert world.store.journal.counts() == {"done": 1}
    world.store.close()

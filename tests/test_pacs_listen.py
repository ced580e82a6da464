"""`medvis listen` from end to end, and killed in between: nothing lost, nothing doubled."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from pacs_tools import free_port, listening, receiving, serving, storescu, told, until, wait_for

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("httpx", reason="the extra 'pacs' is not installed")

from pydicom import dcmread

from medvis.batch.supervisor import StoppedError, Worker, WorkError
from medvis.batch.worker import PROBLEMS, Diagnosis
from medvis.pacs.listener.recovery import short

NEVER = ["--quiet-period", "1h"]
SOON = ["--quiet-period", "300ms"]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def late(series, slices, tmp_path_factory) -> Path:
    """A fourth slice of the same series."""
    known = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in slices}
    rest = (path for path in sorted(series.glob("*.dcm")))
    return next(path for path in rest if dcmread(path, stop_before_pixels=True).SOPInstanceUID not in known)


def kinds(orthanc) -> Counter:
    """Modality → number of instances."""
    found: Counter = Counter()
    for modality, _, count in orthanc.series():
        found[modality] += count
    return found


def test_a_study_survives_every_kill(orthanc, slices, late, tmp_path):
    """Killed after the reception, during the diagnosis, and between diagnosis and sending."""
    orthanc.empty()
    store, nowhere = tmp_path / "store", f"NOBODY@127.0.0.1:{free_port()}"
    with listening(store, *NEVER) as first:
        assert storescu(first.port, *slices) == 0
        assert first.told("received")[0]["new"] == 3
        first.kill()
    with listening(store, *SOON, "--to", nowhere) as second:
        second.told("diagnosing")
        second.kill()
    with listening(store, *SOON, "--to", nowhere) as third:
        made = third.told("diagnosed")[0]["objects"]
        assert third.told("not sent", 2)[0]["objects"] >= 1
        third.kill()
    assert kinds(orthanc) == {}
    with listening(store, *SOON, "--to", orthanc.dimse) as fourth:
        assert fourth.told("done")[0]["sent"] == made == 3  # SEG, SR, SC
        assert [event["event"] for event in fourth.events] == ["listening", "done"]  # not diagnosed again
        once = kinds(orthanc)
        assert (once["SEG"], once["SR"], once.total()) == (1, 1, 3)
        check_that_nothing_is_new(fourth, slices, store)
        assert kinds(orthanc) == once
        assert storescu(fourth.port, late) == 0
        assert fourth.told("done", 2)[1]["sent"] == 3
        assert kinds(orthanc) == Counter({kind: 2 * count for kind, count in once.items()})
        check_that_the_later_report_names_the_earlier(orthanc, store)
        assert fourth.end(signal.SIGTERM) == 0
    check_that_no_identity_is_told(orthanc, "".join("".join(run.text) for run in (first, second, third, fourth)))


def check_that_nothing_is_new(running, slices, store) -> None:
    """The same instances once more, and one of our own results that somebody sends on to us."""
    assert storescu(running.port, *slices) == 0
    assert running.told("received")[0]["new"] == 0
    results = sorted((store / "studies").glob("*/out/**/*.dcm"))
    assert storescu(running.port, results[0]) == 0
    assert running.told("received", 2)[1]["new"] == 0


def check_that_the_later_report_names_the_earlier(orthanc, store) -> None:
    """Both are in the archive; of the earlier diagnosis the listener keeps the report, and nothing else."""
    files = [path for path in (store / "studies").glob("*/out/**/*") if path.is_file()]
    reports = {str(ds.SOPInstanceUID): ds for ds in (dcmread(path) for path in files if path.name == "sr.dcm")}
    assert len(reports) == 2 and len({path.parent for path in files}) == 2
    assert sorted(path.name for path in files) == sorted(
        ["report.json", "seg.dcm", "capture.dcm", "sr.dcm", "sr.dcm"]
    )  # fmt: skip
    assert reports.keys() <= {item["MainDicomTags"]["SOPInstanceUID"] for item in orthanc.get("/instances?expand")}
    [later] = [ds for ds in reports.values() if "PredecessorDocumentsSequence" in ds]
    [earlier] = [ds for ds in reports.values() if "PredecessorDocumentsSequence" not in ds]
    [study] = later.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (earlier.StudyInstanceUID, earlier.SeriesInstanceUID)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID


def check_that_no_identity_is_told(orthanc, log: str) -> None:
    """All that there is belongs to one study, of which the log knows a hash."""
    ((study,),) = [{uid for _, uid, _ in orthanc.series()}]
    assert short(study) in log
    assert study not in log
    assert "LUNG1" not in log


def test_results_go_to_dicomweb_and_ctrl_c_ends(orthanc, slices, tmp_path):
    orthanc.empty()
    with listening(tmp_path / "s", *SOON, "--to", orthanc.web, "--write", "json,seg", "--keep", "0s") as running:
        assert storescu(running.port, *slices) == 0
        assert running.told("done")[0]["sent"] == 1
        assert kinds(orthanc) == {"SEG": 1}
        assert running.end(signal.SIGINT) == 130
        assert running.told("stopped")[0]["queue"]["done"] == 1
    with listening(tmp_path / "s", *SOON, "--keep", "0s") as again:
        again.told("removed")
        assert not list((tmp_path / "s" / "studies").iterdir())


def test_what_no_task_is_for_is_left_out_and_the_listener_goes_on(slices, tmp_path):
    knee = dcmread(slices[0])
    knee.BodyPartExamined = "KNEE"
    knee.save_as(tmp_path / "knee.dcm")
    with receiving(tmp_path / "s", quiet_period=0.2, write=["json"]) as listener:
        assert storescu(listener.port, tmp_path / "knee.dcm") == 0
        assert wait_for(listener, "diagnosed")[0]["left_out"] == 1
        assert wait_for(listener, "done")[0]["sent"] == 0
    (said,) = (tmp_path / "s" / "studies").rglob(PROBLEMS)
    assert "KNEE" in said.read_text()


IMPATIENT = {"quiet_period": 0.1, "backoff": 0.1, "backoff_most": 0.2}


def test_a_study_that_cannot_be_diagnosed_is_set_aside_and_kept(slices, tmp_path):
    with receiving(tmp_path / "s", study_timeout=0.1, diagnose_attempts=2, **IMPATIENT) as listener:
        assert storescu(listener.port, slices[0]) == 0
        wait_for(listener, "set aside")
        assert [facts["attempt"] for facts in told(listener, "diagnosing")] == [1, 2]
        assert "not done after" in told(listener, "not diagnosed")[0]["reason"]
        assert listener.store.journal.counts() == {"failed": 1}
        listener.store.journal.retry_failed()
        wait_for(listener, "set aside", 2)
    assert len(list((tmp_path / "s" / "studies").rglob("*.dcm"))) == 1


def test_poisoned_studies_do_not_hold_up_an_honest_one(slices, tmp_path, monkeypatch):
    """Two that take for ever come first; the limit of a study is 12 s, of which the second worker has a sixth."""
    poisoned = {short(f"1.2.{number}") for number in (1, 2)}

    class Slow:
        def __init__(self, *settings):
            self.timeout = settings[-1]

        def __call__(self, study, out, stop, earlier=()):
            if study.parent.name in poisoned:
                stop.wait(self.timeout)
                raise WorkError(f"not done after {self.timeout:g} s")
            return {"verdicts": ["negative"], "files": [], "left_out": 0}

        def close(self):
            pass

    monkeypatch.setattr("medvis.pacs.listener.listener.Worker", Slow)
    with receiving(tmp_path / "s", study_timeout=12, quiet_period=0, backoff=30) as listener:
        for number in (1, 2, 3):
            ds = dcmread(slices[0])
            ds.StudyInstanceUID, ds.SOPInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.save_as(tmp_path / "a.dcm")
            assert storescu(listener.port, tmp_path / "a.dcm") == 0
            wait_for(listener, "received", number)
            time.sleep(0.3)
        assert wait_for(listener, "diagnosed")[0]["study"] == short("1.2.3")
        (late,) = [facts["study"] for facts in told(listener, "not diagnosed")]
        assert late in poisoned  # the other one still has the first worker


def test_results_that_nobody_takes_are_set_aside_and_kept(slices, tmp_path):
    """Nobody listens there; in between, the listener is stopped and started again."""
    nowhere = f"NOBODY@127.0.0.1:{free_port()}"
    more = {"write": ["json", "seg"], "to": nowhere, **IMPATIENT}
    with receiving(tmp_path / "s", **more) as listener:
        assert storescu(listener.port, *slices) == 0
        assert "cannot be reached" in wait_for(listener, "not sent")[0]["reason"]
    with receiving(tmp_path / "s", send_attempts=2, **more) as listener:
        wait_for(listener, "set aside")
        assert told(listener, "diagnosing") == []
    assert len(list((tmp_path / "s" / "studies").glob("*/out/**/seg.dcm"))) == 1


def test_a_stop_leaves_a_running_diagnosis_in_the_queue(slices, tmp_path):
    with receiving(tmp_path / "s", **IMPATIENT) as listener:
        assert storescu(listener.port, slices[0]) == 0
        wait_for(listener, "diagnosing")
    assert told(listener, "stopped")[0]["queue"]["open"] == 1
    with receiving(tmp_path / "s") as listener:
        (study,) = listener.store.journal.due("open", listener.store.journal.now())
        assert study.attempts == 0


def test_a_diagnosis_is_of_every_volume_that_the_task_is_for(short_series, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    answer = Diagnosis("auto", {}, ["json", "seg"])(short_series, out)
    assert len(answer["verdicts"]) == 1
    assert answer["left_out"] == 0
    assert [Path(path).name for path in answer["files"]] == ["seg.dcm"]
    (report,) = out.rglob("report.json")
    assert report.parent.parent == out
    empty = tmp_path / "empty"
    empty.mkdir()
    assert Diagnosis("auto", {}, ["json"])(empty, out) == {"verdicts": [], "files": [], "left_out": 1}


@pytest.fixture
def processes(monkeypatch):
    """The processes that workers have started."""
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    return started


@pytest.fixture
def worker():
    """Makes workers, and ends them."""
    made = []

    def make(**changes) -> Worker:
        made.append(Worker(**{"task": "auto", "overrides": {}, "writers": ["json"], "timeout": 60, **changes}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_crash_costs_one_attempt(worker, processes, short_series, tmp_path):
    one = worker()

    def kill() -> None:
        until(lambda: processes, 20)
        processes[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(WorkError, match="ended"):
        one(short_series, tmp_path, threading.Event())
    killer.join()
    (tmp_path / "empty").mkdir()
    assert one(tmp_path / "empty", tmp_path, threading.Event())["left_out"] == 1  # in a process of its own again


def test_a_diagnosis_that_takes_too_long_is_ended(worker, processes, short_series, tmp_path):
    one = worker(timeout=0.2)
    with pytest.raises(WorkError, match="not done after"):
        one(short_series, tmp_path, threading.Event())
    assert [process.poll() is not None for process in processes] == [True]


def test_stopping_does_not_wait_for_a_diagnosis(worker, short_series, tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        worker()(short_series, tmp_path, stop)


def test_a_diagnosis_that_fails_says_only_how(worker, short_series, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkError) as error:
        worker()(short_series, tmp_path / "file", threading.Event())
    assert str(error.value) == "OutputError"


def test_the_process_ends_with_its_parent(worker, processes, tmp_path):
    one = worker()
    (tmp_path / "empty").mkdir()
    one(tmp_path / "empty", tmp_path, threading.Event())
    (process,) = processes
    process.stdin.close()
    until(lambda: process.poll() is not None, 20)
    assert process.returncode == 0

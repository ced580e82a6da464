"""The engine behind `diagnose`, `listen` and the Python API: select, run, publish, and what an observer is told."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import dicom_maker as maker
import pydicom
import pytest
from conftest import canonical

from medvis.batch.pipelines import Pipelines
from medvis.batch.run import Batch, Input, Observer
from medvis.batch.select import result_folders, select, select_each
from medvis.batch.worker import PROBLEMS, Diagnosis
from medvis.errors import InputError, OutputError, SettingsError
from medvis.io.inputs import volumes
from medvis.io.writers.json_report import JsonWriter


class Notes(Observer):
    """Writes down what it is told."""

    def __init__(self):
        self.left_out, self.ticks, self.done, self.failures = [], [], [], []

    def selected(self, volumes, selection):
        self.left_out += [item.label for item in selection.left_out]

    @contextmanager
    def working(self, item):
        self.ticks.append([])
        yield lambda name="", done=None, total=None: self.ticks[-1].append((name, done, total))

    def finished(self, item, outcome, files, seconds):
        self.done.append((item, outcome.report, files))

    def failed(self, failure):
        self.failures.append(failure)


@pytest.fixture
def study(series, tmp_path):
    """Two volumes of a chest CT, and one of another modality."""
    paths = sorted(series.iterdir())
    folder = tmp_path / "study"
    for number, (index, tags) in enumerate([(6, {}), (7, {}), (7, {"Modality": "MR"})], 1):
        ds = pydicom.dcmread(paths[index])
        uids = {"SeriesInstanceUID": f"1.2.{number}", "SOPInstanceUID": f"1.2.{number}.1", "SeriesNumber": number}
        maker.save(maker.with_tags(ds, {**uids, **tags}), folder / f"{number}")
    return folder


@pytest.fixture(scope="module")
def pipelines():
    return Pipelines("lung-nodule")


def test_every_volume_that_fits_is_diagnosed_into_a_folder_of_its_own(study, pipelines, tmp_path):
    notes = Notes()
    Batch(pipelines, [JsonWriter()]).run([Input(study, tmp_path / "out")], notes)
    labels = [item.volume.label for item, _, _ in notes.done]
    assert len(labels) == 2 and len(notes.left_out) == 1 and not notes.failures
    assert [files for _, _, files in notes.done] == [[tmp_path / "out" / label / "report.json"] for label in labels]
    assert [tuple(item.position) for item, _, _ in notes.done] == [(1, 2), (2, 2)]
    assert not any(item.alone for item, _, _ in notes.done)


def test_progress_goes_from_reading_to_writing(slices, pipelines):
    notes = Notes()
    Batch(pipelines).run([Input(slices[1])], notes)
    names = [name for name, _, _ in notes.ticks[0]]
    assert (names[0], names[-2:]) == ("read", ["report", "write"])
    assert {"window", "infer", "segment", "judge"} <= set(names)
    places = [done for _, done, _ in notes.ticks[0] if done is not None]
    assert places == sorted(places)
    assert notes.done[0][0].alone and notes.done[0][2] == []


def test_one_failure_does_not_stop_the_others(slices, pipelines, tmp_path):
    (tmp_path / "bad.dcm").write_bytes(b"no scan")
    notes = Notes()
    paths = [tmp_path / "absent.dcm", slices[0], tmp_path / "bad.dcm", slices[1]]
    Batch(pipelines).run([Input(path) for path in paths], notes)
    assert [failure.name for failure in notes.failures] == [str(paths[0]), str(paths[2])]
    assert all(isinstance(failure.error, InputError) and not failure.alone for failure in notes.failures)
    assert [item.input.path for item, _, _ in notes.done] == [slices[0], slices[1]]


def test_the_only_input_fails_alone(tmp_path, pipelines):
    notes = Notes()
    Batch(pipelines).run([Input(tmp_path / "absent.dcm")], notes)
    assert [failure.alone for failure in notes.failures] == [True]


def test_what_cannot_be_written_or_set_is_refused_before_any_work(slices, tmp_path):
    (tmp_path / "file").touch()
    notes = Notes()
    with pytest.raises(SettingsError):
        Batch(Pipelines("nonsense"), [JsonWriter()]).run([Input(slices[0], tmp_path / "out")], notes)
    assert not notes.failures
    Batch(Pipelines("lung-nodule"), [JsonWriter()]).run([Input(slices[0], tmp_path / "file")], notes)
    ((error, alone),) = [(failure.error, failure.alone) for failure in notes.failures]
    assert isinstance(error, OutputError) and alone and not notes.ticks


def test_the_only_usable_volume_is_chosen_and_each_is_asked_on_its_own(study, pipelines, tmp_path):
    for name in ("1", "2"):
        next(study.glob(name)).unlink()
    with volumes(study) as left:
        ((only, folder),) = select(left, pipelines, tmp_path).chosen
        assert (only.label, folder) == (left[0].label, tmp_path)
        selection = select_each(left, pipelines, tmp_path)
    assert selection.chosen == ()
    assert "is of modality MR" in selection.left_out[0].error.found


def test_diagnose_and_the_listeners_worker_give_the_same_results(study, medvis, tmp_path):
    answer = Diagnosis("lung-nodule", {}, ["json", "mask", "seg", "sr"])(study, tmp_path / "worker")
    ran = medvis(
        "diagnose", study, "-o", tmp_path / "cli", "--write", "json,mask,seg,sr", "-t", "lung-nodule", "--json"
    )
    assert ran.code == 0 and len(answer["verdicts"]) == 2 and answer["left_out"] == 1
    assert [line["verdict"]["decision"] for line in ran.lines] == answer["verdicts"]
    names = [
        sorted(path.relative_to(tmp_path / kind) for path in (tmp_path / kind).rglob("*") if path.is_file())
        for kind in ("worker", "cli")
    ]
    assert [name for name in names[0] if name != Path(PROBLEMS)] == names[1] and len(names[1]) == 8
    for name in names[1]:
        one, other = tmp_path / "worker" / name, tmp_path / "cli" / name
        if name.name == "report.json":
            assert canonical(one.read_text()) == canonical(other.read_text())
        else:
            assert one.read_bytes() == other.read_bytes(), name
    problem = (tmp_path / "worker" / PROBLEMS).read_text()
    assert "is of modality MR; wanted: CT" in problem
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.dcm"], [""]),
        (["x/a.dcm", "y/A.dcm", "b.nii.gz"], ["a", "A-2", "b"]),
        (["ä b.png", "..x"], ["ä_b", "x"]),
    ],
)
def test_results_of_several_inputs_go_into_folders_named_after_them(paths, names):
    assert result_folders([Path(path) for path in paths], Path("out")) == [Path("out") / name for name in names]

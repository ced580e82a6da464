"""Tasks by name: of packages and of folders, and never two of one name."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from tiny_task import write_task

from medvis import plugins
from medvis.builtin_tasks import LUNG_NODULE, configs_folder
from medvis.errors import SettingsError
from medvis.settings import load_task
from medvis.tasks import task_file, task_files, task_names


@pytest.fixture(autouse=True)
def looked_up_afresh():
    plugins.forget()
    yield
    plugins.forget()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on MEDVIS_TASKS with the task `tiny`, behind another that has none."""
    for name in ("none", "mine"):
        (tmp_path / name).mkdir()
    write_task(tmp_path / "mine")
    monkeypatch.setenv("MEDVIS_TASKS", os.pathsep.join((str(tmp_path / "none"), "", str(tmp_path / "mine"))))
    return tmp_path / "mine"


def registered(monkeypatch, **objects):
    """Entry points for these objects beside the built-in ones."""
    mine = [EntryPoint(name, f"somewhere:{name}", "medvis.tasks") for name in objects]
    own = [
        EntryPoint(name, f"medvis.builtin_tasks:{name.upper().replace('-', '_')}", "medvis.tasks")
        for name in plugins.names("medvis.tasks")
    ]
    load = EntryPoint.load
    monkeypatch.setattr(EntryPoint, "load", lambda self: objects[self.name] if self in mine else load(self))
    plugins.forget()
    monkeypatch.setattr(plugins, "entry_points", lambda: EntryPoints([*own, *mine]))


def test_every_yaml_that_comes_with_medvis_is_registered():
    assert list(task_names()) == sorted(path.stem for path in configs_folder().glob("*.yaml"))
    assert task_file("lung-nodule").locate() == LUNG_NODULE
    assert task_file("lung-nodule").origin.startswith("medvis ")


def test_a_folder_on_the_path(folder, medvis):
    assert task_files()["tiny"].origin == str(folder)
    assert load_task("tiny").base == folder.resolve()
    assert f"\t{folder}\t" in medvis("tasks").stdout.decode()
    origins = {body["task"]: body["origin"] for body in medvis("tasks", "--json").json}
    assert origins["tiny"] == str(folder) and origins["steel"].startswith("medvis ")


@pytest.mark.parametrize("form", [str, Path, lambda path: lambda: path], ids=["text", "path", "function"])
def test_a_package_says_where_its_yaml_is(tmp_path, monkeypatch, form):
    registered(monkeypatch, tiny=form(write_task(tmp_path)))
    assert load_task("tiny").task == "tiny"
    assert "tiny" in task_names() and "steel" in task_names()


def test_a_package_without_its_yaml(tmp_path, monkeypatch):
    registered(monkeypatch, tiny=tmp_path / "gone.yaml")
    with pytest.raises(SettingsError, match=r"no task file .*gone\.yaml; reinstall the package that registers 'tiny'"):
        load_task("tiny")


def test_two_tasks_of_one_name_are_refused(folder, monkeypatch, medvis):
    write_task(folder, "steel")
    with pytest.raises(
        SettingsError, match=rf"task 'steel' is there 2 times: from medvis .* and {folder}; wanted: one"
    ):
        load_task("steel")
    assert load_task("tiny").task == "tiny", "the others can be used"
    assert "task 'steel' is there 2 times" in medvis("tasks").error(4)
    (folder / "tiny.yml").write_bytes((folder / "tiny.yaml").read_bytes())
    with pytest.raises(SettingsError, match="task 'tiny' is there 2 times"):
        load_task("tiny")


def test_a_yaml_that_is_of_another_task(folder):
    (folder / "tiny.yaml").rename(folder / "other.yaml")
    with pytest.raises(SettingsError, match=r"other\.yaml is the task 'tiny'; wanted: 'other', as it is named"):
        load_task("other")
    assert load_task(str(folder / "other.yaml")).task == "tiny", "by its path it may be called anything"


def test_a_folder_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVIS_TASKS", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match=r"MEDVIS_TASKS names .*gone: No such file"):
        task_names()

"""configs/*.yaml → typed settings: precedence, unknown keys, a user's own YAML."""

from __future__ import annotations

import pytest
import yaml

from medvis.builtin_tasks import configs_folder
from medvis.errors import SettingsError
from medvis.settings import TaskConfig, load_task, validated
from medvis.tasks import task_names

BODY = {
    "task": "my-task",
    "title": "Mine",
    "kind": "whole",
    "accepts": {"modalities": ["CT"]},
    "taxonomy": {"finding": "lump"},
    "stages": {"window": {"center": 40, "width": 400}, "infer": {}},
}


@pytest.fixture
def write(tmp_path):
    def write(name: str = "my-task.yaml", **changes):
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**BODY, **changes}, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", task_names())
def test_every_bundled_task_is_valid_and_named_as_its_file(name):
    config = load_task(name)
    assert config.task == name
    assert config.base == configs_folder().resolve()
    assert next(iter(config.stages)) == "window"


def test_there_is_a_lung_nodule_task():
    assert "lung-nodule" in task_names()
    assert load_task("lung-nodule").kind == "tiled"


def test_a_users_own_yaml_is_found_by_its_path(write):
    path = write()
    config = load_task(str(path))
    assert (config.task, config.base) == ("my-task", path.parent.resolve())
    assert write("other.yml").suffix == ".yml" and load_task(str(path.with_name("other.yml"))).title == "Mine"


def test_a_flag_beats_the_yaml_and_the_yaml_beats_the_default(write):
    path = str(write(display={"name": "soft"}))
    assert load_task(path).backend == "onnx", "default"
    assert load_task(path).stages["window"]["center"] == 40, "YAML"
    changed = load_task(path, {"stages.window.center": -600, "backend": "torch", "display.center": 1})
    assert changed.stages["window"] == {"center": -600, "width": 400}
    assert (changed.backend, changed.display.name, changed.display.center) == ("torch", "soft", 1)


def test_an_override_makes_the_section_it_needs(write):
    config = load_task(str(write()), {"stages.segment.min_pixels": 9, "display.width": 5})
    assert config.stages["segment"] == {"min_pixels": 9}
    assert config.display.width == 5


def test_an_override_below_a_value_is_refused(write):
    with pytest.raises(SettingsError, match=r"setting 'title.sub.x': 'title' is not a section"):
        load_task(str(write()), {"title.sub.x": 1})


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"accepts": {"modality": ["CT"]}}, "accepts.modality"),
        ({"display": {"width": 0}}, "display.width"),
        ({"kind": "half"}, "kind"),
        ({"task": "My Task"}, "task"),
        ({"taxonomy": {}}, "taxonomy.finding"),
    ],
)
def test_a_wrong_key_or_value_is_named(write, changes, key):
    path = write(**changes)
    with pytest.raises(SettingsError) as caught:
        load_task(str(path))
    assert caught.value.line.startswith(f"{path}: {key}: ")


def test_several_mistakes_are_all_told(write):
    with pytest.raises(SettingsError, match=r"one: .*two: .*three: "):
        load_task(str(write(one=1, two=2, three=3)))


def test_an_unknown_task_lists_the_bundled_ones():
    with pytest.raises(SettingsError, match=r"unknown task 'lung-nodul'; wanted: one of .*lung-nodule.*or the path"):
        load_task("lung-nodul")


def test_an_absent_yaml_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match=r"no task file .*gone.yaml"):
        load_task(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "what"), [("a: [1, 2", "is not YAML"), ("- 1\n- 2", "holds list"), ("", "holds NoneType")]
)
def test_a_file_that_holds_no_mapping_is_an_error(tmp_path, text, what):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=what):
        load_task(str(path))


def test_a_file_in_another_encoding_is_an_error(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("title: Grün".encode("latin-1"))
    with pytest.raises(SettingsError, match="is not YAML"):
        load_task(str(path))


def test_the_hash_is_of_what_a_diagnosis_depends_on(write):
    base = load_task(str(write()))
    assert load_task(str(write("copy.yaml"))).sha256 == base.sha256, "not of the file's name"
    assert load_task(str(write(train={"seed": 3}, card={"version": "2"}))).sha256 == base.sha256
    assert load_task(str(write()), {"stages.window.center": 41}).sha256 != base.sha256
    swapped = dict(reversed(BODY["stages"].items()))
    assert load_task(str(write("swapped.yaml", stages=swapped))).sha256 != base.sha256, "stages run in their order"
    assert len(base.sha256) == 64


def test_settings_are_frozen(write):
    config = load_task(str(write()))
    with pytest.raises(ValueError, match="frozen"):
        config.title = "Yours"


def test_validated_names_the_place_of_a_top_level_mistake():
    with pytest.raises(SettingsError, match=r"^here: task: field required"):
        validated(TaskConfig, {}, "here")


def test_a_file_that_may_not_be_read_is_an_error(write, monkeypatch):
    path = write()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_text", refuse)
    with pytest.raises(SettingsError, match=r"my-task.yaml cannot be read: Permission denied"):
        load_task(str(path))

"""What a task's YAML lacks is said at once, over all its sections, before anything is read or trained."""

from __future__ import annotations

import pytest
import yaml

from medvis.builtin_tasks import configs_folder
from medvis.errors import SettingsError
from medvis.learn.task_check import load_trainable, trainable
from medvis.settings import load_task
from medvis.tasks import task_names


@pytest.fixture
def write(tmp_path):
    def write(change):
        body = yaml.safe_load((configs_folder() / "breast-ultrasound.yaml").read_text(encoding="utf-8"))
        change(body)
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
        return str(path)

    return write


def spoil_every_section(body):
    del body["title"], body["taxonomy"]["finding"], body["train"]["phases"], body["card"]["version"]
    del body["card"]["data"][0]["licence"]
    body["stages"]["judge"]["margin"] = 2
    body["stages"]["segment"]["min_pixel"] = 3
    body["stages"]["guess"] = {}
    body["evaluate"]["bars"]["Dice"] = 0.5


EVERYWHERE = (
    "title: field required", "taxonomy.finding: field required", "train.phases: field required",
    "card.version: field required", "card.data.0.licence: field required", "stages.judge.margin: input should be less",
    "stages.segment.min_pixel: extra inputs", "stages.guess: unknown stage 'guess'",
    "evaluate.bars.Dice: no such figure",
)  # fmt: skip


def test_every_wrong_key_of_every_section_is_named_at_once(write, medvis, tmp_path):
    path = write(spoil_every_section)
    with pytest.raises(SettingsError) as raised:
        load_trainable(path)
    for text in EVERYWHERE:
        assert text in raised.value.line
    line = medvis("train", path, "--data", tmp_path / "none", "-o", tmp_path / "run").error(4)
    assert all(text in line for text in EVERYWHERE) and not (tmp_path / "run").exists()


def test_a_diagnosis_names_the_keys_of_all_its_sections_too(write, medvis, tmp_path):
    line = medvis("diagnose", tmp_path / "a.png", "--task", write(spoil_every_section)).error(4)
    for text in EVERYWHERE:
        section = text.partition(".")[0].partition(":")[0]
        assert (text in line) == (section in ("title", "taxonomy", "stages")), text

    def spoil_two_stages(body):
        body["stages"]["judge"]["margin"] = 2
        body["stages"]["window"]["width"] = -1

    line = medvis("diagnose", tmp_path / "a.png", "--task", write(spoil_two_stages)).error(4)
    assert "stages.judge.margin" in line and "stages.window.width" in line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda body: body.pop("card"), "card: field required, with version, summary"),
        (lambda body: body.pop("train"), "train: field required, with labels, phases"),
        (lambda body: body["train"].pop("labels"), "train.labels: field required"),
        (lambda body: body["train"].update(labels=[]), "train.labels: list should have at least 1"),
        (lambda body: body["card"].update(figures=[]), "card.figures: extra inputs are not permitted"),
        (lambda body: body["card"].update(summary=None), "card.summary: input should be a valid string"),
        (lambda body: body["evaluate"].update(class_sides=["malignant", "benin"]), "'benin' is no label"),
        (lambda body: body["evaluate"].update(bars={"auroc": 0.9}), "evaluate.bars.auroc: no such figure, one of acc"),
        (lambda body: body["train"].update(sampler="tiles", labels=[{"name": "x"}]), "needs pictures"),
        (lambda body: body["train"]["labels"].append(body["train"]["labels"][0]), "'benign' is there twice"),
        (lambda body: body.update(train=[1]), "train: input should be a valid dictionary"),
        (lambda body: body["train"].update(rate=-1), "train.rate: input should be greater than 0, not -1"),
    ],
)
def test_what_the_export_will_need_is_asked_for_before_the_training(write, change, text):
    with pytest.raises(SettingsError) as raised:
        load_trainable(write(change))
    assert text in raised.value.line


@pytest.mark.parametrize("name", sorted({"breast-ultrasound", "steel", "lung-nodule", "ball-screw", "chest-tb"}))
def test_the_tasks_that_come_with_it_can_be_trained(name):
    assert name in task_names()
    assert trainable(load_task(name)) == trainable(load_trainable(name))

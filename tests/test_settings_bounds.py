"""Every number in a task's settings has two bounds, and what lies outside them is one line, never a traceback."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from medvis import plugins
from medvis.errors import SettingsError
from medvis.learn.training.recipe import Recipe
from medvis.pacs.settings import ListenSettings
from medvis.settings import TaskConfig, load_task, validated

STAGES = ["window", "enhance", "infer", "classify", "segment", "refine", "measure", "judge", "explain"]
MODELS = {
    "task": TaskConfig,
    "train": Recipe,
    "listen": ListenSettings,
    **{f"stages.{name}": plugins.load("medvis.stages", name).Settings for name in STAGES},
}


def leaves(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and schema of each number that a user may write."""
    if "$ref" in schema:
        yield from leaves(root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], root, path)
        return
    if schema.get("type") in ("number", "integer") and not {"const", "enum"} & set(schema):
        yield path, schema
    for key, part in schema.get("properties", {}).items():
        yield from leaves(part, root, f"{path}.{key}")
    for part in [*schema.get("anyOf", []), *schema.get("prefixItems", [])]:
        yield from leaves(part, root, path)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from leaves(schema[key], root, f"{path}[]")


NUMBERS = [
    (path, schema)
    for name, model in MODELS.items()
    for body in [model.model_json_schema()]
    for path, schema in leaves(body, body, name)
]


@pytest.mark.parametrize(("path", "schema"), NUMBERS, ids=[path for path, _ in NUMBERS])
def test_every_number_has_a_least_and_a_greatest_value(path, schema):
    assert {"minimum", "exclusiveMinimum"} & set(schema), f"{path} has no lower bound"
    assert {"maximum", "exclusiveMaximum"} & set(schema), f"{path} has no upper bound"


def top_numbers() -> Iterator[tuple[str, str]]:
    for name, model in MODELS.items():
        properties = model.model_json_schema()["properties"]
        for key, schema in properties.items():
            kinds = {schema.get("type"), *(part.get("type") for part in schema.get("anyOf", []))}
            if kinds & {"number", "integer"} and "enum" not in schema:
                yield name, key


TOP = list(top_numbers())


@pytest.mark.parametrize(("name", "key"), TOP, ids=[".".join(pair) for pair in TOP])
@pytest.mark.parametrize("value", [-1e30, 1e30, math.nan, math.inf, -math.inf])
def test_what_is_no_sensible_number_is_refused_by_its_key(name, key, value):
    with pytest.raises(SettingsError, match=rf"\b{key}\b") as caught:
        validated(MODELS[name], {key: value}, name)
    assert "\n" not in caught.value.line and caught.value.exit_code == 4


def test_the_sweep_sees_the_settings():
    paths = {path for path, _ in NUMBERS}
    assert len(paths) > 60
    assert {"stages.infer.tile", "train.augment.noise", "train.losses.bce", "stages.infer.candidate.crop"} <= paths


@pytest.mark.parametrize(
    ("stage", "values", "told"),
    [
        ("infer", {"tile": 0}, "tile: .*greater than or equal to 32, not 0"),
        ("infer", {"tile": 64, "overlap": 64}, "overlap of 64 px leaves no step"),
        ("infer", {"scales": {0: 1.0}}, "scales.0"),
        ("infer", {"scales": {1.0: 0.0}}, "scales.1.0: .*greater than 0"),
        ("infer", {"resample": {"spacing_mm": 1e-9}}, "resample.spacing_mm"),
    ],
)
def test_what_would_divide_by_zero_or_take_all_memory_is_refused(stage, values, told):
    with pytest.raises(SettingsError, match=told):
        validated(MODELS[f"stages.{stage}"], values, stage)


@pytest.mark.parametrize(
    "values",
    [
        {"labels": [{"name": "a", "low": 1, "high": 1}]},
        {"augment": {"zoom": [2, 1]}},
        {"augment": {"noise": -1}},
        {"losses": {"bce": math.nan}},
        {"cuts": [[0, 0], [0, 1], [0, 1]]},
        {"rate": 0},
        {"rate": -0.1},
        {"validate_every": 0},
        {"phases": [{"size": 0, "epochs": 1}]},
    ],
)
def test_recipes_that_would_crash_are_refused(values):
    right = {"labels": [{"name": "a"}], "phases": [{"size": 32, "epochs": 1}]}
    validated(Recipe, right, "train")
    with pytest.raises(SettingsError, match=next(iter(values))):
        validated(Recipe, {**right, **values}, "train")


def test_every_wrong_key_is_told_at_once():
    with pytest.raises(SettingsError) as caught:
        validated(Recipe, {"batch": 0, "rate": -1, "colour": 3}, "train")
    assert all(f"{key}:" in caught.value.line for key in ("batch", "rate", "colour", "labels", "phases"))


@pytest.mark.parametrize("name", ["lung-nodule", "steel", "chest-tb", "ball-screw", "breast-ultrasound"])
def test_the_tasks_that_come_with_medvis_lie_within(name):
    task = load_task(name)
    validated(Recipe, task.train, "train")
    for stage, values in task.stages.items():
        validated(MODELS[f"stages.{stage}"], values, stage)


def test_a_task_without_its_card_is_refused_before_the_training(tmp_path):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    from medvis.learn.run import train

    task = load_task("steel").model_copy(update={"card": {"version": "1"}})
    with pytest.raises(
        SettingsError, match=r"card.summary: .*card.intended_use: .*card.not_for: .*card.data: .*card.known_failures: "
    ):
        train(task, tmp_path / "no-data", tmp_path / "run", lambda record: None)
    assert not (tmp_path / "run").exists()

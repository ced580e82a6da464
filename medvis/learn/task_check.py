"""Whether a task can be trained, exported and measured: all that its YAML lacks, before hours of work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medvis.errors import SettingsError
from medvis.learn.measuring.evaluation import measured_faults
from medvis.learn.training.recipe import Recipe
from medvis.model.card import WrittenCard
from medvis.settings import Measured, TaskConfig, load_task, section_faults, stage_faults, task_body

# kind of a task → the samplers whose crops its views are
SAMPLERS = {"whole": ("pictures",), "tiled": ("tiles", "lesions")}


def load_trainable(task: str, overrides: Mapping[str, Any] | None = None) -> TaskConfig:
    """A task that can be trained; arguments as of `medvis.settings.load_task`.

    Raises:
        SettingsError: naming every key of every section that is wrong or not there.
    """
    path, body = task_body(task, overrides)
    texts = [*section_faults(TaskConfig, body), *stage_faults(body), *_learned_faults(body)]
    if texts:
        raise SettingsError(f"{path}: {'; '.join(texts)}", hint=f"'medvis tasks {task} --settings' lists the settings")
    return load_task(task, overrides)


def trainable(config: TaskConfig) -> Recipe:
    """The recipe of a task that is loaded already. Raises SettingsError as `load_trainable`."""
    body = config.model_dump()
    texts = [*stage_faults(body), *_learned_faults(body)]
    if texts:
        raise SettingsError(f"task '{config.task}': {'; '.join(texts)}")
    return Recipe.model_validate(config.train)


def _learned_faults(body: Mapping[str, Any]) -> list[str]:
    """What is wrong with the sections that only training and export read."""
    texts = []
    for name, model in (("train", Recipe), ("card", WrittenCard)):
        values = body.get(name)
        lacking = ", ".join(key for key, field in model.model_fields.items() if field.is_required())
        texts += section_faults(model, values, name) if values else [f"{name}: field required, with {lacking}"]
    if not section_faults(Measured, body.get("evaluate", {})):
        texts += measured_faults(Measured.model_validate(body.get("evaluate", {})))
    return texts if texts else _contradictions(body)


def _contradictions(body: Mapping[str, Any]) -> list[str]:
    """Where sections that are right by themselves do not fit together."""
    recipe, texts = Recipe.model_validate(body["train"]), []
    wanted = SAMPLERS.get(str(body.get("kind")), (recipe.sampler,))
    if recipe.sampler not in wanted:
        texts.append(f"train.sampler: {recipe.sampler}, but a task of kind {body['kind']} needs {' or '.join(wanted)}")
    names = [label.name for label in recipe.labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    texts += [f"train.labels: '{name}' is there twice" for name in twice]
    sides = (body.get("evaluate") or {}).get("class_sides") or ()
    texts += [f"evaluate.class_sides: '{name}' is no label of train.labels" for name in sides if name not in names]
    return texts

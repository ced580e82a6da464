"""The folder of a training: what it was begun with.

A training goes on from the checkpoint that it finds. It must then be the same training: the same recipe, the same data,
shown in the same way. `training.json` says what it was; another one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from medvis.errors import InputError, ModelError, SettingsError
from medvis.io.atomic import write_atomic
from medvis.learn.data.datasets import read_rows, require_sound
from medvis.learn.data.digest import folder_digest, rows_digest
from medvis.learn.data.index import read_index
from medvis.learn.data.views import ViewReader
from medvis.learn.training.checkpoint import CHECKPOINT
from medvis.learn.training.recipe import Recipe

IDENTITY = "training.json"
WEIGHTS = "model.safetensors"
# How it is computed, not what: a training may go on with more threads, or on a GPU.
COMPUTING = frozenset({"threads", "workers", "device"})
# Settings that say where data lie; what lies there is part of the data.
PLACES = ("hard_negatives", "negative_volume", "negative_scans")
# Settings that say what the network's inputs and outputs mean.
MEANING = ("labels", "masks", "channels", "sampler", "readers")
HINT = "give another output folder, or the old settings"

Identity = dict[str, Any]


def identity_of(recipe: Recipe, reader: ViewReader, data: Path) -> Identity:
    """What decides the weights of a training.

    Returns:
        recipe: its settings; input: how the pictures are shown; data: a hash a split, of rows and files by content.

    Raises:
        InputError: the data cannot be read, or a picture is in both splits or there with two labels.
    """
    settings = {name: value for name, value in recipe.model_dump(mode="json").items() if name not in COMPUTING}
    settings = {name: value for name, value in settings.items() if name not in (*PLACES, "val_volume")}
    rows = {split: read_rows(data, split) for split in ("train", "val")}
    require_sound(data, [*rows["train"], *rows["val"]])
    return {
        "recipe": settings,
        "input": reader.shown,
        "data": {
            **{split: rows_digest(part) for split, part in rows.items()},
            **{name: _elsewhere(data, name, getattr(recipe, name)) for name in PLACES},
        },
    }


def claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Begins a training in a folder, or goes on with the one that is in it.

    One that came to nothing, without a checkpoint, may be begun anew with other settings.

    Raises:
        SettingsError: another training was begun there.
        ModelError: a checkpoint or weights lie there of which nobody knows what they were trained with.
    """
    path, own = folder / IDENTITY, json.loads(json.dumps(identity))
    begun = next((name for name in (CHECKPOINT, WEIGHTS) if (folder / name).is_file()), None)
    if begun is not None:
        if not path.is_file():
            found = f"{folder} holds {begun} without {IDENTITY}: what it was trained with is not known"
            raise ModelError(found, hint="give another output folder")
        difference = next(_differences(_read(path), own), None)
        if difference is not None:
            raise SettingsError(f"{folder} holds a training with {difference}", hint=HINT)
    write_atomic(path, (json.dumps(own, indent=2, sort_keys=True) + "\n").encode())


def require_same_task(weights: Path, recipe: Recipe, reader: ViewReader) -> None:
    """Refuses weights that were trained to see or to say something else than the task does now.

    Weights without `training.json` beside them are taken as they are.

    Raises:
        SettingsError: the pictures are shown in another way, or the labels are others or in another order.
    """
    path = weights.parent / IDENTITY
    if not path.is_file():
        return
    own = json.loads(json.dumps({"recipe": recipe.model_dump(mode="json"), "input": reader.shown}))
    difference = next(_differences(_meaning(_read(path)), _meaning(own)), None)
    if difference is not None:
        raise SettingsError(f"{weights} was trained with {difference}", hint="export it with the task as it was")


def _meaning(identity: Identity) -> Identity:
    recipe = identity.get("recipe", {})
    return {"recipe": {name: recipe.get(name) for name in MEANING}, "input": identity.get("input")}


def _elsewhere(data: Path, name: str, value: str | None) -> str | None:
    """The hash of further data that a recipe names; None where it names none, or they are absent."""
    if value is None:
        return None
    if name == "hard_negatives":
        return rows_digest(read_index(data, "train", value))
    return folder_digest(data / value) if (data / value).is_dir() else None


def _read(path: Path) -> Identity:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="give another output folder") from error
    return body if isinstance(body, dict) else {}


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON values
    """Where two trainings differ, the settings by their names, data as data."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        part = name.split(".", 1)
        if part[0] == "data":
            yield f"other data: {part[-1]} is not what it was"
        elif part[0] == "teacher":
            yield "another teacher"
        else:
            where = f"train.{part[-1]}" if part[0] == "recipe" else f"another input contract: {part[-1]}"
            yield f"{where} {_short(before)} instead of {_short(now)}"


def _short(value: Any) -> str:  # noqa: ANN401 - JSON values
    text = json.dumps(value)
    return text if len(text) <= 60 else f"(sha256 {sha256(text.encode()).hexdigest()[:12]})"

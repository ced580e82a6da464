"""What the commands `train`, `export` and `evaluate` call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medvis.io.lock import locked
from medvis.learn.bundling.bundle import Packing, make_bundle, recalibrate, require_own_folder
from medvis.learn.data.views import ViewReader
from medvis.learn.measuring.crops import Progress
from medvis.learn.task_check import trainable
from medvis.learn.training.overview import Explain, explain_data, silent
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.run_folder import claim, identity_of, require_same_task
from medvis.learn.training.train import Trainer
from medvis.settings import TaskConfig, load_task, validated


def train(
    config: TaskConfig,
    data: Path,
    out: Path,
    on_record: Callable[[dict[str, Any]], None],
    explain: Explain = silent,
) -> Path:
    """Trains, or goes on from the folder's last checkpoint; returns the path of model.safetensors.

    Args:
        config: of the task.
        data: data set folder.
        out: the folder of the training.
        on_record: called with one record an epoch.
        explain: is told (topic, text): what will be done, and how long it will take.

    Raises:
        SettingsError: what the config says under `train:`, `card:` or `evaluate:` is wrong, or too little for
            the export; the folder holds another training, or one that is still at work.
        InputError: the data cannot be read.
    """
    recipe, reader = trainable(config), ViewReader(config)
    with locked(out, "training"):
        claim(out, identity_of(recipe, reader, data))
        explain_data(recipe, data, explain)
        return Trainer(recipe, reader, data, out, on_record).run(explain)


def export(
    task: str, weights: Path, data: Path, out: Path, progress: Progress, packing: Packing | None = None
) -> dict[str, Any]:
    """Weights → bundle folder, or a bundle → one that is calibrated anew; returns the card.

    Raises:
        SettingsError: the weights were trained to see or to say something else than the task does now.
        OutputError: the folder holds the bundle of another task, and is not to be replaced.
        MedvisError: as everywhere.
    """
    packing, config = packing or Packing(), load_task(task)
    if not packing.replace:
        require_own_folder(out, config.task)
    if weights.is_dir():
        return recalibrate(task, weights, data, out, progress).model_dump(mode="json")
    require_same_task(weights, validated(Recipe, config.train, "train"), ViewReader(config))
    return make_bundle(task, weights, data, out, progress, packing).model_dump(mode="json")

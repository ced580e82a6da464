"""Whether the exported graph reaches on val what the training wrote down: the proof that both see the same pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medvis.errors import ModelError
from medvis.learn.data.datasets import read_rows
from medvis.learn.data.digest import rows_digest
from medvis.learn.data.views import ViewReader
from medvis.learn.training.checkpoint import LOG, Record
from medvis.learn.training.recipe import Recipe
from medvis.learn.training.run_folder import IDENTITY
from medvis.learn.training.sources import validator
from medvis.model.card import OUTPUTS
from medvis.model.session import cpu_session
from medvis.nets.model import Output
from medvis.settings import validated

# How far a figure on val may be from the recorded one: the same float32 sums in another order, or bfloat16 on a GPU.
TOLERANCE = {"float32": 0.002, "bfloat16": 0.02}


def compare_with_record(graph: bytes, reader: ViewReader, data: Path, weights: Path) -> dict[str, Any]:
    """The figures of a float32 graph on the training's own val pictures beside those of the training's record.

    Args:
        graph: ONNX, float32, as exported from the weights.
        reader: shows the pictures as inference does.
        data: data set folder.
        weights: model.safetensors of a training; its record and what it was trained on lie beside it.

    Returns:
        For the card: ``found`` and ``recorded`` (figures by name) and ``tolerance``; or ``not_compared``, the reason.

    Raises:
        ModelError: a figure differs by more than the tolerance, or the record cannot be read.
    """
    folder = weights.parent
    if not ((folder / LOG).is_file() and (folder / IDENTITY).is_file()):
        return {"not_compared": f"no {LOG} and {IDENTITY} beside the weights"}
    identity = _json_lines(folder / IDENTITY, whole=True)[0]
    if identity["data"]["val"] != rows_digest(read_rows(data, "val")):
        return {"not_compared": "the training had another val split"}
    recipe = validated(Recipe, identity["recipe"], str(folder / IDENTITY))
    record = _record(_json_lines(folder / LOG), recipe)
    if record is None:
        return {"not_compared": f"{LOG} has no figures on val of a finished training"}
    found = validator(recipe, reader, data)(_seen_by(graph))
    recorded = {name: float(record[name]) for name in found if name in record}
    tolerance = TOLERANCE[record.get("precision", "float32")]
    for name, value in recorded.items():
        if not abs(found[name] - value) <= tolerance:
            raise ModelError(
                f"{name} is {found[name]:.4f} with the exported graph, and {value:.4f} in {folder / LOG}",
                f"a difference of at most {tolerance:g}",
                "the weights, the val pictures or how they are shown have changed since; train again",
            )
    return {"found": {name: found[name] for name in recorded}, "recorded": recorded, "tolerance": tolerance}


def _record(records: list[Record], recipe: Recipe) -> Record | None:
    """Of the epoch whose weights were kept."""
    if not records or records[-1]["epoch"] != records[-1]["of"]:
        return None
    measured = [record for record in records if "val_score" in record]
    if recipe.keep == "best":  # the first of equal ones, as the trainer has it
        return max(measured, key=lambda record: float(record["val_score"]), default=None)
    return measured[-1] if measured else None


def _seen_by(graph: bytes) -> Any:  # noqa: ANN401 - validation's See
    session = cpu_session(graph)

    def see(views: Tensor) -> Output:
        image = np.ascontiguousarray(views.numpy())
        classes, masks, evidence, embedding = (
            torch.from_numpy(a) for a in session.run(list(OUTPUTS), {"image": image})
        )
        return Output(classes, masks, evidence, embedding, [])

    return see


def _json_lines(path: Path, whole: bool = False) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(part) for part in ([text] if whole else text.splitlines())]
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="export from a whole training") from error

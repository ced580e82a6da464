"""What a training leaves behind to go on from: last.ckpt and metrics.jsonl, each whole or not there at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from medvis.errors import ModelError
from medvis.io.atomic import whole_file

Record = dict[str, Any]
CHECKPOINT, LOG, CURVE = "last.ckpt", "metrics.jsonl", "learning-curve.png"
# What taking over the state of another recipe raises.
BROKEN = (KeyError, RuntimeError, TypeError, ValueError)


def save(folder: Path, state: dict[str, Any], records: list[Record]) -> None:
    """Replaces checkpoint and log; a kill in between leaves the older ones, or a log that is one epoch behind."""
    with whole_file(folder / CHECKPOINT) as stream:
        torch.save({**state, "records": records}, stream)
    with whole_file(folder / LOG) as stream:
        stream.write("".join(json.dumps(record) + "\n" for record in records).encode())


def read(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None. Raises ModelError if it is none."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for a file of another kind shares no base class
        raise unfit(folder) from error
    return state


def unfit(folder: Path) -> ModelError:
    """The error for a checkpoint that another recipe has written."""
    return ModelError(f"{folder / CHECKPOINT} is no checkpoint of this recipe", hint="give another output folder")

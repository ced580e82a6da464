"""A task of its own with a recipe so small that it trains in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from medvis.builtin_tasks import configs_folder

RECIPE = {
    "seed": 3,
    "readers": 2,
    "labels": [{"name": "nodule"}, {"name": "malignancy", "column": "median_malignancy", "low": 1, "high": 5}],
    "network": {"widths": [16, 16, 16, 16, 16], "embedding": 16, "streams": "detail", "drop": 0.1},
    "phases": [{"size": 32, "epochs": 1}, {"size": 64, "epochs": 1}],
    "batch": 4,
    "pretrained": False,
    "threads": 1,
    "validate_every": 1,
    "validate_on": 6,
}


def write_task(folder: Path, name: str = "tiny", **recipe: Any) -> Path:
    """Writes NAME.yaml: the bundled lung task with a tiny `train:` section, `recipe` being changes to it."""
    body = yaml.safe_load((configs_folder() / "lung-nodule.yaml").read_text(encoding="utf-8"))
    body.update(task=name, bundle=name, train={**RECIPE, **recipe})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return path


class Killed(BaseException):
    """Like the signal: nobody catches it."""

"""A task of whole pictures of two classes with masks, whose training takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tiny_pictures import whole_recipe

from medvis.builtin_tasks import configs_folder


def write_task(folder: Path, **recipe: Any) -> Path:
    """Writes blobs.yaml: the bundled breast task for the pictures of `tiny_pictures.write_whole`."""
    body = yaml.safe_load((configs_folder() / "breast-ultrasound.yaml").read_text(encoding="utf-8"))
    body |= {"task": "blobs", "bundle": "bundle", "evaluate": {}}
    body["stages"] |= {"classify": {}, "measure": {}}
    body["train"] = whole_recipe(**{"phases": [{"size": 64, "epochs": 2}], **recipe})
    path = folder / "blobs.yaml"
    path.write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    return path

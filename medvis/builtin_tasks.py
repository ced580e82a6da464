"""The YAMLs of the tasks that come with medvis, as its own entry points name them (group ``medvis.tasks``)."""

from __future__ import annotations

from pathlib import Path


def configs_folder() -> Path:
    """Folder of the bundled YAMLs: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


BALL_SCREW = configs_folder() / "ball-screw.yaml"
BREAST_ULTRASOUND = configs_folder() / "breast-ultrasound.yaml"
CHEST_TB = configs_folder() / "chest-tb.yaml"
LUNG_NODULE = configs_folder() / "lung-nodule.yaml"
STEEL = configs_folder() / "steel.yaml"

"""An outside task: its YAML, with its bundle in the folder beside it."""

from importlib.resources import files

YAML = files("outside_task") / "my-nodule.yaml"

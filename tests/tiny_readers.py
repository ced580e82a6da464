"""How the bundled tasks show pictures to a model: what samplers and validators are given in tests."""

from __future__ import annotations

from functools import cache

from medvis.learn.data.views import ViewReader
from medvis.settings import load_task


@cache
def reader_of(task: str) -> ViewReader:
    """The reader of a bundled task: lung-nodule (HU), chest-tb (grey pictures), ball-screw (colours)."""
    return ViewReader(load_task(task))

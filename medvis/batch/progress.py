"""How far a diagnosis is, for whoever shows it: a progress bar, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from medvis.pipeline import Pipeline


class Progress(Protocol):
    """Takes how far the work is."""

    def __call__(self, name: str = "", done: float | None = None, total: int | None = None) -> None:
        """`name` of what is being done now; without `done`, one more step is done than at the last call."""


def silent(name: str = "", done: float | None = None, total: int | None = None) -> None:
    """Shows nothing."""
    del name, done, total


@dataclass(frozen=True)
class Span:
    """The part of a progress bar that one stage fills, in the bar's own units.

    Attributes:
        name: of the stage.
        start: where it begins.
        length: how much of the bar it is.
    """

    name: str
    start: float
    length: float


@contextmanager
def frame_by_frame(pipeline: Pipeline, progress: Progress, span: Span) -> Iterator[None]:
    """Reports the frames of the stage that runs inside the block, where that stage counts them."""

    def report(done: int, total: int) -> None:
        text = f"{span.name}, frame {done + 1} of {total}" if total > 1 else span.name
        progress(text, span.start + span.length * done / total)

    pipeline.context.tick = report
    try:
        yield
    finally:
        pipeline.context.tick = None

"""For every input, for every volume that the task accepts: read, run the stages, publish the results.

This is what `medvis diagnose`, the worker of `medvis listen` and `medvis.diagnose` have in common. One failure does
not stop the others. What is shown meanwhile, and what a failure means, is for an `Observer` to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from medvis.batch.pipelines import Pipelines, run_stages
from medvis.batch.progress import Progress, silent
from medvis.batch.publish import check_scan, publish
from medvis.batch.select import Selection, check_folders, select
from medvis.io.inputs import volumes as open_volumes

if TYPE_CHECKING:
    from medvis.core.outcome import Outcome
    from medvis.core.protocols import Writer
    from medvis.core.volumes import Volume, Volumes

Opener = Callable[[Path], AbstractContextManager["Volumes"]]
Selector = Callable[["Volumes", Pipelines, Path | None], Selection]


@dataclass(frozen=True)
class Input:
    """One path that is to be diagnosed.

    Attributes:
        path: whatever `Batch.opener` opens.
        folder: for the results, or None: nothing is written.
        earlier: DICOM reports on the study that an archive has already (`Outcome.earlier`).
    """

    path: Path
    folder: Path | None = None
    earlier: tuple[Path, ...] = ()


class Position(NamedTuple):
    """Number `number` (from 1) of `total`."""

    number: int
    total: int


@dataclass(frozen=True)
class Item:
    """One volume of one input, about to be diagnosed.

    Attributes:
        input: which one it is of.
        volume: what is read.
        folder: for its results, or None.
        input_position: of the input among all inputs.
        position: of the volume among those of its input that are diagnosed.
    """

    input: Input
    volume: Volume
    folder: Path | None
    input_position: Position
    position: Position

    @property
    def alone(self) -> bool:
        """Whether it is the only volume of the only input."""
        return self.input_position.total == self.position.total == 1


@dataclass(frozen=True)
class Failure:
    """An input, or one volume of it, that came to nothing.

    Attributes:
        name: the input; where it has several volumes, with the label of one.
        volume: None where the input as a whole failed.
        error: what was raised.
        alone: nothing else was to be done: nothing would be lost by raising the error.
    """

    name: str
    volume: Volume | None
    error: Exception
    alone: bool


class Observer(Protocol):
    """Is told what a batch does. All methods do nothing here; an error that one raises ends the batch."""

    def selected(self, volumes: Volumes, selection: Selection) -> None:
        """An input was opened, and its volumes chosen."""

    def working(self, item: Item) -> AbstractContextManager[Progress]:
        """A block around the work on one volume, which gives what shall be told of its progress."""
        del item
        return nullcontext(silent)

    def finished(self, item: Item, outcome: Outcome, files: Sequence[Path], seconds: float) -> None:
        """A volume is diagnosed and its files are in place; `outcome` holds its arrays and is let go afterwards."""

    def failed(self, failure: Failure) -> None:
        """Something failed; called while the error is handled."""


@dataclass(frozen=True)
class Batch:
    """What is done with every input.

    Attributes:
        pipelines: of the task; each model is loaded once.
        writers: of the results.
        force: whether existing files may be replaced.
        selector: chooses among the volumes of an input.
        opener: opens an input for as long as its block runs.
    """

    pipelines: Pipelines
    writers: Sequence[Writer] = ()
    force: bool = False
    selector: Selector = select
    opener: Opener = open_volumes

    def run(self, inputs: Sequence[Input], observer: Observer) -> None:
        """Diagnoses every chosen volume of every input, one after the other.

        Raises:
            OutputError: a folder for results cannot be written, or has some and not `force`; before any work.
            SettingsError: those of the task are wrong; before any work as well.
        """
        check_folders((source.folder for source in inputs), self.writers, self.force)
        self.pipelines.prepare()
        for number, source in enumerate(inputs, 1):
            _InputRun(self, observer, source, Position(number, len(inputs))).run()


class _InputRun:
    """The volumes of one input."""

    def __init__(self, batch: Batch, observer: Observer, source: Input, position: Position) -> None:
        self.batch, self.observer, self.input, self.position = batch, observer, source, position
        self.alone = position.total == 1
        self.only: Volume | None = None

    def run(self) -> None:
        try:
            with self.batch.opener(self.input.path) as volumes:
                selection = self.batch.selector(volumes, self.batch.pipelines, self.input.folder)
                self.observer.selected(volumes, selection)
                self._volumes(volumes, selection)
        except Exception as error:  # a bug in one input must not cost the others
            self.observer.failed(Failure(str(self.input.path), self.only, error, self.alone))

    def _volumes(self, volumes: Volumes, selection: Selection) -> None:
        chosen = selection.chosen
        if len(chosen) == 1:
            self.only = chosen[0][0]
            self._diagnose(volumes, self._item(selection, 1))
            return
        self.alone = False
        check_folders((folder for _, folder in chosen), self.batch.writers, self.batch.force)
        for number, (volume, _) in enumerate(chosen, 1):
            try:
                with volumes.naming():
                    self._diagnose(volumes, self._item(selection, number))
            except Exception as error:  # as above
                self.observer.failed(Failure(f"{volumes.path}: {volume.label}", volume, error, False))

    def _item(self, selection: Selection, number: int) -> Item:
        volume, folder = selection.chosen[number - 1]
        return Item(self.input, volume, folder, self.position, Position(number, len(selection.chosen)))

    def _diagnose(self, volumes: Volumes, item: Item) -> None:
        began = time.perf_counter()
        writers = self.batch.writers if item.folder is not None else ()
        with self.observer.working(item) as progress:
            outcome = diagnose_volume(volumes, item.volume, self.batch.pipelines, writers, progress)
            outcome = replace(outcome, earlier=self.input.earlier)
            progress("write")
            files = [] if item.folder is None else publish(outcome, item.folder, writers, self.batch.force)
        self.observer.finished(item, outcome, files, time.perf_counter() - began)


def diagnose_volume(
    volumes: Volumes, volume: Volume, pipelines: Pipelines, writers: Sequence[Writer] = (), progress: Progress = silent
) -> Outcome:
    """Reads one volume and runs the stages of its task.

    Args:
        volumes: those of its input; the report names the input as it was given, also where it lies unpacked elsewhere.
        volume: to be read.
        pipelines: of the task.
        writers: are asked, before the stages run, whether they could write anything of the scan.
        progress: is told of each stage.

    Raises:
        InputError: it cannot be read, or no task is for it.
        OutputError: a writer could write nothing of it.
        MedvisError: what the stages raise.
    """
    progress("read")
    scan = volume.read()
    check_scan(scan, writers)
    outcome = run_stages(pipelines.of(scan), scan, progress)
    facts = outcome.report.scan
    named = facts.model_copy(update={"path": volumes.public(facts.path)})
    return replace(outcome, report=outcome.report.model_copy(update={"scan": named}))

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

from medvis.batch.existing import Existing, Kept, any_result, check_folders, kept_result
from medvis.batch.pipelines import Pipelines, run_stages
from medvis.batch.progress import Progress, silent
from medvis.batch.publish import check_scan, publish
from medvis.batch.select import Selection, select
from medvis.io.atomic import check_target
from medvis.io.inputs import check as check_path
from medvis.io.inputs import volumes as open_volumes

if TYPE_CHECKING:
    from medvis.core.outcome import Outcome
    from medvis.core.protocols import Writer
    from medvis.core.volumes import Volume, Volumes

Opener = Callable[[Path], AbstractContextManager["Volumes"]]
Checker = Callable[[Path], None]
Selector = Callable[["Volumes", Pipelines, Path | None], Selection]


@dataclass(frozen=True)
class Input:
    """One path that is to be diagnosed.

    Attributes:
        path: whatever `Batch.opener` opens.
        folder: for the results, or None: nothing is written.
        earlier: DICOM reports on the study that an archive has already (`Outcome.earlier`).
        called: its name in messages; default: the path.
    """

    path: Path
    folder: Path | None = None
    earlier: tuple[Path, ...] = ()
    called: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return self.called or str(self.path)


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

    def skipped(self, kept: Kept) -> None:
        """The result of a volume is there already, and stays; only where `Batch.existing` is ``skip``."""
        del kept


@dataclass(frozen=True)
class Batch:
    """What is done with every input.

    Attributes:
        pipelines: of the task; each model is loaded once.
        writers: of the results.
        existing: what is done where a result exists.
        selector: chooses among the volumes of an input.
        opener: opens an input for as long as its block runs.
        checker: refuses an input at first sight, before anything else is looked at.
    """

    pipelines: Pipelines
    writers: Sequence[Writer] = ()
    existing: Existing = "refuse"
    selector: Selector = select
    opener: Opener = open_volumes
    checker: Checker = check_path

    def run(self, inputs: Sequence[Input], observer: Observer) -> None:
        """Diagnoses every chosen volume of every input, one after the other.

        Before the first one is, all inputs are checked, then all folders for results: what is absent or no image, and
        where a result exists already, is told before any work, and is the failure of that case alone.

        Raises:
            SettingsError: those of the task are wrong; before anything else.
        """
        self.pipelines.prepare()
        numbered = [(source, Position(number, len(inputs))) for number, source in enumerate(inputs, 1)]
        runs = [_InputRun(self, observer, source, position) for source, position in numbered]
        present = [run for run in runs if run.is_there()]
        for run in [run for run in present if run.is_left()]:
            run.run()


class _InputRun:
    """The volumes of one input."""

    def __init__(self, batch: Batch, observer: Observer, source: Input, position: Position) -> None:
        self.batch, self.observer, self.input, self.position = batch, observer, source, position
        self.alone = position.total == 1
        self.only: Volume | None = None
        self.settled: set[Path] = set()

    def is_there(self) -> bool:
        """Whether the input is there, and looks like one."""
        return self._tried(lambda: self.batch.checker(self.input.path))

    def is_left(self) -> bool:
        """Whether there is anything to diagnose. The input is opened only where there are results already."""
        return self._tried(self._has_work)

    def _tried(self, check: Callable[[], bool | None]) -> bool:
        try:
            return check() is not False
        except Exception as error:  # a bug in one input must not cost the others
            self.observer.failed(Failure(self.input.name, self.only, error, self.alone))
            return False

    def _has_work(self) -> bool:
        folder = self.input.folder
        if folder is None:
            return True
        check_target(folder, (), force=False)
        return not any_result(folder, self.batch.writers) or self._check_results()

    def run(self) -> None:
        """Diagnoses what the checks have left."""
        try:
            with self.batch.opener(self.input.path) as volumes:
                selection = self._select(volumes)
                self.observer.selected(volumes, selection)
                self._volumes(volumes, selection)
        except Exception as error:  # as above
            self.observer.failed(Failure(self.input.name, self.only, error, self.alone))

    def _select(self, volumes: Volumes) -> Selection:
        selection = self.batch.selector(volumes, self.batch.pipelines, self.input.folder)
        if len(selection.chosen) == 1:
            self.only = selection.chosen[0][0]
        else:
            self.alone = False
        return selection

    def _check_results(self) -> bool:
        """Tells of every volume whose result exists; whether others are left."""
        with self.batch.opener(self.input.path) as volumes:
            selection = self._select(volumes)
            for volume, folder in selection.chosen:
                try:
                    with volumes.naming():
                        settled = folder is not None and self._has_result(volumes, volume, folder)
                except Exception as error:  # as above
                    settled = True
                    self._fail(volumes, volume, error)
                if settled and folder is not None:
                    self.settled.add(folder)
            left = len(selection.chosen) - len(self.settled)
            if not left:
                self.observer.selected(volumes, selection)
            return left > 0

    def _has_result(self, volumes: Volumes, volume: Volume, folder: Path) -> bool:
        """Whether a volume has a result that stays. Raises OutputError: it has one that is in the way."""
        kept = None
        if self.batch.existing == "skip":
            kept = kept_result(folder, volumes, volume, self.batch.pipelines, self.batch.writers)
        if kept is None:
            check_folders([folder], self.batch.writers, self.batch.existing == "replace")
            return False
        self.observer.skipped(kept)
        return True

    def _fail(self, volumes: Volumes, volume: Volume, error: Exception) -> None:
        name = self.input.name if self.only is not None else f"{volumes.path}: {volume.label}"
        self.observer.failed(Failure(name, volume, error, self.alone))

    def _volumes(self, volumes: Volumes, selection: Selection) -> None:
        if self.only is not None:
            self._diagnose(volumes, self._item(selection, 1))
            return
        for number, (volume, folder) in enumerate(selection.chosen, 1):
            if folder in self.settled:
                continue
            try:
                with volumes.naming():
                    self._diagnose(volumes, self._item(selection, number))
            except Exception as error:  # as above
                self._fail(volumes, volume, error)

    def _item(self, selection: Selection, number: int) -> Item:
        volume, folder = selection.chosen[number - 1]
        return Item(self.input, volume, folder, self.position, Position(number, len(selection.chosen)))

    def _diagnose(self, volumes: Volumes, item: Item) -> None:
        began = time.perf_counter()
        writers = self.batch.writers if item.folder is not None else ()
        force = self.batch.existing == "replace"
        with self.observer.working(item) as progress:
            outcome = diagnose_volume(volumes, item.volume, self.batch.pipelines, writers, progress)
            outcome = replace(outcome, earlier=self.input.earlier)
            progress("write")
            files = [] if item.folder is None else publish(outcome, item.folder, writers, force)
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

"""The rounds of `medvis diagnose`: every path, every volume in it; one failure does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from medvis.cli.cases import Pipelines, check, run_stages, targets
from medvis.cli.console import emit, waiting
from medvis.cli.failures import explain, say_error
from medvis.cli.remote import opened
from medvis.cli.selection import Selection, named_as_given, select
from medvis.core.report import Report
from medvis.core.volumes import Volume, Volumes
from medvis.errors import BatchError


@dataclass(frozen=True)
class Job:
    """What is done with each case.

    Attributes:
        task, settings: name, path or ``auto``; dotted setting → value.
        folder: for the results, or None: none are written.
        writers: of the results.
        json, quiet, force: as the options say.
        series: UID, number or label of the only series wanted, or None.
    """

    task: str
    settings: dict[str, Any]
    folder: Path | None
    writers: list[Any]
    json: bool
    quiet: bool
    force: bool
    series: str | None


def run(paths: Sequence[Path], job: Job) -> list[str]:
    """The verdicts. Raises the error of a single case; of several, says each and raises BatchError in the end."""
    folders: list[Path | None] = [None] * len(paths)
    if job.folder is not None:
        folders = list(targets(paths, job.folder))
        check((folder for folder in folders if folder is not None), job.writers, job.force)
    rounds = _Rounds(job, len(paths) > 1)
    for number, (path, folder) in enumerate(zip(paths, folders, strict=True), 1):
        rounds.input(path, folder, f"{number} of {len(paths)}, " if rounds.several else "")
    return rounds.settled()


class _Rounds:
    """The cases of one run, and how they went."""

    def __init__(self, job: Job, several: bool) -> None:
        self.job, self.several = job, several
        self._pipelines = Pipelines(job.task, job.settings)
        self._verdicts: list[str] = []
        self._codes: list[int] = []

    def input(self, path: Path, folder: Path | None, count: str) -> None:
        """All volumes of one path; of several paths, says what is wrong with one and goes on."""
        try:
            with opened(path) as found:
                selection = select(found, self._pipelines, folder, self.job.series)
                self._say(found, selection)
                self._volumes(found, selection, f"{count}{path.name}")
        except Exception as error:  # a bug in one case must not cost the others
            if not self.several:
                raise
            self._codes.append(explain(error, str(path)))

    def settled(self) -> list[str]:
        """The verdicts; ends a run with failures: with their code if all failed alike, else as a batch of failures."""
        if self._codes and not self._verdicts and len(set(self._codes)) == 1:
            raise typer.Exit(self._codes[0])
        if self._codes:
            raise BatchError(f"{len(self._codes)} of {len(self._codes) + len(self._verdicts)} cases failed")
        return self._verdicts

    def _volumes(self, found: Volumes, selection: Selection, text: str) -> None:
        if len(selection.chosen) == 1:
            volume, folder = selection.chosen[0]
            self._verdicts.append(self._one(found, volume, folder, text).verdict.decision)
            return
        self.several = True
        check([folder for _, folder in selection.chosen if folder is not None], self.job.writers, self.job.force)
        for number, (volume, folder) in enumerate(selection.chosen, 1):
            where = f"{text}, {number} of {len(selection.chosen)}, {volume.label}"
            try:
                with found.naming():
                    self._verdicts.append(self._one(found, volume, folder, where).verdict.decision)
            except Exception as error:  # as above
                self._codes.append(explain(error, f"{found.path}: {volume.label}"))

    def _say(self, found: Volumes, selection: Selection) -> None:
        """What is not in any report: what was left out, and what else lies there."""
        if self.job.quiet:
            return
        for line in selection.left_out:
            say_error(f"left out {line}")
        if len(found.usable()) > 1:  # of a single volume, the notes are in its report
            for note in found.notes:
                say_error(f"note: {note}")

    def _one(self, found: Volumes, volume: Volume, folder: Path | None, text: str) -> Report:
        from medvis.batch.publish import check_scan, publish

        began = time.perf_counter()
        with waiting(text, quiet=self.job.quiet) as tick:
            tick("read")
            scan = volume.read()
            check_scan(scan, self.job.writers if folder is not None else ())
            outcome = named_as_given(run_stages(self._pipelines.of(scan), scan, tick), found)
            tick("write")
            files = publish(outcome, folder, self.job.writers, self.job.force) if folder is not None else []
        if self.job.json:
            emit(_json(outcome.report, self.several))
        if not self.job.quiet:
            from medvis.cli.summary import show

            show(outcome.report, files, time.perf_counter() - began)
        return outcome.report


def _json(report: Report, several: bool) -> str:
    """The text of report.json; of several reports, one compact line each (JSON Lines)."""
    from medvis.io.writers.json_report import report_text

    return report.model_dump_json() + "\n" if several else report_text(report)

"""Results that are there already: whether they are those of an input, and stay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medvis import __version__
from medvis.batch.publish import REPORT
from medvis.core.protocols import Writer
from medvis.core.report import Report
from medvis.errors import ModelError, OutputError, SettingsError
from medvis.io.atomic import check_target, write_error

if TYPE_CHECKING:
    from medvis.batch.pipelines import Pipelines
    from medvis.core.volumes import Volume, Volumes
    from medvis.pipeline import Pipeline

Existing = Literal["refuse", "replace", "skip"]
"""What is done where a result exists: an error of that case, a new one in its place, or nothing."""
_HINT = "give --force to replace it, or another folder with -o"


@dataclass(frozen=True)
class Kept:
    """A result that stays as it is.

    Attributes:
        folder: where it is.
        report: what it says.
        differs: it was made with other settings, another model or version.
    """

    folder: Path
    report: Report
    differs: bool


def possible_files(writers: Iterable[Writer]) -> list[str]:
    """The names of all files that the writers may write. How many frames a scan has is not known yet."""
    return sorted({name for writer in writers for frames in (1, 2) for name in writer.files(frames)})


def check_folders(folders: Iterable[Path | None], writers: Sequence[Writer], force: bool) -> None:
    """Refuses before any work what could not be written in the end.

    Raises:
        OutputError: as `medvis.io.atomic.check_target`.
    """
    for folder in folders:
        if folder is not None:
            check_target(folder, possible_files(writers), force)


def any_result(folder: Path, writers: Sequence[Writer]) -> bool:
    """Whether files that the writers may write are in a folder, or in one directly below it. Raises OutputError."""
    try:
        if not folder.is_dir():
            return False
        below = [path for path in folder.iterdir() if path.is_dir()]
        return any((place / name).exists() for place in (folder, *below) for name in possible_files(writers))
    except OSError as error:
        raise write_error(folder, error) from error


def kept_result(
    folder: Path, volumes: Volumes, volume: Volume, pipelines: Pipelines, writers: Sequence[Writer]
) -> Kept | None:
    """The result of a volume that is in a folder already; None: there is no report.

    Raises:
        OutputError: there is a report, and it cannot be read, is of another image or task, or lacks files that would
            be written: it must neither be taken for this volume's result, nor be replaced unasked.
    """
    path = folder / REPORT
    try:
        if not path.is_file():
            return None
        report = Report.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read as a report of this medvis", hint=_HINT) from error
    if not _is_of(report, volumes, volume):
        raise OutputError(f"{folder} holds the result of another image ({report.scan.path})", hint=_HINT)
    pipeline = pipelines.expected(volume)
    made = report.provenance
    if pipeline is not None and made.task != pipeline.config.task:
        raise OutputError(f"{folder} holds a result of task '{made.task}'", f"'{pipeline.config.task}'", _HINT)
    lacking = _lacking(folder, writers, report.scan.frames)
    if lacking:
        raise OutputError(f"{folder} holds a result without {', '.join(lacking)}", hint=_HINT)
    return Kept(folder, report, pipeline is not None and _differs(report, pipeline))


def _is_of(report: Report, volumes: Volumes, volume: Volume) -> bool:
    """By the UID of the series; else by the bytes of the file, where a volume is one."""
    series = volume.facts.get("series_uid")
    if series is not None:
        return bool(series == report.scan.series_uid)
    base = Path(volumes.private or volumes.path)
    file = base if base.is_file() else base / volume.files[0]
    if len(volume.files) != 1 or not file.is_file():
        return Path(report.scan.path).name == Path(volumes.path).name
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == report.scan.sha256
    except OSError as error:
        raise OutputError(f"{file} cannot be compared with the result in place: {error.strerror}") from error


def _lacking(folder: Path, writers: Sequence[Writer], frames: int) -> list[str]:
    """Files of writers that always write, which are not there. Of the others only an outcome tells."""
    always = [writer for writer in writers if type(writer).applies is Writer.applies]
    return [name for writer in always for name in writer.files(frames) if not (folder / name).exists()]


def _differs(report: Report, pipeline: Pipeline) -> bool:
    try:
        model = pipeline.context.card.model.sha256
    except (ModelError, SettingsError):
        return True
    made = report.provenance
    now = (__version__, pipeline.config.sha256, model)
    return (made.medvis, made.config_sha256, made.model_sha256) != now

"""Results appear whole or not at all: everything is written into a private folder first, then moved into place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.core.scan import Scan
from medvis.errors import OutputError
from medvis.io.atomic import check_target, write_error
from medvis.io.private import move_in, private_folder

REPORT = "report.json"


def check_scan(scan: Scan, writers: Iterable[Writer]) -> None:
    """Refuses, before any work is done, a scan of which a writer could write nothing. Raises OutputError."""
    for writer in writers:
        writer.check(scan)


def publish(outcome: Outcome, folder: Path, writers: Sequence[Writer], force: bool) -> list[Path]:
    """Lets every writer write, then moves all files into `folder`, the report last.

    A report in the folder therefore means that all the rest is there. On any error, the folder is as it was.

    Args:
        outcome: what to write.
        folder: made if absent.
        writers: each declares its files' names (`Writer.files`).
        force: whether existing files may be replaced.

    Returns:
        the files in place, in the writers' order.

    Raises:
        OutputError: as `check_target`; two writers want one name; a writer fails; the disk is full.
    """
    names = _names(outcome, writers)
    check_target(folder, names, force)
    with _private(folder) as private:
        try:
            fresh = private / "new"
            fresh.mkdir()
            able = [writer for writer in writers if writer.applies(outcome)]
            for writer in _in_order(able):
                _run(writer, outcome, fresh)
            order = sorted(names, key=lambda name: name == REPORT)  # the report out first and in last
            move_in(private, folder, order, force)
        except OSError as error:
            raise write_error(folder, error) from error
    return [folder / name for name in _names(outcome, able)]


def _in_order(writers: Sequence[Writer]) -> Iterator[Writer]:
    """The writers as given, but each after those whose files it looks at (`Writer.after`)."""
    waiting = list(writers)
    while waiting:
        names = {writer.name for writer in waiting}
        ready = [writer for writer in waiting if names.isdisjoint(writer.after)]
        if not ready:
            raise OutputError(
                f"the writers {', '.join(sorted(names))} wait for each other", "an order without a circle"
            )
        yield from ready
        waiting = [writer for writer in waiting if writer not in ready]


def _names(outcome: Outcome, writers: Sequence[Writer]) -> list[str]:
    frames = outcome.case.scan.frames
    names = [name for writer in writers for name in writer.files(frames)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OutputError(f"two writers want to write {twice[0]}", hint="name each writer once in --write")
    return names


def _run(writer: Writer, outcome: Outcome, fresh: Path) -> None:
    promised = set(writer.files(outcome.case.scan.frames))
    written = {path.name for path in writer.write(outcome, fresh) if path.parent == fresh and path.is_file()}
    if written != promised:
        raise OutputError(
            f"writer '{writer.name}' wrote {', '.join(sorted(written)) or 'nothing'}", ", ".join(sorted(promised))
        )


@contextmanager
def _private(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`: the one place that is sure to be on the same file system and writable."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            private = stack.enter_context(private_folder(folder))
        except OSError as error:
            _remove_empty(made)
            raise write_error(folder, error) from error
        try:
            yield private
        except BaseException:
            stack.close()
            _remove_empty(made)
            raise


def _remove_empty(folders: Iterable[Path]) -> None:
    for path in folders:
        with suppress(OSError):
            path.rmdir()

"""`medvis listen`."""

from __future__ import annotations

import json as jsons
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.failures import printable
from medvis.cli.network import Aet, TlsCa, TlsCert, TlsKey, seconds, tls_files
from medvis.cli.options import Quiet, Set, Task, overrides
from medvis.cli.writing import complete_writers, names_in
from medvis.errors import INTERRUPTED

if TYPE_CHECKING:
    from medvis.pacs.settings import ListenSettings

_OWN = "listen."
_WRITE = "json,seg,sr,sc"
_DAY = 86400.0


def listen(
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 11112,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on. Beyond this machine, give --allow or --tls-ca."),
    ] = ("127.0.0.1"),
    aet: Aet = "MEDVIS",
    allow: Annotated[
        list[str] | None, typer.Option(metavar="TITLE", help="A calling title that is let in. May be repeated.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="DEST", help="Where results go: AET@host:port, dicoms://AET@host:port or https://…/dicom-web."
        ),
    ] = None,
    task: Task = "auto",
    write: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIST",
            autocompletion=complete_writers,
            help=f"What to make of a study; its DICOM objects are sent. May be repeated.  [default: {_WRITE}]",
        ),
    ] = None,
    store: Annotated[Path, typer.Option(metavar="FOLDER", help="The queue, and what is in it.")] = Path("medvis-store"),
    quiet_period: Annotated[
        str, typer.Option(metavar="TIME", help="A study is complete when nothing has come for so long.")
    ] = "5s",
    keep: Annotated[str, typer.Option(metavar="TIME", help="How long a study that is done stays on the disk.")] = "7d",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what was set aside after too many attempts.")
    ] = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    settings: Set = None,
    json: Annotated[bool, typer.Option("--json", help="Events on standard output, one JSON object a line.")] = False,
    quiet: Quiet = False,
) -> None:
    """Runs until SIGTERM (exit code 0) or Ctrl-C (130); what is not finished then stays in the queue.

    Settings of the listener itself are set as listen.KEY, e.g. --set listen.max_associations=4.
    """
    from medvis.pacs.settings import ListenSettings, need
    from medvis.settings import validated

    changes = overrides(settings)
    own = {key.removeprefix(_OWN): value for key, value in changes.items() if key.startswith(_OWN)}
    values = {
        "port": port, "host": host, "aet": aet, "allow": allow or [], "to": to, "task": task,
        "write": names_in(write or [_WRITE]), "store": store, "quiet_period": seconds(quiet_period, "--quiet-period"),
        "keep_days": seconds(keep, "--keep", "d") / _DAY, "tls": tls_files(tls_cert, tls_key, tls_ca),
    }  # fmt: skip
    need("pynetdicom", "httpx")
    checked = validated(ListenSettings, {**values, **own}, "medvis listen")
    rest = {key: value for key, value in changes.items() if not key.startswith(_OWN)}
    _check_task(checked, rest)
    raise typer.Exit(_run(checked, rest, retry_failed, _log(json, quiet)))


def _check_task(settings: ListenSettings, changes: Mapping[str, Any]) -> None:
    """A wrong setting is to be known now, and not when the first study has come."""
    from medvis.pipeline import AUTO
    from medvis.settings import load_task

    if settings.task != AUTO:
        load_task(settings.task, changes)


def _run(
    settings: ListenSettings, changes: Mapping[str, Any], retry: bool, log: Callable[[str, Mapping[str, object]], None]
) -> int:
    """The exit code."""
    from medvis.pacs.listener.listener import Listener

    with _stopping() as (stop, signals):
        listener = Listener(settings, changes, log)
        if retry:
            listener.store.journal.retry_failed()
        listener.run(stop)
    return INTERRUPTED if signal.SIGINT in signals else 0


@contextmanager
def _stopping() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that SIGTERM, SIGHUP and SIGINT set, and the signals that came."""
    stop = threading.Event()
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)
        stop.set()

    ending = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
    handled = [number for number in ending if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield stop, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(json: bool, quiet: bool) -> Callable[[str, Mapping[str, object]], None]:
    """Writes an event as one line; that nobody reads it any more must not end the listener."""
    stream, lock = (sys.stdout if json else sys.stderr), threading.Lock()

    def write(event: str, facts: Mapping[str, object]) -> None:
        if stream is None or (quiet and not json):
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = jsons.dumps({"time": now, "event": event, **facts}) if json else _line(now, event, facts)
        with lock, suppress(OSError, ValueError):
            stream.write(f"{line}\n")
            stream.flush()

    return write


def _line(now: str, event: str, facts: Mapping[str, object]) -> str:
    words = (f"{key}={jsons.dumps(value) if isinstance(value, dict | list) else value}" for key, value in facts.items())
    return printable(" ".join([now, event, *(" ".join(word.split()) for word in words)]))

"""`medvis pull`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvis.cli.console import emit, emit_json, waiting
from medvis.cli.failures import print_error
from medvis.cli.network import Aet, TlsCa, TlsCert, TlsKey, tls_files
from medvis.cli.options import Json, Quiet, one_of
from medvis.errors import BatchError, UsageError

if TYPE_CHECKING:
    from medvis.pacs.dimse.retrieve import Route
    from medvis.pacs.peers import DimsePeer, RetrieveTarget, WebPeer

_LEVELS = ("study", "series", "instance")
_VIAS = ("auto", "get", "move")


def pull(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="AET@host:port, dicoms://AET@host:port or https://…/dicom-web.")
    ],
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Series Instance UID: this series only.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Where the files go: SERIES/INSTANCE.dcm.")
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="List what matches, fetch nothing. May be repeated; KEY= shows KEY."),
    ] = None,
    level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="What --query lists: study, series or instance.")
    ] = None,
    via: Annotated[str, typer.Option(metavar="WAY", help="auto, get (C-GET) or move (C-MOVE).")] = "auto",
    aet: Aet = "MEDVIS",
    port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Our port during C-MOVE; the source must know it.")
    ] = (11112),
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Our address during C-MOVE.")] = "127.0.0.1",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prints the files. Those that are there already are not fetched again, so a pull that broke off can be repeated.

    SOURCE may also be the URL of a study or a series. Credentials for DICOMweb come from MEDVIS_DICOMWEB_TOKEN, from
    MEDVIS_DICOMWEB_USER and MEDVIS_DICOMWEB_PASSWORD, or from a netrc file. --query lists no patient's name or number
    unless it is one of the keys.
    """
    from medvis.pacs.settings import need

    need("pynetdicom", "httpx")
    from medvis.pacs.dimse.retrieve import Route
    from medvis.pacs.pull import source_of

    way: Any = one_of(via, "--via", _VIAS)
    peer, target = source_of(source, study, series)
    route = Route(way, aet, host, port, tls_files(tls_cert, tls_key, tls_ca))
    if query is not None or level is not None:
        _list(peer, target, query or [], level, route, json)
        return
    if target is None or output is None:
        raise UsageError("nothing says what to fetch or where to", "--study UID -o FOLDER, or --query KEY=VALUE")
    _fetch(peer, target, output, route, json, quiet)


def _fetch(
    peer: DimsePeer | WebPeer, target: RetrieveTarget, folder: Path, route: Route, json: bool, quiet: bool
) -> None:
    from medvis.pacs.pull import pull as pull_all

    with waiting("pull", quiet=quiet) as tick:

        def started(total: int) -> Callable[[], object]:
            tick("", 0, total)
            return tick

        pulled = pull_all(peer, target, folder, route, started)
    if json:
        emit_json({"files": [str(path) for path in pulled.files], "failures": dict(pulled.failures)}, indent=2)
    else:
        emit("".join(f"{path}\n" for path in pulled.files))
    for what, why in pulled.failures:
        print_error(f"error: {what}: {why}")
    if pulled.failures:
        raise BatchError(f"{len(pulled.failures)} of {len(pulled.failures) + len(pulled.files)} instances did not come")


def _list(
    peer: DimsePeer | WebPeer,
    target: RetrieveTarget | None,
    texts: list[str],
    level: str | None,
    route: Route,
    json: bool,
) -> None:
    from medvis.cli.tables import show_rows
    from medvis.pacs.query import SHOWN, checked_keys, find

    keys: dict[str, str] = checked_keys(texts)
    if target is not None:
        named = {"StudyInstanceUID": target.study, "SeriesInstanceUID": target.series}
        keys |= {keyword: uid for keyword, uid in named.items() if uid is not None}
    below = "study" if target is None else "series" if target.series is None else "instance"
    what: Any = one_of(below if level is None else level, "--level", _LEVELS)
    matches = find(peer, what, keys, route.tls, route.aet)
    shown = list(dict.fromkeys([*SHOWN[what], *keys]))
    rows = [[match.get(keyword, "") for keyword in shown] for match in matches]
    if json:
        emit_json([dict(zip(shown, row, strict=True)) for row in rows], indent=2)
    else:
        show_rows(shown, rows)

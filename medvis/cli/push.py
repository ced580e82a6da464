"""`medvis push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.cli.console import emit, emit_json, waiting
from medvis.cli.failures import print_error
from medvis.cli.network import Aet, TlsCa, TlsCert, TlsKey, tls_files
from medvis.cli.options import Json, Quiet
from medvis.errors import BatchError, InputError, OutputError

if TYPE_CHECKING:
    from medvis.pacs.peers import DimsePeer, WebPeer
    from medvis.pacs.push import Sent
    from medvis.pacs.settings import Tls


def push(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="DICOM files, or folders with some in them.")],
    to: Annotated[
        str,
        typer.Option(metavar="DEST", help="AET@host:port, dicoms://AET@host:port or https://…/dicom-web."),
    ],
    aet: Aet = "MEDVIS",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prints the files that were sent. What is no DICOM in a folder, such as report.json, stays.

    Sending a file twice does no harm. Credentials for DICOMweb come from MEDVIS_DICOMWEB_TOKEN, from
    MEDVIS_DICOMWEB_USER and MEDVIS_DICOMWEB_PASSWORD, or from a netrc file.
    """
    from medvis.pacs.peers import parse_peer
    from medvis.pacs.settings import need

    need("pynetdicom", "httpx")
    peer = parse_peer(to)
    paths = _paths(files)
    results = _send(paths, peer, tls_files(tls_cert, tls_key, tls_ca), aet, quiet)
    failures = [sent for sent in results if sent.failure is not None]
    done = [str(sent.path) for sent in results if sent.failure is None]
    if json:
        emit_json({"files": done, "failures": {str(sent.path): sent.failure for sent in failures}}, indent=2)
    else:
        emit("".join(f"{path}\n" for path in done))
    for sent in failures:
        print_error(f"error: {sent.path}: {sent.failure}")
    if failures:
        raise BatchError(f"{len(failures)} of {len(results)} files were not sent")


def _send(paths: list[Path], peer: DimsePeer | WebPeer, tls: Tls, aet: str, quiet: bool) -> list[Sent]:
    from medvis.pacs.peers import PeerError
    from medvis.pacs.push import push as push_all

    results: list[Sent] = []
    with waiting("push", len(paths), quiet) as tick:
        try:
            for sent in push_all(paths, peer, tls, aet):
                results.append(sent)
                tick()
        except PeerError as error:
            raise OutputError(error.found, error.wanted, error.hint) from error
    return results


def _paths(given: list[Path]) -> list[Path]:
    """The files, and the DICOM files of the folders; each once."""
    from medvis.dicom.read.magic import is_dicom
    from medvis.io.magic import head_of

    files: list[Path] = []
    for path in given:
        if not path.exists():
            raise InputError(f"{path} does not exist", "DICOM files or folders")
        if path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.is_file() and is_dicom(head_of(file)))
        else:
            files.append(path)
    if not files:
        raise InputError(f"{', '.join(map(str, given))} holds no DICOM file")
    return list(dict.fromkeys(files))

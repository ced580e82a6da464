"""Sending DICOM files, by C-STORE (PS3.4 B) or STOW-RS (PS3.18 10.5): byte for byte, where the peer agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pynetdicom.association import Association

from medvis.pacs.dimse.associations import NATIVE, SUCCESS, association, contexts_in_groups, describe_status
from medvis.pacs.files import identity_of_file
from medvis.pacs.peers import DimsePeer, WebPeer
from medvis.pacs.settings import AET, Tls

_STORED_WITH_WARNING = (0xB000, 0xB006, 0xB007)  # coercion, elements discarded, mismatch (PS3.4 Table B.2-1)


@dataclass(frozen=True)
class Sent:
    """What became of a file; `failure` is None where the peer has it."""

    path: Path
    failure: str | None = None


def push(paths: Sequence[Path], peer: DimsePeer | WebPeer, tls: Tls, aet: str = AET) -> Iterator[Sent]:
    """Sends files one after the other. Sending one twice does no harm: its UID tells the peer that it has it.

    Args:
        paths: DICOM files with file meta information.
        peer: who is to have them.
        tls: for a peer over TLS.
        aet: our own title.

    Yields:
        what became of each file, not in the order given.

    Raises:
        PeerError: the peer cannot be reached at all, or wants nothing of it.
    """
    known: dict[Path, tuple[str, str]] = {}
    for path in paths:
        try:
            identity = identity_of_file(path)
            known[path] = (identity.sop_class, identity.syntax)
        except ValueError as error:
            yield Sent(path, str(error))
        except OSError as error:
            yield Sent(path, error.strerror or str(error))
    yield from _stow(list(known), peer, tls) if isinstance(peer, WebPeer) else _store(known, peer, tls, aet)


def _stow(paths: Sequence[Path], peer: WebPeer, tls: Tls) -> Iterator[Sent]:
    from medvis.pacs.web.client import Web  # noqa: PLC0415 - httpx, which DIMSE can do without

    with Web(peer, tls) as web:
        for path in paths:
            yield Sent(path, web.store(path))


def _store(known: dict[Path, tuple[str, str]], peer: DimsePeer, tls: Tls, aet: str) -> Iterator[Sent]:
    wanted = [*known.values(), *((sop, NATIVE[1]) for sop, syntax in known.values() if syntax == NATIVE[0])]
    left = dict(known)
    for contexts in contexts_in_groups(wanted):
        offered = {(str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in contexts}
        mine = [path for path, pair in left.items() if pair in offered]
        for path in mine:
            del left[path]
        if mine:
            with association(peer, contexts, tls, aet) as assoc:
                for path in mine:
                    yield Sent(path, _store_file(assoc, path))


def _store_file(assoc: Association, path: Path) -> str | None:
    if not assoc.is_established:
        return "the peer ended the association"
    try:
        status = _send(assoc, path)
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        return f"the peer does not take it: {error}"
    code = status.get("Status")
    if code == SUCCESS or code in _STORED_WITH_WARNING:
        return None
    return f"refused: {describe_status(code)}"


def _send(assoc: Association, path: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """As it is; if the peer takes uncompressed data in implicit VR only, which all must (PS3.5 10.1), then so."""
    try:
        return assoc.send_c_store(path)
    except ValueError:
        whole = dcmread(path)
        if whole.file_meta.TransferSyntaxUID != NATIVE[0]:
            raise
        return assoc.send_c_store(whole)

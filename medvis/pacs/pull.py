"""Fetching by whichever protocol the source speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medvis.errors import UsageError
from medvis.pacs.dimse.retrieve import Route, retrieve
from medvis.pacs.peers import DimsePeer, RetrieveTarget, WebPeer, parse_peer, split_url
from medvis.pacs.query import instances
from medvis.pacs.retrieval import Pulled
from medvis.pacs.web.fetch import fetch_all


def source_of(text: str, study: str | None, series: str | None) -> tuple[DimsePeer | WebPeer, RetrieveTarget | None]:
    """The peer, and what of it is meant: by a DICOMweb URL that goes on with /studies/UID, or by the options.

    Raises:
        UsageError: no peer; a series without its study; or URL and options both name a study.
    """
    if series is not None and study is None:
        raise UsageError("--series without --study", "both")
    asked = RetrieveTarget(study, series) if study is not None else None
    if not text.startswith(("http://", "https://")):
        return parse_peer(text), asked
    peer, named = split_url(text)
    if named is not None and asked is not None:
        raise UsageError("--study beside a URL that names one", "one of them")
    return peer, named or asked


def pull(
    peer: DimsePeer | WebPeer,
    target: RetrieveTarget,
    folder: Path,
    route: Route,
    started: Callable[[int], Callable[[], object]] = lambda _: lambda: None,
) -> Pulled:
    """Fetches a study or series into FOLDER/SERIES/INSTANCE.dcm. Every file appears whole.

    Args:
        peer: who has it.
        target: what to fetch.
        folder: made if absent. What is there already is not fetched again.
        route: our side.
        started: is told the number of instances; what it returns is called after each.

    Raises:
        PeerError: the peer cannot be reached, or has no such study.
        OutputError: for C-MOVE, our port cannot be listened on.
    """
    wanted = instances(peer, target, route.tls, route.aet)
    done = started(len(wanted))
    if isinstance(peer, WebPeer):
        return fetch_all(peer, [instance for instance, _ in wanted], folder, route.tls, done)
    return retrieve(peer, wanted, folder, route, done)

"""A study or series of an application entity, as files: C-GET where it is offered, else C-MOVE (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from medvis.dicom.uids import InstanceUids
from medvis.io.atomic import whole_file, write_error
from medvis.pacs.dimse.associations import MOST_CONTEXTS, SUCCESS, SYNTAXES, association, describe_status
from medvis.pacs.dimse.guard import Limits
from medvis.pacs.dimse.query import identifier
from medvis.pacs.dimse.receive import MISMATCH, Handlers, Receiver, RefusedError, take
from medvis.pacs.files import file_header
from medvis.pacs.peers import DimsePeer, PeerError, RetrieveTarget
from medvis.pacs.retrieval import Pulled, instance_path
from medvis.pacs.settings import AET, PORT, Tls
from medvis.pacs.tls import server_context

GET = "1.2.840.10008.5.1.4.1.2.2.3"  # Study Root Query/Retrieve Information Model – GET
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"  # the same – MOVE
Via = Literal["auto", "get", "move"]
Instances = Sequence[tuple[RetrieveTarget, str]]
"""Instances with their SOP class UIDs."""


@dataclass(frozen=True)
class Route:
    """How the instances get here.

    Attributes:
        via: C-GET, C-MOVE, or C-GET unless the peer does not offer it.
        aet: our title. For C-MOVE the peer must know it, with our host and port.
        host: where we listen during C-MOVE.
        port: as `host`.
        tls: for a peer over TLS.
    """

    via: Via = "auto"
    aet: str = AET
    host: str = "127.0.0.1"
    port: int = PORT
    tls: Tls = field(default_factory=Tls)


def retrieve(
    peer: DimsePeer,
    wanted: Instances,
    folder: Path,
    route: Route,
    done: Callable[[], object] = lambda: None,
) -> Pulled:
    """Fetches instances, series by series; those whose files are there already are left as they are.

    Args:
        peer: who has them.
        wanted: instances with their SOP classes, as `query.instances` lists them.
        folder: where they go, as `instance_path` says.
        route: how.
        done: called after each instance.

    Raises:
        PeerError: the peer cannot be reached, or offers no way.
        OutputError: for C-MOVE, our port cannot be listened on.
    """
    missing = [(target, sop_class) for target, sop_class in wanted if not instance_path(folder, target).is_file()]
    reasons: dict[str, str] = {}
    if missing:
        handlers = _handlers({target for target, _ in missing}, folder, done, reasons)
        offered = route.via != "move" and _get(peer, missing, handlers, route, reasons)
        if not offered and route.via == "get":
            raise PeerError(f"{peer} does not offer C-GET", hint="try --via move")
        if not offered:
            _move(peer, missing, handlers, route, reasons)
    pulled = Pulled()
    for target, _ in wanted:
        if instance_path(folder, target).is_file():
            pulled.files.append(instance_path(folder, target))
        else:
            why = reasons.get(str(target.instance)) or reasons.get(str(target.series)) or "the peer did not send it"
            pulled.failures.append((f"instance {target.instance}", why))
    return pulled


def _handlers(
    wanted: set[RetrieveTarget], folder: Path, done: Callable[[], object], reasons: dict[str, str]
) -> Handlers:
    def keep(identity: InstanceUids, data: BytesIO, _: Association) -> None:
        target = RetrieveTarget(identity.study, identity.series, identity.instance)
        if target not in wanted:
            raise RefusedError(MISMATCH, "nobody asked for this instance")
        try:
            with whole_file(instance_path(folder, target), durable=True) as stream:
                stream.write(file_header(identity))
                stream.write(data.getbuffer())
        except OSError as error:
            reasons[identity.instance] = write_error(instance_path(folder, target), error).line
            raise
        done()

    return Handlers(keep)


def _series(missing: Instances) -> Iterator[tuple[str, Any]]:
    """(series, request) for each series that lacks something."""
    for study, series in dict.fromkeys((target.study, str(target.series)) for target, _ in missing):
        yield series, identifier("series", {"StudyInstanceUID": study, "SeriesInstanceUID": series})


def _note(series: str, answers: Iterator[tuple[Any, Any]], reasons: dict[str, str]) -> None:
    """Waits for the last answer and keeps why something failed."""
    code: int | None = None
    for status, _ in answers:
        code = status.get("Status")
    if code != SUCCESS:
        reasons[series] = f"the peer says {describe_status(code)}"


def _get(
    peer: DimsePeer,
    missing: Instances,
    handlers: Handlers,
    route: Route,
    reasons: dict[str, str],
) -> bool:
    """False: the peer does not offer C-GET."""
    classes = sorted({sop_class for _, sop_class in missing if sop_class})
    if not classes:
        return False
    pairs = [(sop_class, syntax) for syntax in SYNTAXES for sop_class in classes][: MOST_CONTEXTS - 1]
    contexts = [build_context(GET), *(build_context(sop_class, syntax) for sop_class, syntax in pairs)]
    options = {
        "ext_neg": [build_role(sop_class, scp_role=True) for sop_class in classes],
        "evt_handlers": [(evt.EVT_C_STORE, lambda event: take(event, handlers))],
    }
    with association(peer, contexts, route.tls, route.aet, **options) as assoc:
        if not any(context.abstract_syntax == GET for context in assoc.accepted_contexts):
            return False
        for series, request in _series(missing):
            _note(series, assoc.send_c_get(request, GET), reasons)
    return True


def _move(
    peer: DimsePeer,
    missing: Instances,
    handlers: Handlers,
    route: Route,
    reasons: dict[str, str],
) -> None:
    limits = Limits(tls=server_context(route.tls) if peer.tls else None)
    receiver = Receiver((route.host, route.port), route.aet, [], handlers, limits)
    try:
        with association(peer, [build_context(MOVE)], route.tls, route.aet) as assoc:
            for series, request in _series(missing):
                _note(series, assoc.send_c_move(request, route.aet, MOVE), reasons)
    finally:
        receiver.stop()

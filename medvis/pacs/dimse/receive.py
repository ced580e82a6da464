"""A C-STORE SCP (PS3.4 B) that goes on whatever is sent to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from medvis.dicom.uids import InstanceUids
from medvis.errors import OutputError
from medvis.pacs.dimse.associations import SUCCESS, application, storage_contexts
from medvis.pacs.dimse.guard import Limits
from medvis.pacs.dimse.server import make_server
from medvis.pacs.files import identity_of_data

OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class RefusedError(Exception):
    """A data set is not taken; `status` is the answer to the sender (PS3.4 B.2.3)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Handlers:
    """What a receiver calls. They run in the thread of an association.

    Attributes:
        keep: takes an instance: its identity, its encoded data set, and the association. It has to be on the disk when
            this returns. Raises RefusedError.
        closed: an association that was accepted has ended, in order (True) or not.
        refused: somebody was turned away: the reason, and who in words.
    """

    keep: Callable[[InstanceUids, BytesIO, Association], None]
    closed: Callable[[Association, bool], None] = field(default=lambda *_: None)
    refused: Callable[[str, str], None] = field(default=lambda *_: None)


class Receiver:
    """A listening SCP, from its making to `stop`.

    Args:
        address: host and port; port 0 takes a free one (see `port`).
        aet: our title; who calls another is rejected.
        allow: calling titles that are let in; empty: all.
        handlers: what to do with what comes.
        limits: what a sender may use.

    Raises:
        OutputError: the port is taken, or the address is not ours.
    """

    def __init__(
        self, address: tuple[str, int], aet: str, allow: list[str], handlers: Handlers, limits: Limits
    ) -> None:
        self._entity = application(aet, limits.timeout, limits.max_pdu)
        self._entity.supported_contexts = storage_contexts()
        self._entity.maximum_associations = limits.associations
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = allow
        self._handlers = handlers
        try:
            self._server = make_server(self._entity, address, self._events())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot listen on {address[0]}:{address[1]}: {reason}", "another --port") from error
        self._server.limits, self._server.refused, self._server.tls = limits, handlers.refused, limits.tls
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Takes nothing new and ends what is open; what was not confirmed will be sent again by its sender."""
        with suppress(ValueError):  # pynetdicom's list of servers does not know one that it did not start
            self._server.shutdown()
        for assoc in self._entity.active_associations:
            assoc.abort()

    def _events(self) -> list[Any]:
        return [
            (evt.EVT_C_STORE, lambda event: take(event, self._handlers)),
            (evt.EVT_RELEASED, lambda event: self._handlers.closed(event.assoc, True)),
            (evt.EVT_CONN_CLOSE, lambda event: self._handlers.closed(event.assoc, False)),
            (evt.EVT_REJECTED, lambda event: self._handlers.refused("association rejected", sender(event.assoc))),
        ]


def take(event: Event, handlers: Handlers) -> int:
    """Answers a C-STORE request with a status (PS3.4 B.2.3): success only once the instance has been kept."""
    try:
        data = event.request.DataSet  # type: ignore[union-attr]
        if data is None:
            raise RefusedError(CANNOT_UNDERSTAND, "no data set")
        handlers.keep(_identified(event, data), data, event.assoc)
    except RefusedError as refusal:
        handlers.refused(refusal.reason, sender(event.assoc))
        return refusal.status
    except OSError as error:
        handlers.refused(error.strerror or "the disk", sender(event.assoc))
        return OUT_OF_RESOURCES
    return SUCCESS


def _identified(event: Event, data: BytesIO) -> InstanceUids:
    request = event.request
    try:
        identity = identity_of_data(data.getbuffer(), str(event.context.transfer_syntax))
    except ValueError as error:
        raise RefusedError(CANNOT_UNDERSTAND, str(error)) from error
    asked = (str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID))  # type: ignore[union-attr]
    if (identity.instance, identity.sop_class) != asked:
        raise RefusedError(MISMATCH, "the data set is not the instance that was announced")
    return identity


def sender(assoc: Association) -> str:
    """Who is at the other end, for a log; what a title may hold is up to them."""
    remote = assoc.requestor
    title = "".join(char if " " < char <= "~" else "_" for char in str(remote.ae_title).strip())
    return f"{title}@{remote.address}"

"""pynetdicom's server, hardened: TLS is shaken hands on in a thread of its own, and nothing is read without bound."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pynetdicom import AE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from medvis.pacs.settings import MAX_PDU

if TYPE_CHECKING:
    from pynetdicom.association import Association

_PDU_HEADER = 6


@dataclass(frozen=True)
class Limits:
    """What one sender may use.

    Attributes:
        associations: open at once.
        max_pdu: bytes.
        max_object: bytes of one data set.
        timeout: seconds of silence.
        tls: who must prove what before a word is spoken; None: plain.
    """

    associations: int = 8
    max_pdu: int = 1 << 17
    max_object: int = 2 << 30
    timeout: float = 60.0
    tls: ssl.SSLContext | None = None


class Server(ThreadedAssociationServer):
    """One thread a connection; at most four connections for each association that may be open."""

    daemon_threads = True
    block_on_close = False
    limits: Limits
    tls: ssl.SSLContext | None = None
    refused: Callable[[str, str], None]

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Takes a connection, and nothing more: a client that is slow with its handshake must not stop the others."""
        if self.socket is None:
            raise OSError("the server is closed")
        client, address = self.socket.accept()
        client.settimeout(self.limits.timeout)
        return client, address

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        """Whether there is room; a connection that never asks for an association counts as well."""
        del request
        room = len(self.active_associations) < 4 * self.limits.associations
        if not room:
            self.refused("too many connections", client_address[0])
        return room

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """TLS first, then the association."""
        try:
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
        except OSError as error:
            reason = getattr(error, "reason", None) or "no handshake"
            self.refused(f"TLS: {reason}", client_address[0])
            self.shutdown_request(request)
            return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: object, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Says what socketserver would print with a traceback."""
        del request
        self.refused("connection failed", client_address[0])


class Handler(RequestHandler):
    """Bounds what is read from a connection. pynetdicom itself reads as much as a PDU's header claims."""

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        server: Any = self.server
        channel: Any = assoc.dul.socket
        read = channel.recv

        def bounded(count: int) -> bytearray:
            if count > MAX_PDU + _PDU_HEADER or _arrived(assoc) > server.limits.max_object:
                server.refused("more bytes than the limit", str(self.client_address[0]))
                raise OSError("more bytes than the limit")  # pynetdicom closes the connection
            return read(count)  # type: ignore[no-any-return]

        channel.recv = bounded
        return assoc


def _arrived(assoc: Association) -> int:
    """Bytes of the data set that is arriving."""
    message = assoc.dimse.message
    return 0 if message is None or message.data_set is None else message.data_set.tell()


def make_server(entity: AE, address: tuple[str, int], events: list[Any]) -> Server:
    """A server that is bound to its address, and not yet serving: its attributes are to be set before.

    Raises:
        OSError: the address cannot be had.
    """
    made = entity.make_server(address, evt_handlers=events, server_class=Server, request_handler=Handler)
    assert isinstance(made, Server)
    return made

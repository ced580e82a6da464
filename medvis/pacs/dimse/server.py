"""pynetdicom's server, hardened: TLS is shaken hands on in a thread of its own, and connections are counted."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pynetdicom import AE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from medvis.pacs.dimse.guard import Guard, Limits

if TYPE_CHECKING:
    from pynetdicom.association import Association


class Server(ThreadedAssociationServer):
    """One thread a connection; at most four connections for each association that may be open."""

    daemon_threads = True
    block_on_close = False
    limits: Limits
    tls: ssl.SSLContext | None = None
    refused: Callable[[str, str], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        self._starting: Counter[str] = Counter()
        self._counting = threading.Lock()
        super().__init__(*arguments, **options)

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
        host = client_address[0]
        open_now = [assoc.requestor.address for assoc in self.active_associations]
        with self._counting:
            total = len(open_now) + self._starting.total()
            same = open_now.count(host) + self._starting[host]
            room, fair = total < 4 * self.limits.associations, same < self.limits.connections
            if room and fair:
                self._starting[host] += 1
        if not (room and fair):
            self.refused("too many connections" + ("" if fair else " of one address"), host)
        return room and fair

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """TLS first, then the association."""
        try:
            if self.tls is not None:
                request = self._shaken(request, self.tls)
            super().process_request_thread(request, client_address)
        except OSError as error:
            reason = getattr(error, "reason", None) or "no handshake"
            self.refused(f"TLS: {reason}", client_address[0])
            self.shutdown_request(request)
        finally:
            with self._counting:
                self._starting[client_address[0]] -= 1

    def _shaken(self, request: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        """The connection after the handshake, which has its deadline as a whole."""

        def give_up() -> None:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

        held = tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        timer = threading.Timer(self.limits.timeout, give_up)
        timer.daemon = True
        timer.start()
        try:
            held.do_handshake()
        except OSError:
            held.close()
            raise
        finally:
            timer.cancel()
        return held

    def service_actions(self) -> None:
        """Ends associations that are silent; pynetdicom's own timers stand still when the clock is set back."""
        super().service_actions()
        for assoc in self.active_associations:
            guard = getattr(assoc, "guard", None)
            if guard is not None and guard.silent_for > 2 * self.limits.timeout and assoc.dimse.msg_queue.empty():
                self.refused("silent for longer than the limit", assoc.requestor.address)
                guard.close()

    def handle_error(self, request: object, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Says what socketserver would print with a traceback."""
        del request
        self.refused("connection failed", client_address[0])


class Handler(RequestHandler):
    """Puts a guard on each connection."""

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        server: Any = self.server
        held: Any = assoc
        held.guard = Guard(assoc, server.limits, lambda reason: server.refused(reason, str(self.client_address[0])))
        return assoc


def make_server(entity: AE, address: tuple[str, int], events: list[Any]) -> Server:
    """A server that is bound to its address, and not yet serving: its attributes are to be set before.

    Raises:
        OSError: the address cannot be had.
    """
    made = entity.make_server(address, evt_handlers=events, server_class=Server, request_handler=Handler)
    assert isinstance(made, Server)
    return made

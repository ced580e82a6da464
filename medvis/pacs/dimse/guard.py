"""Bounds on what the other end of an association may make us read, hold and wait for, in both roles.

pynetdicom reads as much as a PDU's header claims, waits for each byte anew, and queues messages without end. A guard
takes the place of the reading of one connection: what is beyond a limit ends the connection.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

from pynetdicom import evt
from pynetdicom.events import Event

from medvis.pacs.settings import MAX_PDU

if TYPE_CHECKING:
    from pynetdicom.association import Association

MAX_COMMAND = 1 << 16
"""Bytes of one command set; the longest of PS3.7 E has a few hundred."""
_PDU_HEADER = 6
_PIECE = 1 << 16
_TICK = 0.005


@dataclass(frozen=True)
class Limits:
    """What one peer may use.

    Attributes:
        associations: open at once.
        per_address: connections of one address at once; None: three quarters of `associations`.
        max_pdu: bytes.
        max_object: bytes of one data set.
        max_association: bytes of one association.
        timeout: seconds of silence, and for one PDU from its first byte to its last.
        request_timeout: seconds for one message, command and data set.
        tls: who must prove what before a word is spoken; None: plain.
    """

    associations: int = 8
    per_address: int | None = None
    max_pdu: int = 1 << 17
    max_object: int = 2 << 30
    max_association: int = 64 << 30
    timeout: float = 60.0
    request_timeout: float = 1800.0
    tls: ssl.SSLContext | None = None

    @property
    def connections(self) -> int:
        """Connections of one address at once; some room is left for others."""
        return self.per_address or self.associations - self.associations // 4


class LimitError(OSError):
    """The peer went beyond a limit; pynetdicom closes the connection on any error of the operating system."""


class Guard:
    """Reads from one connection in the place of pynetdicom, within limits.

    Args:
        assoc: whose socket is connected.
        limits: see there.
        refused: is told the reason before the connection ends.
    """

    def __init__(self, assoc: Association, limits: Limits, refused: Callable[[str], None] = lambda _: None) -> None:
        self._assoc, self._limits, self._refused = assoc, limits, refused
        channel: Any = assoc.dul.socket
        self._channel = channel
        self._total, self._left = 0, False
        self._within = False  # between the header of a PDU and its end
        self._pdu_end = self._began = self._heard = time.monotonic()
        channel.socket.settimeout(limits.timeout)
        channel.recv = self.read

    @property
    def silent_for(self) -> float:
        """Seconds since anything came, by a clock that is never set."""
        return time.monotonic() - self._heard

    def close(self) -> None:
        """Ends the connection from outside; what reads or waits notices."""
        with suppress(OSError, AttributeError):
            self._channel.socket.shutdown(SHUT_RDWR)

    def leave(self) -> None:
        """Reads nothing more: an association that is aborted must not wait for a peer that goes on sending."""
        self._left = True

    def read(self, count: int) -> bytearray:
        """As `AssociationSocket.recv`: so many bytes, or fewer where the connection ends.

        Raises:
            LimitError: the peer is beyond a limit.
        """
        if self._left:
            raise LimitError("we have left")
        if self._within:
            self._within = False
        else:
            self._begin_pdu()
            self._within = True
        self._check(count)
        return self._bytes(count)

    def _begin_pdu(self) -> None:
        dimse, dul = self._assoc.dimse, self._assoc.dul
        while dimse.msg_queue.qsize() > 0 and dul.to_provider_queue.empty() and not (self._left or dul._kill_thread):  # noqa: SLF001
            time.sleep(_TICK)  # a message waits to be worked on: the peer waits as well
        self._heard = time.monotonic()
        self._pdu_end = self._heard + self._limits.timeout
        if dimse.message is None:
            self._began = self._heard

    def _check(self, count: int) -> None:
        message: Any = self._assoc.dimse.message
        command = 0 if message is None else message.encoded_command_set.tell()
        data = 0 if message is None or message.data_set is None else message.data_set.tell()
        self._total += count
        if count > MAX_PDU + _PDU_HEADER or command > MAX_COMMAND or data > self._limits.max_object:
            self._end("more bytes than the limit")
        if self._total > self._limits.max_association:
            self._end("more bytes on one association than the limit")
        if time.monotonic() - self._began > self._limits.request_timeout:
            self._end("a message took longer than the limit")

    def _bytes(self, count: int) -> bytearray:
        got = bytearray()
        sock = self._channel.socket
        while len(got) < count:
            left = self._pdu_end - time.monotonic()
            if left <= 0:
                self._end("a PDU took longer than the limit")
            sock.settimeout(left)
            try:
                piece = sock.recv(min(_PIECE, count - len(got)))
            except TimeoutError:
                continue
            if not piece:
                break
            got += piece
        sock.settimeout(self._limits.timeout)
        self._heard = time.monotonic()
        return got

    def _end(self, reason: str) -> None:
        self._refused(reason)
        raise LimitError(reason)


def guarding(limits: Limits) -> tuple[Any, Callable[[Event], None]]:
    """The event handler of pynetdicom that puts a guard on an association which we ask for."""

    def guard(event: Event) -> None:
        held: Any = event.assoc
        held.guard = Guard(event.assoc, limits)

    return (evt.EVT_CONN_OPEN, guard)

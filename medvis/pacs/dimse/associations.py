"""Associations with another application entity (PS3.7, PS3.8), and what we offer and accept on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, _config
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.status import code_to_category
from pynetdicom.transport import AssociationSocket

from medvis.pacs.dimse.guard import Limits, guarding
from medvis.pacs.peers import DimsePeer, PeerError
from medvis.pacs.settings import AET, MAX_PDU, Tls
from medvis.pacs.tls import client_context

# The transfer syntaxes that medvis reads, in the order of preference where a sender leaves us the choice.
NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
SYNTAXES = (
    *NATIVE,
    "1.2.840.10008.1.2.2",  # explicit VR big endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.8.1",  # deflated image frames
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
)
VERIFICATION = "1.2.840.10008.1.1"
MOST_CONTEXTS = 128  # presentation context IDs are the odd numbers up to 255 (PS3.8 9.3.2.2)
SUCCESS = 0x0000
_TIMEOUT = 60.0


def _close(channel: AssociationSocket) -> None:
    """Closes a socket also where the other end is gone; pynetdicom 3.0 leaves that to the garbage collection."""
    if channel.socket is not None:
        with suppress(OSError):
            channel.socket.shutdown(SHUT_RDWR)
        channel.socket.close()


# Both its server and its client call it.
AssociationSocket._shutdown_socket = _close  # type: ignore[assignment, method-assign]  # noqa: SLF001


def application(aet: str = AET, timeout: float = _TIMEOUT, max_pdu: int = 1 << 17) -> AE:
    """Our own application entity."""
    _config.STORE_SEND_CHUNKED_DATASET = True  # files travel byte for byte, and are never held in memory as a whole
    entity = AE(ae_title=aet)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout
    entity.connection_timeout = min(timeout, 15.0)
    entity.maximum_pdu_size = min(max_pdu, MAX_PDU)
    return entity


@contextmanager
def association(
    peer: DimsePeer,
    contexts: Sequence[PresentationContext],
    tls: Tls,
    aet: str = AET,
    **options: Any,  # noqa: ANN401
) -> Iterator[Association]:
    """An association with a peer for the length of the block.

    Args:
        peer: who to call.
        contexts: what to propose, 128 at most.
        tls: for a peer over TLS.
        aet: our own title.
        **options: of pynetdicom's `AE.associate`.

    Raises:
        PeerError: it cannot be reached, or does not want us.
    """
    entity = application(aet)
    if peer.tls:
        options["tls_args"] = (client_context(tls), peer.host)
    handlers = [guarding(Limits(timeout=_TIMEOUT)), *options.pop("evt_handlers", [])]
    options["evt_handlers"] = handlers
    assoc = entity.associate(peer.host, peer.port, contexts=list(contexts), ae_title=peer.aet, **options)
    if not assoc.is_established:
        raise PeerError(_why_not(peer, assoc), hint="check title, host and port, and that the peer knows ours")
    try:
        yield assoc
    except BaseException:
        getattr(assoc, "guard").leave()  # noqa: B009 - set by the handler, unknown to pynetdicom's types
        assoc.abort()
        raise
    if assoc.is_established:
        assoc.release()


def _why_not(peer: DimsePeer, assoc: Association) -> str:
    answer = assoc.acceptor.primitive
    if assoc.is_rejected and answer is not None:
        return f"{peer} rejects the association: {answer.reason_str.lower()}"
    if assoc.is_aborted and answer is not None:
        return f"{peer} accepts nothing of what we propose"
    return f"{peer} cannot be reached" + (", or TLS with it fails" if peer.tls else "")


def contexts_in_groups(pairs: Sequence[tuple[str, str]]) -> list[list[PresentationContext]]:
    """A presentation context for each (SOP class, transfer syntax), so that the peer cannot choose for us.

    Returns:
        groups of 128 at most, each for an association of its own; the contexts of one SOP class are together.
    """
    unique = sorted(set(pairs))
    groups = [unique[start : start + MOST_CONTEXTS] for start in range(0, len(unique), MOST_CONTEXTS)]
    return [[build_context(sop_class, syntax) for sop_class, syntax in group] for group in groups]


def storage_contexts() -> list[PresentationContext]:
    """Every storage SOP class (PS3.4 B.5) in every transfer syntax that medvis reads, and Verification (PS3.4 A)."""
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
    return [build_context(VERIFICATION), *(build_context(uid, list(SYNTAXES)) for uid in classes if uid is not None)]


def describe_status(code: int | None) -> str:
    """A DIMSE status in words (PS3.7 C, PS3.4 B.2.3); None: no answer."""
    if code is None:
        return "no answer"
    words = {0xA7: "out of resources", 0xA9: "data set does not match its SOP class", 0xC0: "cannot understand"}
    meaning = words.get(code >> 8) or code_to_category(code).lower()
    return f"status {code:04X}, {meaning}"

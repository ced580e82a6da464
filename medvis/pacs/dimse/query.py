"""Queries by C-FIND (PS3.4 C.4.1), and the identifiers of query and retrieve requests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context

from medvis.pacs.dimse.associations import SUCCESS, association, describe_status
from medvis.pacs.peers import DimsePeer, PeerError
from medvis.pacs.retrieval import MOST_MATCHES, Level, Match
from medvis.pacs.settings import Tls

FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve Information Model – FIND
_QR_LEVELS = {"study": "STUDY", "series": "SERIES", "instance": "IMAGE"}
_PENDING = (0xFF00, 0xFF01)
SECONDS = 600.0
"""For all answers to one query."""


def find_dimse(peer: DimsePeer, level: Level, keys: Mapping[str, str], tls: Tls, aet: str) -> Iterator[Match]:
    """Everything on a level that matches, as `medvis.pacs.query.find` describes.

    Raises:
        PeerError: the peer cannot be reached, refuses, or gives more answers than `MOST_MATCHES` or for longer than
            `SECONDS`.
    """
    end = time.monotonic() + SECONDS
    with association(peer, [build_context(FIND)], tls, aet) as assoc:
        for number, (status, answer) in enumerate(assoc.send_c_find(identifier(level, keys), FIND), 1):
            if number > MOST_MATCHES + 1 or time.monotonic() > end:
                raise PeerError(f"{peer} does not end its answers", f"at most {MOST_MATCHES}", "a narrower query")
            code = status.get("Status")
            if code in _PENDING and answer is not None:
                yield {element.keyword: _text(element.value) for element in answer if element.keyword}
            elif code != SUCCESS:
                raise PeerError(f"{peer} refuses the query: {describe_status(code)}")


def identifier(level: Level, keys: Mapping[str, str]) -> Dataset:
    """The data set of a C-FIND, C-GET or C-MOVE request (PS3.4 C.4.1.1.3)."""
    request = Dataset()
    request.QueryRetrieveLevel = _QR_LEVELS[level]
    if not all(value.isascii() for value in keys.values()):
        request.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(request, keyword, value)
    return request


def _text(value: object) -> str:
    if value is None:
        return ""
    return "\\".join(str(item) for item in value) if isinstance(value, list) else str(value)

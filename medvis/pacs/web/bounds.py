"""Bounds on what a DICOMweb service may make us read: bytes, and time, of one answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx

from medvis.pacs.peers import PeerError

MOST_JSON = 32 << 20
"""Bytes of one page of matches, or of one STOW-RS answer."""
MOST_OBJECT = 2 << 30
"""Bytes of one instance, as a listener takes by default."""
GRACE = 15.0
"""Seconds after which an answer has to have come at `SLOWEST` on the average."""
SLOWEST = 16 << 10
"""Bytes a second."""
_IDENTITY = ("", "identity")


def bounded(answer: httpx.Response, most: int) -> Iterator[bytes]:
    """The body of an answer, piece by piece.

    Raises:
        PeerError: it is compressed, although we ask for it as it is; longer than `most` bytes; or too slow.
    """
    coding = answer.headers.get("content-encoding", "").strip().lower()
    if coding not in _IDENTITY:
        raise PeerError(f"the answer is compressed ({coding[:20]})", "one without Content-Encoding")
    began, came = time.monotonic(), 0
    for piece in answer.iter_raw():
        came += len(piece)
        if came > most:
            raise PeerError(f"the answer has more than {most >> 20} MiB", "a shorter one")
        if time.monotonic() - began > GRACE + came / SLOWEST:
            raise PeerError(f"the answer comes slower than {SLOWEST >> 10} KiB a second", "a faster one")
        yield piece


def json_of(answer: httpx.Response) -> Any:  # noqa: ANN401 - what JSON holds
    """The JSON of an answer that is being streamed; None where it has no body.

    Raises:
        PeerError: as `bounded`.
        ValueError: it is no JSON, or nested too deeply.
    """
    body = b"".join(bounded(answer, MOST_JSON))
    try:
        return json.loads(body) if body else None
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error

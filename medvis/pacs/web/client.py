"""DICOMweb (PS3.18): search with QIDO-RS, fetch with WADO-RS, send with STOW-RS."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from medvis.io.atomic import whole_file
from medvis.pacs.peers import PeerError, RetrieveTarget, WebPeer
from medvis.pacs.retrieval import MOST_MATCHES, Match
from medvis.pacs.settings import Tls, is_loopback
from medvis.pacs.tls import client_context
from medvis.pacs.web.bounds import MOST_OBJECT, bounded, json_of
from medvis.pacs.web.credentials import credentials
from medvis.pacs.web.multipart import Upload, boundary_of, copy_first_part

# Matches that a page is asked for; a service that refuses as many is asked for fewer, and last for as many as it likes.
PAGES = (500, 100, 25, None)
_ATTEMPTS = 3
PATIENCE = 0.5
_BUSY = (429, 502, 503, 504)
_TOO_MANY = (400, 413)
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_JSON = "application/dicom+json"
_FAILED, _REASON, _REFERENCED = "00081198", "00081197", "00081199"


class Web:
    """A DICOMweb service. Safe to use from several threads; to be closed.

    Redirects are not followed: they could lead our credentials elsewhere.
    """

    def __init__(self, peer: WebPeer, tls: Tls | None = None) -> None:
        self.peer = peer
        parts = urlsplit(peer.base)
        verify: ssl.SSLContext | bool = client_context(tls or Tls()) if parts.scheme == "https" else False
        self._client = httpx.Client(
            auth=credentials(peer.base), verify=verify, timeout=httpx.Timeout(60.0, connect=15.0),
            trust_env=not is_loopback(parts.hostname or ""), headers={"Accept-Encoding": "identity"},
        )  # fmt: skip

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def search(self, path: str, keys: Mapping[str, str]) -> Iterator[Match]:
        """QIDO-RS (PS3.18 10.6): what the service has, page by page, until a page brings nothing new.

        A service may give fewer matches than it is asked for, at any time (PS3.18 8.3.4.4), so that a short page is not
        the last one.

        Args:
            path: e.g. ``studies`` or ``studies/UID/instances``.
            keys: tag in hexadecimal → value to match; an empty value asks for the attribute only.

        Yields:
            tag in hexadecimal → value as text, several joined by a backslash.

        Raises:
            PeerError: it cannot be reached, refuses, or answers with something else than DICOM JSON.
        """
        asked = [(tag, value) for tag, value in keys.items() if value]
        asked += [("includefield", tag) for tag, value in keys.items() if not value]
        seen: set[str] = set()
        limits, offset = list(PAGES), 0
        while True:
            limit = [] if limits[0] is None else [("limit", str(limits[0]))]
            try:
                matches = self._json(path, [*asked, *limit, *([("offset", str(offset))] if offset else [])])
            except _TooManyError as error:
                if len(limits) == 1:
                    raise PeerError(f"{self.peer}: {error}") from error
                del limits[0]
                continue
            offset += len(matches)
            if offset > MOST_MATCHES:
                raise PeerError(f"{self.peer} lists more than {MOST_MATCHES} matches", "fewer", "a narrower query")
            fresh = list({repr(match): match for match in matches if repr(match) not in seen}.values())
            yield from fresh
            seen.update(repr(match) for match in fresh)
            if not fresh:  # nothing more; or a service that knows no pages, and gives everything each time
                return

    def fetch(self, target: RetrieveTarget, path: Path) -> None:
        """WADO-RS (PS3.18 10.4): one instance in the transfer syntax it is stored in, whole or not at all.

        Raises:
            PeerError: it cannot be had.
            OSError: it cannot be written.
        """
        url = f"{self.peer.base}/studies/{target.study}/series/{target.series}/instances/{target.instance}"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._fetch(url, path)
            except (httpx.TransportError, ValueError) as error:
                if attempt == _ATTEMPTS:
                    raise PeerError(self._words(error)) from error
            except _BusyError as error:
                if attempt == _ATTEMPTS:
                    raise PeerError(str(error)) from error
            else:
                return
            time.sleep(PATIENCE * attempt)

    def store(self, path: Path) -> str | None:
        """STOW-RS (PS3.18 10.5) of one file.

        Returns:
            None: it is stored; else why not, in one line.
        """
        try:
            upload = Upload(path)
            url = f"{self.peer.base}/studies"
            with self._client.stream("POST", url, content=iter(upload), headers=upload.headers) as answer:
                return _why_not(answer)
        except httpx.HTTPError as error:
            return self._words(error)
        except PeerError as error:
            return error.line
        except OSError as error:
            return error.strerror or str(error)

    def _fetch(self, url: str, path: Path) -> None:
        with self._client.stream("GET", url, headers={"Accept": _AS_STORED}) as answer:
            if answer.status_code in _BUSY:
                raise _BusyError(_status(answer))
            if answer.status_code != httpx.codes.OK:
                raise PeerError(_status(answer))
            kind = answer.headers.get("content-type", "")
            boundary = boundary_of(kind)
            with whole_file(path, durable=True) as stream:
                if boundary is not None:
                    copy_first_part(bounded(answer, MOST_OBJECT), boundary, stream.write)
                elif kind.startswith("application/dicom") and "json" not in kind:
                    for piece in bounded(answer, MOST_OBJECT):
                        stream.write(piece)
                else:
                    raise ValueError(f"the answer is {kind or 'of no type'}, not DICOM")

    def _json(self, path: str, keys: list[tuple[str, str]]) -> list[Match]:
        try:
            asked: list[tuple[str, str | int | float | bool | None]] = [*keys]
            url = f"{self.peer.base}/{path}"
            with self._client.stream("GET", url, params=asked, headers={"Accept": _JSON}) as answer:
                if answer.status_code == httpx.codes.NO_CONTENT:
                    return []
                if answer.status_code in _TOO_MANY:
                    raise _TooManyError(_status(answer))
                if answer.status_code != httpx.codes.OK:
                    raise PeerError(f"{self.peer}: {_status(answer)}")
                return [_flat(item) for item in json_of(answer)]
        except (httpx.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise PeerError(f"{self.peer}: {self._words(error)}", "a DICOMweb service") from error

    def _words(self, error: Exception) -> str:
        """An error without the URL's query, which may hold a name."""
        if isinstance(error, httpx.ConnectError):
            return f"cannot be reached ({error})"
        if isinstance(error, httpx.TimeoutException):
            return "does not answer in time"
        if isinstance(error, httpx.HTTPError):
            return f"the connection failed ({type(error).__name__})"
        return str(error) if type(error) is ValueError else "the answer is not what DICOMweb asks for"


class _BusyError(Exception):
    """The service asks to come again later."""


class _TooManyError(Exception):
    """The service may have been asked for more matches at once than it gives."""


def _status(answer: httpx.Response) -> str:
    hints = {401: ": credentials are missing or wrong", 403: ": not allowed", 404: ": not there"}
    where = ": it points elsewhere; give that address" if answer.is_redirect else ""
    return f"answers {answer.status_code} {answer.reason_phrase}{hints.get(answer.status_code, where)}"


def _flat(item: Mapping[str, Any]) -> Match:
    """An object of the DICOM JSON model (PS3.18 F.2) as tag → text."""
    return {tag: "\\".join(_text(value) for value in element.get("Value") or ()) for tag, element in item.items()}


def _text(value: object) -> str:
    """One value; a person's name is its alphabetic form (PS3.18 F.2.2)."""
    if isinstance(value, Mapping):
        return str(value.get("Alphabetic", ""))
    return "" if value is None else str(value)


def _why_not(answer: httpx.Response) -> str | None:
    """Whether a STOW-RS answer (PS3.18 10.5.3) says stored; one with a warning is."""
    if not answer.is_success and answer.status_code != httpx.codes.CONFLICT:
        return _status(answer)
    try:
        body = json_of(answer) or {}
        failed = body.get(_FAILED, {}).get("Value") or []
        codes = [item.get(_REASON, {}).get("Value", [None])[0] for item in failed]
        stored = bool(body.get(_REFERENCED, {}).get("Value")) or not body
    except (ValueError, AttributeError, TypeError, IndexError):
        return None if answer.status_code == httpx.codes.OK else _status(answer)
    if codes:
        return f"refused, reason {codes[0]:04X}" if isinstance(codes[0], int) else "refused"
    return None if answer.is_success and stored else _status(answer)

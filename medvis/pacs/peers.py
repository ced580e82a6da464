"""Parses peers: a DICOM application entity (AET@host:port) or a DICOMweb service (URL), and what of it to retrieve."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from medvis.errors import InputError, UsageError
from medvis.pacs.files import is_uid
from medvis.pacs.settings import ae_title, is_loopback

INSECURE = "MEDVIS_INSECURE_HTTP"
_WANTED = "AET@host:port, dicoms://AET@host:port or https://host/dicom-web"
_DIMSE = re.compile(
    r"(?P<scheme>dicoms?://)?(?P<aet>[^@/]+)@(?P<host>\[[0-9A-Fa-f:]+\]|[^@:/]+):(?P<port>[0-9]{1,5})/?"
)


class PeerError(InputError):
    """The other side cannot be reached, does not want us, or answers what it should not."""


@dataclass(frozen=True)
class DimsePeer:
    """An application entity that speaks DIMSE (PS3.7), over TLS (PS3.15 B) where `tls`."""

    aet: str
    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"{'dicoms://' if self.tls else ''}{self.aet}@{self.host}:{self.port}"


@dataclass(frozen=True)
class WebPeer:
    """A DICOMweb service (PS3.18): the URL that ``/studies`` is appended to."""

    base: str

    def __str__(self) -> str:
        return self.base


@dataclass(frozen=True)
class RetrieveTarget:
    """What to fetch: a study, one series of it, or one instance of that."""

    study: str
    series: str | None = None
    instance: str | None = None

    def __post_init__(self) -> None:
        for part in (self.study, self.series, self.instance):
            if part is not None and not is_uid(part):
                raise UsageError(f"{part!r} is no DICOM UID", "digits and dots, e.g. 1.2.840.113619.2.55")


def parse_peer(text: str) -> DimsePeer | WebPeer:
    """Raises UsageError: neither an application entity nor a URL, or a URL that must not be used."""
    if text.startswith(("http://", "https://")):
        return WebPeer(checked_url(text).rstrip("/"))
    match = _DIMSE.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UsageError(f"{text!r} is no DICOM peer", _WANTED)
    try:
        title = ae_title(match["aet"])
    except ValueError as error:
        raise UsageError(str(error), _WANTED) from error
    return DimsePeer(title, match["host"].strip("[]"), int(match["port"]), match["scheme"] == "dicoms://")


def checked_url(url: str) -> str:
    """The URL, if it may be used.

    Raises:
        UsageError: it holds a password, a query or no host, or is plain http to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the URL cannot be understood: {error}", _WANTED) from error
    if parts.username is not None or parts.password is not None:
        wanted = "them in the environment or a netrc file"
        raise UsageError("the URL holds a user or a password", wanted, "see 'medvis help archive'")
    if not host or parts.query or parts.fragment:
        raise UsageError(f"{url} is no base URL of DICOMweb", _WANTED)
    if parts.scheme == "http" and not is_loopback(host) and os.environ.get(INSECURE) != "1":
        raise UsageError(
            f"{url} is not encrypted, and {host} is another machine", "https", f"{INSECURE}=1 permits it all the same"
        )
    return url


def split_url(url: str) -> tuple[WebPeer, RetrieveTarget | None]:
    """A DICOMweb URL in two: the service and, if it goes on with ``/studies/UID…``, what it names (PS3.18 10.1.1).

    Raises:
        UsageError: as `checked_url`; or the path goes on in another way.
    """
    base, separator, path = checked_url(url).rstrip("/").partition("/studies/")
    if not separator:
        return WebPeer(base), None
    parts = path.split("/")
    if parts[1::2] != ["series", "instances"][: len(parts) // 2] or len(parts) not in (1, 3, 5):
        raise UsageError(f"{url} names no study", "…/studies/UID, …/studies/UID/series/UID")
    return WebPeer(base), RetrieveTarget(*parts[::2])

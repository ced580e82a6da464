"""Who we are to a DICOMweb service: from the environment or a netrc file, never from the command line."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from medvis.errors import SettingsError

USER, PASSWORD, TOKEN = "MEDVIS_DICOMWEB_USER", "MEDVIS_DICOMWEB_PASSWORD", "MEDVIS_DICOMWEB_TOKEN"


class Bearer(httpx.Auth):
    """A token in the Authorization header (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]  # noqa: ANN201 - httpx's own
        """Adds the header."""
        request.headers["Authorization"] = self._header
        yield request


def credentials(url: str) -> httpx.Auth | None:
    """What to show to the service at a URL: a token, a user and password of the environment, or those of a netrc file.

    The netrc file is the one that ``NETRC`` names, or ``~/.netrc``; only an entry for the very host counts.

    Raises:
        SettingsError: a user without a password, or a netrc file that cannot be read.
    """
    token = os.environ.get(TOKEN)
    if token:
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise SettingsError(f"{TOKEN} holds a character that no token has (RFC 6750)", "letters, digits, -._~+/=")
        return Bearer(token)
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if bool(user) != bool(password):
        raise SettingsError(f"only one of {USER} and {PASSWORD} is set", "both, or none")
    if user and password:
        return httpx.BasicAuth(user, password)
    return _from_netrc(urlsplit(url).hostname or "")


def _from_netrc(host: str) -> httpx.Auth | None:
    named = os.environ.get("NETRC")
    try:
        path = Path(named) if named else Path.home() / ".netrc"
    except RuntimeError:  # a user without a home
        return None
    if not path.is_file():
        if named:
            raise SettingsError(f"NETRC names {path}, which is no file")
        return None
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The parser's own message may quote what stands in the file.
        raise SettingsError(f"{path} cannot be read as netrc ({type(error).__name__})") from error
    if entry is None or not entry[2]:
        return None
    return httpx.BasicAuth(entry[0] or "", entry[2])

"""TLS as PS3.15 B.12 (BCP 195) asks for: version 1.2 or newer, the system's own list of ciphers."""

from __future__ import annotations

import ssl

from medvis.errors import SettingsError
from medvis.pacs.settings import Tls


def server_context(files: Tls) -> ssl.SSLContext | None:
    """For a listener; None without a certificate. With `files.ca`, clients must show a certificate of that authority.

    Raises:
        SettingsError: a file is absent or no PEM, key and certificate do not belong together, or `ca` stands alone.
    """
    if files.cert is None:
        if files.ca is not None:
            raise SettingsError("--tls-ca without --tls-cert", "a certificate of our own as well")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: Tls) -> ssl.SSLContext:
    """For a client: the other side is checked against `files.ca`, or against the system's authorities.

    Raises:
        SettingsError: as `server_context`.
    """
    context = ssl.create_default_context() if files.ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    return context


def _load(context: ssl.SSLContext, files: Tls) -> None:
    try:
        if files.ca is not None:
            context.load_verify_locations(files.ca)
        if files.cert is not None:
            context.load_cert_chain(files.cert, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        names = ", ".join(str(path) for path in (files.cert, files.key, files.ca) if path is not None)
        raise SettingsError(f"TLS cannot use {names}: {error}", "PEM files; the key without a password") from error


def _no_password() -> str:
    raise ValueError("the key is locked with a password")

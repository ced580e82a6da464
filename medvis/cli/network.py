"""Options that the commands of the network share: TLS, our own title, durations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medvis.errors import UsageError

if TYPE_CHECKING:
    from medvis.pacs.settings import Tls

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")

Aet = Annotated[str, typer.Option("--aet", metavar="TITLE", help="Our own application entity title.")]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", metavar="PEM", help="Our certificate, for TLS.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="Its key, if in a file of its own.")]
TlsCa = Annotated[
    Path | None,
    typer.Option("--tls-ca", metavar="PEM", help="Authorities that the other side must be certified by."),
]


def tls_files(cert: Path | None, key: Path | None, ca: Path | None) -> Tls:
    """The files of TLS, as settings. Raises SettingsError if they do not go together."""
    from medvis.pacs.settings import Tls
    from medvis.settings import validated

    return validated(Tls, {"cert": cert, "key": key, "ca": ca}, "--tls-key")


def seconds(text: str, option: str, unit: str = "s") -> float:
    """``5s``, ``500ms``, ``2m``, ``12h``, ``7d`` or a number of `unit` → seconds. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} {text!r}", "a duration, e.g. 5s, 2m, 12h or 7d")
    return float(match[1]) * _UNITS[match[2] or unit]

"""An input that may lie elsewhere: the DICOMweb URL of a study or series instead of a path.

Nothing of the extra ``pacs`` is imported until a URL is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from medvis.core.volumes import Volumes, naming
from medvis.errors import UsageError
from medvis.io import inputs
from medvis.io.inputs import volumes
from medvis.io.private import private_folder

if TYPE_CHECKING:
    from medvis.pacs.settings import Tls

_URL = re.compile(r"(https?):[/\\]+(.+)", re.DOTALL)


@contextmanager
def opened(path: Path) -> Iterator[Volumes]:
    """As `medvis.io.inputs.volumes`; what a URL names is fetched first, and is there until the block ends.

    Raises:
        MedvisError: as `volumes` and `fetched`.
    """
    url = url_of(path)
    if url is None:
        with volumes(path) as local:
            yield local
        return
    with fetched(url) as folder, naming(str(folder), url), volumes(folder) as inside:
        yield Volumes(url, list(inside), inside.notes, inside.grouped, str(folder))


def check(path: Path) -> None:
    """As `medvis.io.inputs.check`; of a URL nothing is known before it is fetched."""
    if url_of(path) is None:
        inputs.check(path)


def url_of(path: Path) -> str | None:
    """The URL that was typed where a path is expected, which has made one slash of two; None: it is a path."""
    match = _URL.fullmatch(str(path))
    return None if match is None or path.exists() else f"{match[1]}://{match[2]}".replace("\\", "/")


@contextmanager
def fetched(url: str, tls: Tls | None = None) -> Iterator[Path]:
    """The study or series at a DICOMweb URL, in a private folder that is removed when the block ends.

    Args:
        url: ``https://host/dicom-web/studies/UID``, with ``/series/UID`` or not.
        tls: an authority or a certificate of our own; default: the system's.

    Yields:
        a folder with one folder a series.

    Raises:
        UsageError: the URL names no study, or must not be used.
        PeerError: the service cannot be reached, has no such study, or did not give all of it.
        SettingsError: the extra is not installed.
    """
    from medvis.pacs.peers import PeerError, split_url  # noqa: PLC0415 - only for a URL
    from medvis.pacs.settings import Tls, need  # noqa: PLC0415 - as above

    need("httpx")
    from medvis.pacs.query import instances  # noqa: PLC0415 - needs pydicom
    from medvis.pacs.web.fetch import fetch_all  # noqa: PLC0415 - needs httpx

    peer, target = split_url(url)
    if target is None:
        raise UsageError(f"{url} names no study", "…/studies/UID or …/studies/UID/series/UID", "see 'medvis pull'")
    files = tls or Tls()
    wanted = [instance for instance, _ in instances(peer, target, files)]
    with private_folder() as folder:
        pulled = fetch_all(peer, wanted, folder, files)
        if pulled.failures:
            what, why = pulled.failures[0]
            raise PeerError(f"{len(pulled.failures)} of {len(wanted)} instances of {url} did not come; {what}: {why}")
        yield folder

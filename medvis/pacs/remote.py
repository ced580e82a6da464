"""An input that may lie elsewhere: the DICOMweb URL of a study or series instead of a path.

Nothing of the extra ``pacs`` is imported until a URL is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvis.core.volumes import Volumes, naming
from medvis.io.inputs import volumes

_URL = re.compile(r"(https?):[/\\]+(.+)", re.DOTALL)


@contextmanager
def opened(path: Path) -> Iterator[Volumes]:
    """As `medvis.io.inputs.volumes`; what a URL names is fetched first, and is there until the block ends.

    Raises:
        MedvisError: as `volumes` and `medvis.pacs.web.fetch.fetched`.
    """
    url = url_of(path)
    if url is None:
        with volumes(path) as local:
            yield local
        return
    from medvis.pacs.settings import need  # noqa: PLC0415 - only for a URL

    need("httpx")
    from medvis.pacs.web.fetch import fetched  # noqa: PLC0415 - needs httpx

    with fetched(url) as folder, naming(str(folder), url), volumes(folder) as inside:
        yield Volumes(url, list(inside), inside.notes, inside.grouped, str(folder))


def url_of(path: Path) -> str | None:
    """The URL that was typed where a path is expected, which has made one slash of two; None: it is a path."""
    match = _URL.fullmatch(str(path))
    return None if match is None or path.exists() else f"{match[1]}://{match[2]}".replace("\\", "/")

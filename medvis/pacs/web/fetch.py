"""A study or series of a DICOMweb service, as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from medvis.errors import MedvisError, UsageError
from medvis.io.atomic import write_error
from medvis.pacs.files import identity_of_file
from medvis.pacs.peers import PeerError, Target, WebPeer, split_url
from medvis.pacs.query import instances
from medvis.pacs.settings import Tls, need
from medvis.pacs.web.client import Web

_AT_ONCE = 4


@dataclass
class Pulled:
    """What came and what did not.

    Attributes:
        files: in place, in the order in which the peer lists the instances; those that were there before included.
        failures: (what, why), one a missing instance.
    """

    files: list[Path] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


def place_of(folder: Path, target: Target) -> Path:
    """Where an instance goes: FOLDER/SERIES/INSTANCE.dcm. UIDs are digits and dots (`Target`), so nothing escapes."""
    return folder / str(target.series) / f"{target.instance}.dcm"


def fetch_all(
    peer: WebPeer, wanted: Sequence[Target], folder: Path, tls: Tls, done: Callable[[], object] = lambda: None
) -> Pulled:
    """Fetches instances, a few at a time; those whose files are there already are left as they are."""
    pulled = Pulled()
    with Web(peer, tls) as web, ThreadPoolExecutor(_AT_ONCE) as pool:

        def one(target: Target) -> str | None:
            try:
                return _one(web, target, place_of(folder, target))
            finally:
                done()

        try:
            for target, failure in zip(wanted, pool.map(one, wanted), strict=True):
                if failure is None:
                    pulled.files.append(place_of(folder, target))
                else:
                    pulled.failures.append((f"instance {target.instance}", failure))
        except BaseException:  # Ctrl-C must not wait for all that is still to be fetched
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return pulled


def _one(web: Web, target: Target, place: Path) -> str | None:
    """None, or why an instance is not there."""
    if place.is_file():
        return None
    try:
        web.fetch(target, place)
        if identity_of_file(place).instance == target.instance:
            return None
        place.unlink()
    except MedvisError as error:
        return error.line
    except ValueError as error:
        place.unlink()
        return f"what came is {error}"
    except OSError as error:
        return write_error(place, error).line
    return "another instance came"


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
    need("httpx")
    peer, target = split_url(url)
    if target is None:
        raise UsageError(f"{url} names no study", "…/studies/UID or …/studies/UID/series/UID", "see 'medvis pull'")
    files = tls or Tls()
    wanted = [one for one, _ in instances(peer, target, files)]
    folder = Path(tempfile.mkdtemp(prefix="medvis-"))
    try:
        pulled = fetch_all(peer, wanted, folder, files)
        if pulled.failures:
            what, why = pulled.failures[0]
            raise PeerError(f"{len(pulled.failures)} of {len(wanted)} instances of {url} did not come; {what}: {why}")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

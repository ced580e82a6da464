"""Retrieves instances of a DICOMweb service as files, by WADO-RS (PS3.18 10.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medvis.errors import MedvisError
from medvis.io.atomic import write_error
from medvis.pacs.files import identity_of_file
from medvis.pacs.peers import RetrieveTarget, WebPeer
from medvis.pacs.retrieval import Pulled, instance_path
from medvis.pacs.settings import Tls
from medvis.pacs.web.client import Web

_AT_ONCE = 4


def fetch_all(
    peer: WebPeer, wanted: Sequence[RetrieveTarget], folder: Path, tls: Tls, done: Callable[[], object] = lambda: None
) -> Pulled:
    """Fetches instances, a few at a time; those whose files are there already are left as they are."""
    pulled = Pulled()
    with Web(peer, tls) as web, ThreadPoolExecutor(_AT_ONCE) as pool:

        def fetch(target: RetrieveTarget) -> str | None:
            try:
                return _fetch_instance(web, target, instance_path(folder, target))
            finally:
                done()

        try:
            for target, failure in zip(wanted, pool.map(fetch, wanted), strict=True):
                if failure is None:
                    pulled.files.append(instance_path(folder, target))
                else:
                    pulled.failures.append((f"instance {target.instance}", failure))
        except BaseException:  # Ctrl-C must not wait for all that is still to be fetched
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return pulled


def _fetch_instance(web: Web, target: RetrieveTarget, path: Path) -> str | None:
    """None, or why an instance is not there."""
    if path.is_file():
        return None
    try:
        web.fetch(target, path)
        if identity_of_file(path).instance == target.instance:
            return None
        path.unlink()
    except MedvisError as error:
        return error.line
    except ValueError as error:
        path.unlink()
        return f"what came is {error}"
    except OSError as error:
        return write_error(path, error).line
    return "another instance came"

"""Queries by QIDO-RS (PS3.18 10.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from medvis.pacs.peers import WebPeer
from medvis.pacs.retrieval import Level, Match
from medvis.pacs.settings import Tls
from medvis.pacs.web.client import Web

_RESOURCES = {"study": "studies", "series": "series", "instance": "instances"}


def find_web(peer: WebPeer, level: Level, keys: Mapping[str, str], tls: Tls) -> Iterator[Match]:
    """Everything on a level that matches, as `medvis.pacs.query.find` describes.

    Raises:
        PeerError: the service cannot be reached, or refuses.
    """
    # Orthanc and others want the UIDs above the level in the path, where PS3.18 has them (Table 10.6.1-1).
    rest = dict(keys)
    parts = []
    for above, keyword in (("study", "StudyInstanceUID"), ("series", "SeriesInstanceUID")):
        if level != above and rest.get(keyword):
            parts += ["studies" if above == "study" else "series", rest.pop(keyword)]
    path = "/".join([*parts, _RESOURCES[level]])
    tags = {f"{tag_for_keyword(keyword):08X}": value for keyword, value in rest.items()}
    fixed = {keyword: keys[keyword] for keyword in keys if keyword not in rest}
    with Web(peer, tls) as web:
        for match in web.search(path, tags):
            yield fixed | {keyword_for_tag(tag) or tag: value for tag, value in match.items()}

"""Queries to a peer, by QIDO-RS (PS3.18 10.6) or C-FIND (PS3.4 C.4.1); the answer is the same for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydicom.datadict import tag_for_keyword

from medvis.errors import UsageError
from medvis.pacs.files import is_uid
from medvis.pacs.peers import DimsePeer, PeerError, RetrieveTarget, WebPeer
from medvis.pacs.retrieval import Level, Match
from medvis.pacs.settings import AET, Tls

SHOWN: dict[Level, tuple[str, ...]] = {
    "study": (
        "StudyInstanceUID",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedInstances",
    ),
    "series": ("SeriesInstanceUID", "SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances"),
    "instance": ("SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "SOPClassUID"),
}
"""The attributes of each level that are asked for and shown; a patient's name or number only if it is a key."""


def checked_keys(texts: list[str]) -> dict[str, str]:
    """``["PatientID=7", …]`` → keyword → value. Raises UsageError unless each names an attribute of DICOM's."""
    keys = {}
    for text in texts:
        keyword, equals, value = text.partition("=")
        if not equals or not keyword or tag_for_keyword(keyword) is None:
            raise UsageError(f"--query {text!r}", "KEYWORD=VALUE, e.g. ModalitiesInStudy=CT or StudyDate=20240101-")
        keys[keyword] = value
    return keys


def find(peer: DimsePeer | WebPeer, level: Level, keys: Mapping[str, str], tls: Tls, aet: str = AET) -> list[Match]:
    """Everything on that level that matches.

    Args:
        peer: whom to ask.
        level: what one answer stands for.
        keys: keyword → value; with wild cards, ranges and lists as DICOM has them (PS3.4 C.2.2.2). For ``series`` the
            Study Instance UID, for ``instance`` also, by C-FIND, the Series Instance UID.
        tls: for a peer over TLS.
        aet: our own title.

    Returns:
        keyword → value as text.

    Raises:
        PeerError: the peer cannot be reached, or refuses.
    """
    asked = dict.fromkeys(SHOWN[level], "") | dict(keys)
    matches = _matches(peer, level, asked, tls, aet)
    return sorted(matches, key=lambda match: [match.get(keyword, "") for keyword in SHOWN[level]])


def instances(
    peer: DimsePeer | WebPeer, target: RetrieveTarget, tls: Tls, aet: str = AET
) -> list[tuple[RetrieveTarget, str]]:
    """Every instance of a study, a series or an instance, with its SOP class UID (empty where the peer hides it).

    Raises:
        PeerError: as `find`; there is no such study or series; or the peer lists fewer than it says to have
            (Number of Study or Series Related Instances, PS3.4 C.3.4), as one does that limits its answers.
    """
    study = {"StudyInstanceUID": target.study}
    if isinstance(peer, WebPeer):
        matches = find(peer, "instance", study | ({"SeriesInstanceUID": target.series} if target.series else {}), tls)
    else:
        series = [target.series] if target.series else [
            match["SeriesInstanceUID"] for match in find(peer, "series", study, tls, aet) if match["SeriesInstanceUID"]
        ]  # fmt: skip
        matches = [
            {"SeriesInstanceUID": uid, **match}
            for uid in series
            for match in find(peer, "instance", study | {"SeriesInstanceUID": uid}, tls, aet)
        ]
    if not all(is_uid(match.get(name, "")) for match in matches for name in ("SeriesInstanceUID", "SOPInstanceUID")):
        raise PeerError(f"{peer} lists something without a UID, or with one that is none")
    listed = [
        (
            RetrieveTarget(target.study, match["SeriesInstanceUID"], match["SOPInstanceUID"]),
            match.get("SOPClassUID", ""),
        )
        for match in matches
        if target.instance in (None, match["SOPInstanceUID"])
    ]
    if not listed:
        raise PeerError(f"{peer} has no such {'series' if target.series else 'study'}", hint="see --query")
    if target.instance is None:
        _require_all(peer, target, listed, tls, aet)
    return listed


def _require_all(
    peer: DimsePeer | WebPeer, target: RetrieveTarget, listed: list[tuple[RetrieveTarget, str]], tls: Tls, aet: str
) -> None:
    level: Level = "series" if target.series else "study"
    keys = {"StudyInstanceUID": target.study} | ({"SeriesInstanceUID": target.series} if target.series else {})
    number = f"NumberOf{level.capitalize()}RelatedInstances"
    try:
        matches = find(peer, level, keys, tls, aet)
    except PeerError:
        return  # it lists instances, but does not tell how many there are
    for match in matches:
        same = all(match.get(keyword, uid) == uid for keyword, uid in keys.items())
        told = match.get(number, "").strip()
        if same and told.isdecimal() and int(told) > len(listed):
            raise PeerError(
                f"{peer} lists {len(listed)} instances of a {level} of {told}",
                "all of them",
                "it may limit its answers: fetch series by series, or have the limit raised",
            )


def _matches(peer: DimsePeer | WebPeer, level: Level, keys: Mapping[str, str], tls: Tls, aet: str) -> Iterable[Match]:
    if isinstance(peer, WebPeer):
        from medvis.pacs.web.query import find_web  # noqa: PLC0415 - httpx, which DIMSE can do without

        return find_web(peer, level, keys, tls)
    from medvis.pacs.dimse.query import find_dimse  # noqa: PLC0415 - pynetdicom, which DICOMweb can do without

    return find_dimse(peer, level, keys, tls, aet)

"""What the other side has: QIDO-RS (PS3.18 10.6) or C-FIND (PS3.4 C.4.1), with one answer for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from medvis.errors import UsageError
from medvis.pacs.files import is_uid
from medvis.pacs.peers import DimsePeer, PeerError, Target, WebPeer
from medvis.pacs.settings import AET, Tls

Level = Literal["study", "series", "instance"]
Match = dict[str, str]
FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve Information Model – FIND
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

_RESOURCES = {"study": "studies", "series": "series", "instance": "instances"}
_QR_LEVELS = {"study": "STUDY", "series": "SERIES", "instance": "IMAGE"}
_PENDING = (0xFF00, 0xFF01)


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
    found = _find_web(peer, level, asked, tls) if isinstance(peer, WebPeer) else _find(peer, level, asked, tls, aet)
    return sorted(found, key=lambda match: [match.get(keyword, "") for keyword in SHOWN[level]])


def instances(peer: DimsePeer | WebPeer, target: Target, tls: Tls, aet: str = AET) -> list[tuple[Target, str]]:
    """Every instance of a study, a series or an instance, with its SOP class UID (empty where the peer hides it).

    Raises:
        PeerError: as `find`; or there is no such study or series.
    """
    study = {"StudyInstanceUID": target.study}
    if isinstance(peer, WebPeer):
        found = find(peer, "instance", study | ({"SeriesInstanceUID": target.series} if target.series else {}), tls)
    else:
        series = [target.series] if target.series else [
            match["SeriesInstanceUID"] for match in find(peer, "series", study, tls, aet) if match["SeriesInstanceUID"]
        ]  # fmt: skip
        found = [
            {"SeriesInstanceUID": one, **match}
            for one in series
            for match in find(peer, "instance", study | {"SeriesInstanceUID": one}, tls, aet)
        ]
    if not all(is_uid(match.get(name, "")) for match in found for name in ("SeriesInstanceUID", "SOPInstanceUID")):
        raise PeerError(f"{peer} lists something without a UID, or with one that is none")
    listed = [
        (Target(target.study, match["SeriesInstanceUID"], match["SOPInstanceUID"]), match.get("SOPClassUID", ""))
        for match in found
        if target.instance in (None, match["SOPInstanceUID"])
    ]
    if not listed:
        raise PeerError(f"{peer} has no such {'series' if target.series else 'study'}", hint="see --query")
    return listed


def _find_web(peer: WebPeer, level: Level, keys: Mapping[str, str], tls: Tls) -> Iterator[Match]:
    from medvis.pacs.web.client import Web  # noqa: PLC0415 - httpx, which DIMSE can do without

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


def _find(peer: DimsePeer, level: Level, keys: Mapping[str, str], tls: Tls, aet: str) -> Iterator[Match]:
    from pynetdicom.presentation import build_context  # noqa: PLC0415 - which DICOMweb can do without

    from medvis.pacs.dimse.associations import SUCCESS, association, describe_status  # noqa: PLC0415 - as above

    with association(peer, [build_context(FIND)], tls, aet) as held:
        for status, answer in held.send_c_find(identifier(level, keys), FIND):
            code = status.get("Status")
            if code in _PENDING and answer is not None:
                yield {element.keyword: _text(element.value) for element in answer if element.keyword}
            elif code != SUCCESS:
                raise PeerError(f"{peer} refuses the query: {describe_status(code)}")


def identifier(level: Level, keys: Mapping[str, str]) -> Dataset:
    """The data set of a C-FIND, C-GET or C-MOVE request (PS3.4 C.4.1.1.3)."""
    asked = Dataset()
    asked.QueryRetrieveLevel = _QR_LEVELS[level]
    if not all(value.isascii() for value in keys.values()):
        asked.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _text(value: object) -> str:
    if value is None:
        return ""
    return "\\".join(str(item) for item in value) if isinstance(value, list) else str(value)

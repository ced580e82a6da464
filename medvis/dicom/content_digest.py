"""What a source says, apart from how its files encode it: the same study from a disk and from an archive is one study.

An archive writes another file meta information, other lengths, another transfer syntax. Whoever names results after
the bytes of the files gets two sets of results for one study.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from medvis.core.scan import Scan

_GROUP_LENGTH, _META_GROUP = 0x0000, 0x0002
_PHOTOMETRIC, _PLANAR, _PADDING = 0x00280004, 0x00280006, 0xFFFCFFFC
_ENCODING = (_PHOTOMETRIC, _PLANAR, _PADDING)


def header_digest(ds: Dataset) -> str:
    """SHA-256 of the public elements before the pixel data, without those that change with the transfer syntax."""
    return _joined(_parts(ds))


def pixel_digest(scan: Scan) -> str:
    """SHA-256 of the pixels in modality units, as they are shown."""
    digest = hashlib.sha256(f"{scan.pixels.shape} {scan.unit} {scan.inverted}".encode())
    for frame in scan.pixels:
        digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def _parts(ds: Dataset) -> Iterator[bytes]:
    for tag in sorted(ds.keys()):
        if not (tag.is_private or tag.element == _GROUP_LENGTH or tag.group == _META_GROUP or tag in _ENCODING):
            yield f"{tag} ".encode() + _value(ds, tag)


def _value(ds: Dataset, tag: BaseTag) -> bytes:
    """The value as it is stored; of a sequence, whose lengths may be explicit or not, the digests of its items."""
    element = ds.get_item(tag, keep_deferred=True)  # else pydicom converts what is empty, whatever its VR
    if _vr(element) == "SQ" and (items := _items(ds, tag)) is not None:
        return _joined(_joined(_parts(item)).encode() for item in items).encode()
    if isinstance(element, RawDataElement):
        return (element.value or b"").rstrip(b"\0 ")
    return b"" if element.is_empty else repr(element.value).encode()


def _vr(element: DataElement | RawDataElement) -> str | None:
    known = element.VR not in (None, "UN") or not dictionary_has_tag(element.tag)
    return element.VR if known else dictionary_VR(element.tag)


def _items(ds: Dataset, tag: BaseTag) -> Sequence[Dataset] | None:
    try:
        return list(ds[tag].value or ())
    except Exception:  # pydicom converts on access and raises what the broken bytes happen to lead to
        return None


def _joined(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()

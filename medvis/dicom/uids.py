"""UIDs of instances, and how medvis makes new ones (PS3.5 B.2)."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

ROOT = "2.25"
"""The root below which anybody may use a number of 128 bits, such as a UUID."""

WRITER = "MEDVIS"
"""Implementation Version Name of the files that medvis writes (PS3.10 7.1)."""

DEIDENTIFIER_UID = f"{ROOT}.87214563990427718402175633920178826145"
"""Implementation Class UID of de-identified files."""


@dataclass(frozen=True)
class InstanceUids:
    """The UIDs of an instance: study, series, SOP instance, SOP class and transfer syntax."""

    study: str
    series: str
    instance: str
    sop_class: str
    syntax: str


def uid_of_bits(bits: bytes) -> str:
    """The UID of a number of 128 bits, the first byte the highest: 16 bytes, or more, of which the first 16 count."""
    return f"{ROOT}.{int.from_bytes(bits[:16], 'big')}"


def hashed_uid(*parts: str) -> str:
    """A UID that depends on nothing but `parts`: their SHA-256 as a UUID of version 5's form (RFC 9562)."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return uid_of_bits(uuid.UUID(bytes=digest[:16], version=5).bytes)


WRITER_UID = hashed_uid(WRITER)
"""Implementation Class UID of the files that medvis writes."""

"""The UIDs of an instance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """What an instance is; `syntax` is the transfer syntax that it is encoded in."""

    study: str
    series: str
    instance: str
    sop_class: str
    syntax: str

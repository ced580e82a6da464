"""The DICOM files that a scan was read from: whom the results belong to, and what they refer to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.dicom.read.image_plane import ImagePlane, image_planes_of
from medvis.dicom.read.parsed_file import ParsedFile, parse
from medvis.dicom.read.stack import SAME_PLACE
from medvis.dicom.read.values import uid, whole
from medvis.errors import InputError, OutputError


@dataclass(frozen=True)
class Instance:
    """One SOP instance of the source."""

    sop_class: str
    uid: str


@dataclass(frozen=True)
class Frame:
    """Where one frame of the scan comes from: its instance, and its 1-based number there (None: it is the only one)."""

    instance: Instance
    number: int | None


@dataclass(frozen=True)
class SourceStudy:
    """What results need of their source.

    Attributes:
        header: the first file without its pixels; patient and study are read from it.
        study, series: their UIDs.
        content: SHA-256 of what the files' headers say, however they are encoded.
        frames: in the order of the scan.
        planes: of each frame, as the files say; independent of the scan's geometry.
        geometry: of the scan.
        placed: whether each frame has a place of its own in a frame of reference.
        partial: whether the one instance has frames that the scan has not.
    """

    header: Dataset
    study: str
    series: str
    content: str
    frames: tuple[Frame, ...]
    planes: tuple[ImagePlane, ...]
    geometry: Geometry
    placed: bool
    partial: bool = False

    def instances(self, frames: Sequence[int] | None = None) -> list[Instance]:
        """The instances that some frames (None: all) come from, each once."""
        chosen = range(len(self.frames)) if frames is None else frames
        return list(dict.fromkeys(self.frames[frame].instance for frame in chosen))

    def numbers(self) -> list[int] | None:
        """The frames of the one instance that the scan has, ascending, from 1; None: all, or several instances."""
        return sorted(frame.number for frame in self.frames if frame.number) if self.partial else None


def check_source(source: Source) -> None:
    """Refuses a source that has no study which a DICOM result could join. Raises OutputError."""
    if source.format != "dicom":
        raise OutputError(
            f"{source.path} is no DICOM ({source.format}): it has no patient and no study that results could join",
            "a DICOM source for results that are DICOM objects",
        )
    missing = [name for name, known in (("Study", source.study_uid), ("Series", source.series_uid)) if not known]
    if missing or not source.sop_instance_uids:
        name = f"{missing[0]} Instance UID" if missing else "SOP Instance UID in each file"
        raise OutputError(f"{source.path} has no {name}, which DICOM results must refer to")


def open_study(scan: Scan) -> SourceStudy:
    """The headers of the scan's files, as its reader has parsed them; the files are checked to be the same still.

    A scan that comes from elsewhere (a case file) has no parsed files: then they are parsed here.

    Raises:
        OutputError: the source is no DICOM, or its files are gone or have changed.
    """
    check_source(scan.source)
    source = scan.source
    order = tuple(source.frame_numbers or range(1, scan.frames + 1))
    opened = _opened(_Files(source.path, source.files, source.parsed), source.sha256, source.sop_instance_uids, order)
    geometry = scan.geometry
    return SourceStudy(
        **opened._asdict(),
        study=source.study_uid or "",
        series=source.series_uid or "",
        geometry=geometry,
        placed=is_placed(geometry),
    )


class _Files(NamedTuple):
    """As in `Source`."""

    path: str
    names: tuple[str, ...]
    parsed: tuple[ParsedFile, ...]


class _Opened(NamedTuple):
    """As in `SourceStudy`."""

    header: Dataset
    content: str
    frames: tuple[Frame, ...]
    planes: tuple[ImagePlane, ...]
    partial: bool


@lru_cache(maxsize=1)
def _opened(files: _Files, sha256: str, uids: tuple[str, ...], order: tuple[int, ...]) -> _Opened:
    """Kept, since several writers ask for the same in turn."""
    path = files.path
    digests: list[str] = []
    contents: list[str] = []
    instances: list[Instance] = []
    planes: list[ImagePlane] = []
    first: Dataset | None = None
    for file in _parsed(files):
        digests.append(file.sha256)
        contents.append(file.content)
        ds = file.header()
        instances.append(Instance(uid(ds, "SOPClassUID") or "", uid(ds, "SOPInstanceUID") or ""))
        planes += image_planes_of(ds, whole(ds, "NumberOfFrames") or 1)
        first = first or ds
    if first is None or _digest(digests) != sha256 or tuple(instance.uid for instance in instances) != uids:
        raise OutputError(f"{path} has changed since it was read", "the same files", "run medvis again")
    content = _digest(contents)
    if len(instances) == 1:
        frames = tuple(Frame(instances[0], number if len(planes) > 1 else None) for number in order)
        frame_planes = tuple(planes[number - 1] for number in order)
        return _Opened(first, content, frames, frame_planes, partial=len(order) < len(planes))
    if len(planes) != len(order):
        raise OutputError(f"{path} has {len(planes)} frames where {len(order)} were read")
    frames = tuple(Frame(instance, None) for instance in instances)
    return _Opened(first, content, frames, tuple(planes), partial=False)


def _parsed(files: _Files) -> Iterator[ParsedFile]:
    """Each file, known to be what it was."""
    base = Path(files.path)
    try:
        if files.parsed:
            for file in files.parsed:
                file.require_unchanged()
                yield file
        else:
            yield from map(parse, [base] if base.is_file() else [base / name for name in files.names])
    except InputError as error:
        raise OutputError(
            f"the source of the scan cannot be opened again: {error.found}", error.wanted, error.hint
        ) from error


def _digest(digests: Sequence[str]) -> str:
    """Of one file, or of a series, as `Source.sha256` has it."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def is_placed(geometry: Geometry) -> bool:
    """Whether each frame has a place of its own in a frame of reference.

    Frames at one and the same place (phases, echoes) can be told apart by their number only.
    """
    positions, orientation = geometry.positions, geometry.orientation
    if geometry.spacing is None or geometry.frame_of_reference is None or positions is None or orientation is None:
        return False
    heights = np.sort(positions @ np.cross(orientation[:3], orientation[3:]))
    return bool((np.diff(heights) > SAME_PLACE).all())

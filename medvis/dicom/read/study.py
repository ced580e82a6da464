"""Some files as the volumes that they hold: images grouped, other objects counted, nothing decoded yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source
from medvis.core.volumes import Remark, Volume, Volumes, slug, unique
from medvis.dicom.read.frames_inside import with_frames
from medvis.dicom.read.grouping import Group, groups_of, groups_of_file
from medvis.dicom.read.header import Header, header_of, is_source, kind_of_object, should_be_image
from medvis.dicom.read.image_plane import ImagePlane
from medvis.dicom.read.labels import labels_of
from medvis.dicom.read.load import require_image
from medvis.dicom.read.parsed_file import ParsedFile, parse, parse_single
from medvis.dicom.read.series import name_below, read_group
from medvis.dicom.read.stack import stack_of
from medvis.errors import InputError
from medvis.io.describe import plane_of

_NAMED = 3
_KEPT = 5000  # parsed headers in memory, of about 40 kB each; files beyond are parsed again when their pixels are read


@dataclass
class _Contents:
    """What the files are."""

    headers: list[Header] = field(default_factory=list)
    damaged: list[tuple[Path, InputError]] = field(default_factory=list)
    objects: Counter[str] = field(default_factory=Counter)

    def remarks(self) -> list[Remark]:
        """One on each kind of thing that is no image."""
        remarks = []
        if self.objects:
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.objects.items()))
            remarks.append(Remark(f"DICOM objects that are no images to look at were ignored: {kinds}"))
        if self.damaged:
            what = f"{len(self.damaged)} damaged file(s) could not be read, nobody knows of which series"
            remarks.append(Remark(what, ", ".join(path.name for path, _ in self.damaged[:_NAMED])))
        return remarks


def volumes_in(folder: Path, files: Iterable[Path], known: Sequence[Remark] = ()) -> Volumes:
    """The volumes of a folder.

    Args:
        folder: what the scans' source will be.
        files: the DICOM files of it or below it.
        known: remarks on what else is there, or known to be absent.

    Raises:
        InputError: no image at all; or one series only and a damaged file, which may be a part of it.
    """
    contents = _sorted_out(files)
    if contents.damaged and len({(header.study, header.series) for header in contents.headers}) <= 1:
        raise contents.damaged[0][1]
    if not contents.headers:
        raise InputError(f"{folder} holds no DICOM image{_instead(contents)}", "a folder with a series or a study")
    remarks = [*known, *contents.remarks()]
    volumes = _volumes(folder, groups_of(contents.headers), [remark.text for remark in remarks])
    volumes += [_broken(folder, *item) for item in contents.damaged]
    labels = unique([volume.label for volume in volumes])
    volumes = [replace(volume, label=label) for volume, label in zip(volumes, labels, strict=True)]
    return Volumes(str(folder), volumes, [remark.whole for remark in remarks])


def volumes_inside(path: Path) -> list[Volume]:
    """The volumes of an enhanced multi-frame file that is more or less than one; empty for any other file."""
    try:
        file = parse_single(path)
    except InputError:  # which whoever reads the file will raise
        return []
    ds = file.header()
    if not is_source(ds):
        return []
    header = _header(file, ds)
    groups = groups_of_file(header) if header.inside else []
    if len(groups) == 1 and groups[0].why_not is None:
        return []
    return _volumes(path, groups, [])


def _volumes(folder: Path, groups: Sequence[Group], remarks: Sequence[str]) -> list[Volume]:
    alone = sum(group.why_not is None for group in groups) == 1
    numbers = {study: number for number, study in enumerate(dict.fromkeys(_study(group) for group in groups), 1)}
    return [
        _volume(folder, group, label, numbers[_study(group)], remarks if alone else [])
        for label, group in zip(labels_of(groups), groups, strict=True)
    ]


def _sorted_out(files: Iterable[Path]) -> _Contents:
    contents = _Contents()
    for path in files:
        try:
            file = parse(path)
            ds = file.header()
            if should_be_image(ds):
                require_image(ds, path)
        except InputError as error:
            contents.damaged.append((path, error))
            continue
        if is_source(ds):
            contents.headers.append(_header(file, ds))
            if len(contents.headers) > _KEPT:
                file.release()
        else:
            contents.objects[kind_of_object(ds)] += 1
    return contents


def _header(file: ParsedFile, ds: Dataset) -> Header:
    """The header of an image, with its content's digest taken before anything looks into its sequences."""
    _ = file.content
    return with_frames(header_of(file, ds), ds)


def _instead(contents: _Contents) -> str:
    names = ", ".join(f"{count} {name}" for name, count in sorted(contents.objects.items()))
    return f", but {names}" if names else ""


def _study(group: Group) -> str | None:
    return group.headers[0].study


def _volume(folder: Path, group: Group, label: str, study: int, notes: Sequence[str]) -> Volume:
    first = group.headers[0]
    facts = _facts(group, study)
    return Volume(
        label=label,
        description=_described(facts),
        files=tuple(dict.fromkeys(name_below(folder, header.path) for header in group.headers)),
        why_not=group.why_not,
        opener=partial(read_group, folder, group.headers, [*notes, *group.notes]),
        facts=facts,
        sketch=_sketch(label, first),
    )


def _facts(group: Group, study: int) -> dict[str, Any]:
    first = group.headers[0]
    stack = None if group.why_not else stack_of(_planes(group.headers), first.frame_of_reference)
    spacing = first.plane.spacing.mm
    return {
        "study": study,
        "series_number": first.number,
        "series_uid": first.series,
        "description": first.description,
        "modality": first.modality,
        "body_part": first.body_part,
        "files": len({header.path for header in group.headers}),
        "frames": sum(header.frames for header in group.headers),
        "rows": first.shape[0],
        "cols": first.shape[1],
        "spacing_mm": None if spacing is None else list(spacing),
        "slice_spacing_mm": None if stack is None else stack.geometry.slice_spacing,
        "plane": plane_of(first.plane.orientation),
        "notes": [*group.notes, *(() if stack is None else stack.notes)],
    }


def _planes(headers: Sequence[Header]) -> list[ImagePlane]:
    """Of all images, those inside of an enhanced multi-frame file among them."""
    return [image.plane for header in headers for image in (header.inside or (header,))]


def _described(facts: dict[str, Any]) -> str:
    frames = f"{facts['frames']} x " if facts["frames"] > 1 else ""
    step = "" if facts["slice_spacing_mm"] is None else f", {facts['slice_spacing_mm']:.4g} mm apart"
    return f"{facts['modality'] or 'unknown modality'}, {frames}{facts['rows']}x{facts['cols']} px{step}"


def _sketch(label: str, header: Header) -> Scan:
    pixels = np.zeros((1, 1, 1, header.shape[2]), np.float32)
    source = Source(label, "dicom", header.sha256)
    return Scan(
        pixels,
        Geometry(orientation=header.plane.orientation),
        source,
        modality=header.modality,
        body_part=header.body_part,
    )


def _broken(folder: Path, path: Path, error: InputError) -> Volume:
    """A damaged file, in the place of the volume that it may have been."""

    def refuse() -> Scan:
        raise error

    name = name_below(folder, path)
    return Volume(slug("damaged", path.stem) or "damaged", "a damaged file", (name,), None, refuse)

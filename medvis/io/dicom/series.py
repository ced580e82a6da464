"""A folder that is one series, as a Scan: its slices sorted along the normal, held once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from medvis.core.scan import Scan, Source
from medvis.errors import InputError
from medvis.io.dicom.canvas import Canvas
from medvis.io.dicom.checks import check_stackable, drop_copies, drop_localizers, several_series
from medvis.io.dicom.facts import details_of
from medvis.io.dicom.file import Facts, fill, read_file, scan_of
from medvis.io.dicom.header import Header, header_of
from medvis.io.dicom.layout import layout_of
from medvis.io.dicom.load import is_image, load, object_name
from medvis.io.dicom.stack import stack_of
from medvis.io.magic import files_in, head_of, kind_of


def read_folder(folder: Path) -> Scan:
    """Reads the one series at the top level of a folder.

    Raises:
        InputError: no DICOM image, several series, or images that are no stack of slices.
    """
    headers, notes = _headers(folder)
    if not headers:
        raise InputError(f"{folder} holds no DICOM image at its top level", "a folder with one series")
    if len({(header.study, header.series) for header in headers}) > 1:
        raise several_series(folder, headers)
    headers, more = drop_copies(headers)
    headers, localizers = drop_localizers(headers)
    notes = [*notes, *more, *localizers]
    if len(headers) == 1:
        scan = read_file(headers[0].path)
        source = replace(scan.source, path=str(folder))
        return replace(scan, source=source, notes=(*notes, *scan.notes))
    check_stackable(folder, headers)
    return _read_stack(folder, headers, notes)


def _read_stack(folder: Path, headers: Sequence[Header], notes: list[str]) -> Scan:
    stack = stack_of([header.place for header in headers], headers[0].frame_of_reference)
    headers = [headers[index] for index in stack.order]
    rows, cols, channels = headers[0].shape
    canvas = Canvas((len(headers), rows, cols, channels), str(folder))
    first: Dataset | None = None
    found: list[Facts] = []
    for rank, header in enumerate(headers):
        loaded = load(header.path)
        layout, gaps = layout_of(loaded.ds, header.path)
        found.append(fill(canvas, loaded.ds, layout, [rank], header.path))
        notes += [*loaded.notes, *gaps, *found[-1].notes]
        if first is None:
            first = loaded.ds
            first.pop("PixelData", None)
    if first is None:
        raise InputError(f"{folder} holds no DICOM image", "a folder with one series")
    facts = _common(found, folder)
    source = _source(folder, headers, first, facts)
    return scan_of(first, canvas, stack.geometry, facts, source, [*notes, *stack.notes])


def _common(found: Sequence[Facts], folder: Path) -> Facts:
    units = sorted({facts.unit for facts in found})
    if len(units) > 1:
        raise InputError(f"{folder} mixes units: {', '.join(units)}", "a series in one unit")
    first = found[0]
    return replace(first, varies=any(facts.transform != first.transform for facts in found))


def _source(folder: Path, headers: Sequence[Header], ds: Dataset, facts: Facts) -> Source:
    uids = [header.uid for header in headers if header.uid is not None]
    hashes = "\n".join(sorted(header.sha256 for header in headers))
    return Source(
        path=str(folder),
        format="dicom",
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        files=tuple(header.path.name for header in headers),
        sop_instance_uids=tuple(uids) if len(uids) == len(headers) else (),
        series_uid=headers[0].series,
        study_uid=headers[0].study,
        details=details_of(ds, facts.layout),
    )


def _headers(folder: Path) -> tuple[list[Header], list[str]]:
    """The images at the top level of the folder, and a note on what else is there."""
    headers, others, objects = [], [], Counter[str]()
    for path in files_in(folder):
        try:
            kind = kind_of(head_of(path))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        if kind != "dicom":
            others.append(path.name)
            continue
        loaded = load(path, pixels=False)
        if is_image(loaded.ds):
            headers.append(header_of(path, loaded.ds, loaded.sha256))
        else:
            objects[object_name(loaded.ds)] += 1
    notes = []
    if others:
        notes.append(f"{len(others)} file(s) that are no DICOM were ignored: {', '.join(others[:3])}")
    if objects:
        names = ", ".join(f"{count} {name}" for name, count in objects.items())
        notes.append(f"DICOM objects without pixels were ignored: {names}")
    return headers, notes

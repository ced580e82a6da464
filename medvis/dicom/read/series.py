"""Images that are one stack, as a Scan: sorted along the normal, held once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from medvis.core.scan import DisplayWindow, Scan, Source
from medvis.dicom.read.facts import details_of, display_windows, windows_by_frame
from medvis.dicom.read.file import Facts, fill, read_parsed, scan_of
from medvis.dicom.read.frame_buffer import FrameBuffer
from medvis.dicom.read.frames_inside import frame_numbers
from medvis.dicom.read.header import Header
from medvis.dicom.read.layout import layout_of
from medvis.dicom.read.load import pydicom_notes
from medvis.dicom.read.stack import stack_of
from medvis.dicom.read.voi_lut import lut_items, voi_luts
from medvis.errors import InputError


def read_group(folder: Path, headers: Sequence[Header], notes: Sequence[str]) -> Scan:
    """Reads the images of one group (`grouping.Group`).

    Args:
        folder: what the scan's source is; the files lie in it or below it.
        headers: of one file; of frames inside one file; or of single frames of one size, spacing and orientation.
        notes: what was left out on the way.

    Raises:
        InputError: an image is damaged, or they have no common unit.
    """
    with pydicom_notes() as warned:
        alone = len(headers) == 1 or headers[0].frame is not None
        scan = _read_one(folder, headers) if alone else _read_stack(folder, headers)
    return replace(scan, notes=(*notes, *scan.notes, *warned))


def _read_one(folder: Path, headers: Sequence[Header]) -> Scan:
    file = headers[0].file
    scan = read_parsed(file, frame_numbers(headers) or None)
    source = replace(scan.source, path=str(folder), files=(name_below(folder, file.path),))
    return replace(scan, source=source)


def _read_stack(folder: Path, headers: Sequence[Header]) -> Scan:
    stack = stack_of([header.plane for header in headers], headers[0].frame_of_reference)
    headers = [headers[index] for index in stack.order]
    buffer = FrameBuffer((len(headers), *headers[0].shape), str(folder))
    first: Dataset | None = None
    by_file: list[Facts] = []
    windows: list[tuple[DisplayWindow, ...]] = []
    notes: list[str] = []
    luts: list[list[Dataset]] = []
    for rank, header in enumerate(headers):
        ds = header.file.with_pixels()
        layout, gaps = layout_of(ds, header.path)
        by_file.append(fill(buffer, ds, layout, {0: rank}, header.path))
        windows.append(display_windows(ds)[0])
        luts.append(lut_items(ds))
        notes += [*header.file.notes, *gaps, *by_file[-1].notes]
        if first is None:
            first = ds
            first.pop("PixelData", None)
    if first is None:
        raise InputError(f"{folder} holds no DICOM image", "a folder with one series")
    facts = _common(by_file, folder)
    shared, doubt = voi_luts(first, facts.layout, 0, luts)
    details = details_of(first, facts.layout)
    source = replace(_source(folder, headers, details), windows_by_frame=windows_by_frame(windows), voi_luts=shared)
    return scan_of(first, buffer, stack.geometry, facts, source, [*notes, *stack.notes, *doubt])


def _common(by_file: Sequence[Facts], folder: Path) -> Facts:
    units = sorted({facts.unit for facts in by_file})
    if len(units) > 1:
        raise InputError(f"{folder} mixes units: {', '.join(units)}", "a series in one unit")
    first = by_file[0]
    return replace(first, varies=any(facts.transform != first.transform for facts in by_file))


def _source(folder: Path, headers: Sequence[Header], details: dict[str, Any]) -> Source:
    uids = [header.uid for header in headers if header.uid is not None]
    hashes = "\n".join(sorted(header.sha256 for header in headers))
    return Source(
        path=str(folder),
        format="dicom",
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        files=tuple(name_below(folder, header.path) for header in headers),
        sop_instance_uids=tuple(uids) if len(uids) == len(headers) else (),
        series_uid=headers[0].series,
        study_uid=headers[0].study,
        details=details,
        parsed=tuple(header.file for header in headers),
    )


def name_below(folder: Path, path: Path) -> str:
    """A file's name below a folder, with forward slashes; a file that is the folder keeps its own."""
    return path.name if path == folder else path.relative_to(folder).as_posix()

"""One DICOM file, single or multi-frame, as a Scan; and the parts of that which a series needs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, Source, Step
from medvis.dicom.read.decode import believe_baseline, believe_codestream, stored_frames
from medvis.dicom.read.facts import (
    bits_of,
    body_part_of,
    details_of,
    display_windows,
    frame_windows,
    is_inverted,
)
from medvis.dicom.read.frame_buffer import FrameBuffer
from medvis.dicom.read.image_plane import image_planes_of
from medvis.dicom.read.layout import Layout, layout_of
from medvis.dicom.read.modality import Transform, transforms_of, unit_of
from medvis.dicom.read.mosaic import mosaic_of, tiles_of
from medvis.dicom.read.nuclear import why_no_slices
from medvis.dicom.read.padding import Padding, padding_of
from medvis.dicom.read.palette import mixes_colours
from medvis.dicom.read.parsed_file import ParsedFile, parse_single
from medvis.dicom.read.stack import stack_of
from medvis.dicom.read.values import number, text, uid
from medvis.dicom.read.voi_lut import lut_items, voi_luts
from medvis.errors import InputError


@dataclass(frozen=True)
class Facts:
    """What reading the pixels has shown.

    Attributes:
        layout: how they are stored.
        transform: of the first frame.
        varies: whether another frame has a different transform.
        padding: as declared, or None.
        unit: of the modality values.
        notes: what had to be assumed.
        first: the frame of the file, from 0, that speaks for all.
    """

    layout: Layout
    transform: Transform
    varies: bool
    padding: Padding | None
    unit: str
    notes: tuple[str, ...]
    first: int = 0


def read_file(path: Path) -> Scan:
    """Reads a file. Raises InputError."""
    return read_parsed(parse_single(path))


def read_parsed(file: ParsedFile, numbers: Sequence[int] | None = None) -> Scan:
    """Reads the pixels of a file, or the frames of it that have these numbers (from 1). Raises InputError."""
    _ = file.content  # before the sequences are looked into
    path, ds = file.path, file.with_pixels()
    mosaic = mosaic_of(ds)
    if mosaic is not None:
        raise InputError(
            f"{path} is {mosaic}: many slices in one image", "one slice an image", "export it as an enhanced file"
        )
    layout, notes = layout_of(ds, path)
    tiles = tiles_of(ds)
    notes += [] if tiles is None else [tiles]
    chosen = np.arange(layout.frames) if numbers is None else np.array(numbers) - 1
    planes = image_planes_of(ds, layout.frames)
    stack = stack_of([planes[frame] for frame in chosen], uid(ds, "FrameOfReferenceUID"))
    order = chosen[stack.order].tolist()
    buffer = FrameBuffer((len(order), layout.rows, layout.cols, layout.channels), str(path))
    facts = fill(buffer, ds, layout, {frame: rank for rank, frame in enumerate(order)}, path)
    instance = uid(ds, "SOPInstanceUID")
    luts, doubt = voi_luts(ds, facts.layout, facts.first, (lut_items(ds, frame) for frame in order))
    source = Source(
        path=str(path),
        format="dicom",
        sha256=file.sha256,
        files=(path.name,),
        sop_instance_uids=() if instance is None else (instance,),
        series_uid=uid(ds, "SeriesInstanceUID"),
        study_uid=uid(ds, "StudyInstanceUID"),
        frame_numbers=_frame_numbers(order, layout),
        windows_by_frame=frame_windows(ds, order),
        voi_luts=luts,
        details=details_of(ds, facts.layout, facts.first),
        parsed=(file,),
    )
    geometry = _with_declared_step(stack.geometry, ds, len(order))
    return scan_of(ds, buffer, geometry, facts, source, [*file.notes, *notes, *stack.notes, *doubt])


def fill(buffer: FrameBuffer, ds: Dataset, layout: Layout, ranks: Mapping[int, int], path: Path) -> Facts:
    """Decodes frames of `ds` into the buffer, frame i (from 0) at `ranks[i]`. Raises InputError."""
    notes = []
    if (believed := believe_baseline(ds, layout)) != layout:
        notes.append(f"Bits Allocated says {layout.allocated}, but JPEG baseline has 8 bits, which were believed")
        layout = believed
    if believe_codestream(ds, layout):
        layout = replace(layout, signed=True)
        notes.append("Pixel Representation says unsigned, but the JPEG 2000 stream is signed and was believed")
    chosen = sorted(ranks)
    every, more = transforms_of(ds, layout)
    transforms = [every[frame] for frame in chosen]
    unit, note = unit_of(ds, transforms[0])
    notes += more if note is None else [*more, note]
    if mixes_colours(ds):
        notes.append("a palette of the file shows some values in colour; all were read as greys")
    padding = padding_of(ds, layout)
    frames = stored_frames(ds, layout, path, buffer.notes, None if len(chosen) == layout.frames else chosen)
    for frame, transform, stored in zip(chosen, transforms, frames, strict=True):
        buffer.put(ranks[frame], stored, transform, padding)
        if unit == "HU":
            buffer.put_corners(ranks[frame])
    varies = any(transform != transforms[0] for transform in transforms)
    return Facts(layout, transforms[0], varies, padding, unit, tuple(notes), chosen[0])


def scan_of(
    ds: Dataset, buffer: FrameBuffer, geometry: Geometry, facts: Facts, source: Source, notes: Sequence[str]
) -> Scan:
    """The scan of a filled buffer; `ds` is the data set that speaks for all frames."""
    windows, window_notes = display_windows(ds, facts.first)
    inverted, doubt = is_inverted(ds, facts.layout)
    valid = buffer.valid
    gathered = [*notes, *facts.notes, *sorted(buffer.notes), *window_notes, *([doubt] if doubt else [])]
    if valid is not None and not valid.any():
        gathered.append("every pixel is padding")
    return Scan(
        pixels=buffer.pixels,
        geometry=geometry,
        source=source,
        unit=facts.unit,
        modality=text(ds, "Modality"),
        body_part=body_part_of(ds),
        bits=bits_of(ds, facts.layout),
        valid=valid,
        windows=windows,
        inverted=inverted,
        trail=(Step("read", _settings(facts)),),
        notes=tuple(dict.fromkeys(gathered)),
    )


def _settings(facts: Facts) -> dict[str, Any]:
    padding = facts.padding
    limits = None if padding is None else [item for item in (padding.value, padding.limit) if item is not None]
    return {
        "reader": "dicom",
        "photometric_interpretation": facts.layout.photometric,
        "modality_transform": facts.transform.facts | ({"varies_by_frame": True} if facts.varies else {}),
        "padding": limits,
    }


def _frame_numbers(order: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """As `Source.frame_numbers`."""
    return () if list(order) == list(range(layout.frames)) else tuple(frame + 1 for frame in order)


def _with_declared_step(geometry: Geometry, ds: Dataset, frames: int) -> Geometry:
    """Spacing Between Slices, for a volume whose frames carry no positions (e.g. NM, PS3.3 C.8.4.15)."""
    declared = number(ds, "SpacingBetweenSlices")
    volume = text(ds, "Modality") in ("NM", "PT", "CT", "MR") and geometry.positions is None and frames > 1
    if not volume or not declared:
        return geometry
    reason = why_no_slices(ds, frames)
    if reason is not None:
        return replace(geometry, reasons={**geometry.reasons, "slice_spacing": reason})
    reasons = {key: reason for key, reason in geometry.reasons.items() if key != "slice_spacing"}
    return replace(geometry, slice_spacing=abs(declared), reasons=reasons)

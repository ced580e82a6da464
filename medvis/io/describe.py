"""The facts of a scan as JSON values, for `medvis info`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from medvis.core.arrays import Float64s
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan, VoiLut

_PLANES = ("sagittal", "coronal", "axial")
_OBLIQUE = 0.95


def describe(scan: Scan) -> dict[str, Any]:
    """Everything that is known of a scan, in JSON values only; unknown is None, and `unknown` says why.

    `range` is [least, largest] of the pixels that are not padding, None if all are; `windows` are the file's own,
    and `windows_by_frame` those of each frame where they differ; lengths are in mm. No patient identity.
    """
    source, geometry = scan.source, scan.geometry
    numbers = {"frame_numbers": list(source.frame_numbers)} if source.frame_numbers else {}
    return {
        "path": source.path,
        "format": source.format,
        "sha256": source.sha256,
        "modality": scan.modality,
        "body_part": scan.body_part,
        "frames": scan.frames,
        "rows": scan.shape[0],
        "cols": scan.shape[1],
        "channels": scan.channels,
        "bits": scan.bits,
        "unit": scan.unit,
        "range": _range(scan),
        "inverted": scan.inverted,
        "padding_fraction": 0.0 if scan.valid is None else float(1 - scan.valid.mean()),
        "windows": [asdict(window) for window in scan.windows],
        "windows_by_frame": [[asdict(window) for window in windows] for windows in source.windows_by_frame],
        "voi_luts": [_lut(lut) for lut in source.voi_luts],
        **_geometry(scan, geometry),
        "series_uid": source.series_uid,
        "study_uid": source.study_uid,
        "files": len(source.files),
        "sop_instances": len(source.sop_instance_uids),
        "details": {**source.details, **numbers},
        "notes": list(scan.notes),
        "unknown": geometry.unknown(scan.frames),
        "trail": [asdict(step) for step in scan.trail],
    }


def plane_of(orientation: Float64s | None) -> str | None:
    """``axial``, ``coronal`` or ``sagittal``; ``oblique, nearest to …`` if tilted by more than 18°; None if unknown."""
    if orientation is None:
        return None
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    main = int(normal.argmax())
    name = _PLANES[main]
    return name if normal[main] >= _OBLIQUE * np.linalg.norm(normal) else f"oblique, nearest to {name}"


def _lut(lut: VoiLut) -> dict[str, Any]:
    return {"explanation": lut.explanation, "first": lut.first, "bits": lut.bits, "entries": len(lut.data)}


def _geometry(scan: Scan, geometry: Geometry) -> dict[str, Any]:
    spacing, step, positions = geometry.spacing, geometry.slice_spacing, geometry.positions
    size = None if spacing is None else [spacing[0] * scan.shape[0], spacing[1] * scan.shape[1]]
    return {
        "spacing_mm": None if spacing is None else list(spacing),
        "slice_spacing_mm": step,
        "field_of_view_mm": size,
        "plane": plane_of(geometry.orientation),
        "orientation": None if geometry.orientation is None else geometry.orientation.tolist(),
        "first_position_mm": None if positions is None else positions[0].tolist(),
        "last_position_mm": None if positions is None else positions[-1].tolist(),
        "frame_of_reference": geometry.frame_of_reference,
    }


def _range(scan: Scan) -> list[float] | None:
    if scan.valid is None:
        return [float(scan.pixels.min()), float(scan.pixels.max())]
    if not scan.valid.any():
        return None
    where = scan.valid[..., None]
    least = scan.pixels.min(where=where, initial=np.inf)
    return [float(least), float(scan.pixels.max(where=where, initial=-np.inf))]

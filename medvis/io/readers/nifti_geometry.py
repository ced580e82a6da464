"""NIfTI's RAS+ affine as the geometry of a stack of axial slices in LPS."""

from __future__ import annotations

from typing import Any

import numpy as np

from medvis.core.arrays import Array, Float64s
from medvis.core.geometry import Geometry
from medvis.errors import InputError

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_IN_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_RIGHT_ANGLE = 1e-3
_ALONG_NORMAL = 0.9999


def to_axial(stored: Array, affine: Float64s, where: str) -> tuple[Array, Float64s, str]:
    """A view [frames, rows, cols] with frames to superior, rows to posterior and columns to the patient's left.

    Args:
        stored: [i, j, k] as in the file.
        affine: float64 [4, 4] from (i, j, k) to RAS+ coordinates.
        where: the file, for a message.

    Returns:
        The view; the affine from (col, row, frame) to LPS coordinates; the axes of the file, e.g. ``RAS``.

    Raises:
        InputError: an affine that is not finite or maps the volume onto a plane.
    """
    import nibabel  # noqa: PLC0415 - 0.3 s, and only this format needs it

    orientations: Any = nibabel.orientations
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise InputError(f"{where}: the NIfTI transform is singular", "an invertible sform or qform")
    axes = orientations.io_orientation(affine)
    wanted = orientations.axcodes2ornt(("L", "P", "S"))
    change = orientations.ornt_transform(axes, wanted)
    turned = orientations.apply_orientation(stored, change).transpose(2, 1, 0)
    to_ras = affine @ orientations.inv_ornt_aff(change, stored.shape)
    return turned, np.asarray(_RAS_TO_LPS @ to_ras, np.float64), "".join(orientations.ornt2axcodes(axes))


def geometry_of(header: Any, affine: Float64s, frames: int) -> tuple[Geometry, list[str]]:  # noqa: ANN401 - nibabel
    """Spacing, positions and orientation in mm, as far as the header gives them, and notes.

    Args:
        header: nibabel's; its form codes and unit are used.
        affine: from (col, row, frame) to LPS coordinates.
        frames: number of frames.
    """
    unit = header.get_xyzt_units()[0]
    notes = ["the NIfTI header names no unit of length; mm was assumed"] if unit == "unknown" else []
    axes = affine[:3, :3] * _IN_MM.get(unit, 1.0)
    lengths = np.linalg.norm(axes, axis=0)
    spacing = (_short(lengths[1]), _short(lengths[0]))
    row, col = axes[:, 0] / lengths[0], axes[:, 1] / lengths[1]
    normal = np.cross(row, col)
    step = float(abs(axes[:, 2] @ normal / np.linalg.norm(normal)))
    reasons = {} if frames > 1 else {"slice_spacing": "a single frame"}
    slice_spacing = _short(step) if frames > 1 else None
    problem = None
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        problem = "the NIfTI header holds no transform to patient coordinates"
        notes.append(f"{problem}; the axes were taken as they are stored")
    elif abs(float(row @ col)) > _RIGHT_ANGLE:
        problem = "rows and columns of the NIfTI volume are not at a right angle"
    elif step < _ALONG_NORMAL * lengths[2]:
        notes.append("slices are shifted sideways (the volume is sheared)")
    if problem is not None:
        reasons |= dict.fromkeys(("positions", "orientation"), problem)
        return Geometry(spacing, slice_spacing, reasons=reasons), notes
    origin = affine[:3, 3] * _IN_MM.get(unit, 1.0)
    positions = origin + np.outer(np.arange(frames), axes[:, 2])
    return Geometry(spacing, slice_spacing, positions, np.concatenate([row, col]), None, reasons), notes


def _short(length: float) -> float:
    """A length as it was meant: the header holds 0.7 as 0.699999988, the nearest 32-bit number."""
    return float(f"{length:.6g}")

"""NIfTI's RAS+ affine as the geometry of a stack of axial slices in LPS."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from medvis.core.arrays import Array, Float64s
from medvis.core.geometry import Geometry, StoredGrid
from medvis.core.sizes import is_possible
from medvis.errors import InputError

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNITS = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}  # the codes of NIfTI-1, nifti1.h
_OF_TIME = range(0, 49, 8)  # likewise, of the fourth axis
_IN_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_RIGHT_ANGLE = 1e-3
_ALONG_NORMAL = 0.9999
_FLAT = 1e-6
_FARTHEST = 1e9  # mm from the origin
_LARGEST = 1e38  # NIfTI-2 holds 64-bit numbers, whose squares need not be finite


class Axial(NamedTuple):
    """A volume turned so that its frames are axial.

    Attributes:
        values: a view [frames, rows, cols] with frames to superior, rows to posterior, columns to the patient's left.
        affine: from (col, row, frame) to LPS coordinates.
        axes: of the file, e.g. ``RAS``.
        turned: as of `StoredGrid`.
    """

    values: Array
    affine: Float64s
    axes: str
    turned: tuple[tuple[int, int], ...]


def to_axial(stored: Array, affine: Float64s, where: str) -> Axial:
    """The volume with axial frames.

    Args:
        stored: [i, j, k] as in the file.
        affine: float64 [4, 4] from (i, j, k) to RAS+ coordinates.
        where: the file, for a message.

    Raises:
        InputError: an affine that is not finite or maps the volume onto a plane.
    """
    import nibabel  # noqa: PLC0415 - 0.3 s, and only this format needs it

    orientations: Any = nibabel.orientations
    if not invertible(affine):
        raise InputError(f"{where}: the NIfTI transform is singular", "an invertible sform or qform")
    axes = orientations.io_orientation(affine)
    wanted = orientations.axcodes2ornt(("L", "P", "S"))
    change = orientations.ornt_transform(axes, wanted)
    values = orientations.apply_orientation(stored, change).transpose(2, 1, 0)
    to_ras = affine @ orientations.inv_ornt_aff(change, stored.shape)
    turned = tuple((int(axis), int(way)) for axis, way in change)
    codes = "".join(orientations.ornt2axcodes(axes))
    return Axial(values, np.asarray(_RAS_TO_LPS @ to_ras, np.float64), codes, turned)


def invertible(affine: Float64s) -> bool:
    """Whether an affine is finite and maps a volume onto one, whatever the unit of length."""
    if not (np.abs(affine) < _LARGEST).all():  # NaN is neither
        return False
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(lengths.min() > 0 and abs(np.linalg.det(affine[:3, :3] / lengths)) > _FLAT)


def to_stored(values: Array, grid: StoredGrid) -> Array:
    """The way back of `to_axial`: values [frames, rows, cols] as they lie in the file, [i, j, k]."""
    volume = values.transpose(2, 1, 0)
    flipped = {axis: way for axis, way in grid.turned if way < 0}
    ways = tuple(slice(None, None, flipped.get(axis, 1)) for axis in range(3))
    return volume[ways].transpose([axis for axis, _ in grid.turned])


UNSIZED = ("spacing", "slice_spacing", "positions", "orientation")


def without_size(header: Any, shape: tuple[int, ...]) -> str | None:  # noqa: ANN401 - nibabel's header
    """Why the size of a voxel is not known; None where it is: by the sform, or by pixdim."""
    if int(header["sform_code"]) > 0:
        return None
    sizes = [float(size) for size, count in zip(header["pixdim"][1:4], shape, strict=True) if count > 1]
    if all(np.isfinite(size) and size > 0 for size in sizes):
        return None
    return f"the NIfTI header gives a voxel of {' × '.join(f'{size:g}' for size in sizes)}"


def unit_of(header: Any) -> tuple[str, str | None]:  # noqa: ANN401 - nibabel's header
    """The unit of length, ``unknown`` where the header names none or one that does not exist; and a note of that."""
    whole = int(header["xyzt_units"])
    code = whole & 7
    if code in _UNITS and whole & ~7 in _OF_TIME:
        return _UNITS[code], None
    return "unknown", f"the NIfTI header names units by the code {whole}, which does not exist; mm was assumed"


def geometry_of(header: Any, affine: Float64s, frames: int) -> tuple[Geometry, list[str]]:  # noqa: ANN401 - nibabel
    """Spacing, positions and orientation in mm, as far as the header gives them, and notes.

    Args:
        header: nibabel's; its form codes and unit are used.
        affine: from (col, row, frame) to LPS coordinates.
        frames: number of frames.
    """
    unit, wrong = unit_of(header)
    notes = [] if wrong is None else [wrong]
    if unit == "unknown" and wrong is None:
        notes.append("the NIfTI header names no unit of length; mm was assumed")
    axes = affine[:3, :3] * _IN_MM.get(unit, 1.0)
    lengths = np.linalg.norm(axes, axis=0)
    spacing = (_short(lengths[1]), _short(lengths[0]))
    row, col = axes[:, 0] / lengths[0], axes[:, 1] / lengths[1]
    normal = np.cross(row, col)
    step = float(abs(axes[:, 2] @ normal / np.linalg.norm(normal)))
    reasons = {} if frames > 1 else {"slice_spacing": "a single frame"}
    slice_spacing = _short(step) if frames > 1 else None
    told = lengths if frames > 1 else lengths[:2]
    if not is_possible(*told):
        size = " × ".join(f"{length:.3g}" for length in told)
        absurd = f"the NIfTI header gives a voxel of {size} mm, which cannot be"
        return Geometry(reasons=dict.fromkeys(UNSIZED, absurd)), [*notes, f"{absurd}; nothing is measured in mm"]
    origin = affine[:3, 3] * _IN_MM.get(unit, 1.0)
    problem, more = _unplaced(header, origin, float(row @ col))
    if problem is not None:
        reasons |= dict.fromkeys(("positions", "orientation"), problem)
        return Geometry(spacing, slice_spacing, reasons=reasons), [*notes, *more]
    if step < _ALONG_NORMAL * lengths[2]:
        notes.append("slices are shifted sideways (the volume is sheared)")
    positions = origin + np.outer(np.arange(frames), axes[:, 2])
    return Geometry(spacing, slice_spacing, positions, np.concatenate([row, col]), None, reasons), notes


def _unplaced(header: Any, origin: Float64s, cosine: float) -> tuple[str | None, list[str]]:  # noqa: ANN401 - nibabel's
    """Why the place in the patient is not known, and notes on that; None where it is.

    Args:
        header: nibabel's.
        origin: mm.
        cosine: of the angle between rows and columns.
    """
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        problem = "the NIfTI header holds no transform to patient coordinates"
        return problem, [
            f"{problem}: left and right, front and back are not known, and may be shown the wrong way round"
        ]
    if np.abs(origin).max() > _FARTHEST:
        problem = f"the NIfTI header puts the volume {np.abs(origin).max():.3g} mm from the origin, which cannot be"
        return problem, [f"{problem}; no position is told"]
    if abs(cosine) > _RIGHT_ANGLE:
        return "rows and columns of the NIfTI volume are not at a right angle", []
    return None, []


def _short(length: float) -> float:
    """A length as it was meant: the header holds 0.7 as 0.699999988, the nearest 32-bit number."""
    return float(f"{length:.6g}")

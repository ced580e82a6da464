"""The two transforms of a NIfTI header, sform and qform: which count, and whether they and pixdim agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from medvis.core.arrays import Float64s
from medvis.core.geometry import Affine, StoredGrid
from medvis.io.readers.nifti_geometry import invertible, unit_of

_CODES = range(6)  # of forms, nifti1.h
_APART = 0.01  # of a voxel: what 32-bit numbers and quaternions cannot explain
_SIZES_APART = 1e-3


def stored_grid(raw: Any, header: Any, shape: tuple[int, ...], turned: tuple[tuple[int, int], ...]) -> StoredGrid:  # noqa: ANN401
    """The grid of a file, for results that are written on it.

    Args:
        raw: nibabel's header as it is in the file.
        header: the same as nibabel mends it; form codes that do not exist are 0.
        shape: (i, j, k).
        turned: as of `StoredGrid`.
    """
    sform, qform = sform_of(header), qform_of(header)
    codes = 0 if sform is None else int(header["sform_code"]), 0 if qform is None else int(header["qform_code"])
    sizes = (float(value) for value in raw["pixdim"][1:4])
    zooms = tuple(abs(size) if np.isfinite(size) else 0.0 for size in sizes)
    return StoredGrid(shape, turned, _rows(sform), _rows(qform), codes, zooms, unit_of(raw)[0])  # type: ignore[arg-type]


def sform_of(header: Any) -> Float64s | None:  # noqa: ANN401 - nibabel's header
    """Float64 [4, 4]; None where its code is 0 or it is no transform."""
    affine = header.get_sform(coded=True)[0]
    return affine if affine is not None and invertible(affine) else None


def qform_of(header: Any) -> Float64s | None:  # noqa: ANN401 - nibabel's header
    """Likewise; its quaternion may be longer than 1, which is no rotation."""
    try:
        affine = header.get_qform(coded=True)[0]
    except ValueError:
        return None
    return affine if affine is not None and invertible(affine) else None


def transform_notes(raw: Any, header: Any) -> list[str]:  # noqa: ANN401 - nibabel's headers
    """What a reader of the report must know of transforms that are wrong or contradict one another.

    The sform counts where it is given, as in nibabel; ITK may take the qform.
    """
    notes = [
        f"{name} is {int(raw[name])}, which does not exist; that transform was not used"
        for name in ("sform_code", "qform_code")
        if int(raw[name]) not in _CODES
    ]
    sform, qform = sform_of(header), qform_of(header)
    if sform is None:
        return notes + _said_of_qform(raw, header)
    if int(header["qform_code"]) > 0 and qform is None:
        notes.append("the qform of the NIfTI header is no transform; the sform was used")
    if qform is not None:
        notes += _conflict(sform, qform, tuple(int(size) for size in raw.get_data_shape()))
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    sizes = np.abs(np.asarray(raw["pixdim"][1:4], np.float64))
    given = np.isfinite(sizes) & (sizes > 0)
    if not np.allclose(lengths[given], sizes[given], rtol=_SIZES_APART, atol=0):
        notes.append(f"pixdim gives a voxel of {_sizes(sizes)}, the sform one of {_sizes(lengths)}; the sform was used")
    return notes


def _said_of_qform(raw: Any, header: Any) -> list[str]:  # noqa: ANN401 - nibabel's headers
    """Qfac says which way the slices run; 0 is read as 1 (nifti1.h), other values have no meaning."""
    qfac = float(raw["pixdim"][0])
    if int(header["qform_code"]) > 0 and qfac not in {-1.0, 0.0, 1.0}:
        return [f"qfac (pixdim[0]) is {qfac:g}, wanted 1 or -1; the side that the slices run to is not certain"]
    return []


def _conflict(sform: Float64s, qform: Float64s, shape: tuple[int, ...]) -> list[str]:
    """How far apart the two put the farthest corner of the volume. A shear, which a qform cannot say, is none."""
    import nibabel  # noqa: PLC0415 - 0.3 s, and only this format needs it

    corners = np.array(np.meshgrid(*[(0, size - 1) for size in (*shape, 1, 1)[:3]])).reshape(3, -1)
    difference = (sform - qform) @ np.vstack([corners, np.ones(corners.shape[1])])
    apart = float(np.linalg.norm(difference[:3], axis=0).max())
    if apart <= _APART * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
        return []
    codes: Any = nibabel.orientations.aff2axcodes
    ways = ["".join(codes(affine)) for affine in (sform, qform)]
    turned = "" if ways[0] == ways[1] else f" and their axes differ ({ways[0]}, {ways[1]}), so that sides may be wrong"
    return [f"sform and qform of the NIfTI header lie up to {apart:.4g} apart{turned}; the sform was used"]


def _rows(affine: Float64s | None) -> Affine | None:
    return None if affine is None else tuple(tuple(float(value) for value in row) for row in affine)  # type: ignore[misc]


def _sizes(lengths: Float64s) -> str:
    return " × ".join(f"{length:.6g}" for length in lengths)

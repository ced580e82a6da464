"""mask.png for one frame, mask.nii.gz for a series: each pixel holds the number of its finding, or 0."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Float64s, Labels
from medvis.core.case import require
from medvis.core.geometry import Geometry, StoredGrid
from medvis.core.outcome import Outcome
from medvis.core.protocols import Writer
from medvis.errors import OutputError
from medvis.io.colours import FINDINGS
from medvis.io.readers.nifti_geometry import to_stored

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's patient axes point left and back, NIfTI's right and forth


class MaskWriter(Writer):
    """Writes the label mask of the findings."""

    name = "mask"

    def files(self, outcome_frames: int) -> tuple[str, ...]:
        """``mask.png`` for one frame, ``mask.nii.gz`` for more."""
        return ("mask.png",) if outcome_frames == 1 else ("mask.nii.gz",)

    def applies(self, outcome: Outcome) -> bool:
        """Not where a task classifies the whole image and outlines nothing."""
        return outcome.case.mask is not None or outcome.case.classes is None

    def write(self, outcome: Outcome, folder: Path) -> list[Path]:
        """Writes it. Raises StageError if nothing was segmented, OutputError if there are too many findings."""
        mask = require(outcome.case.mask, "mask", "mask", "segment")
        path = folder / self.files(len(mask))[0]
        if len(mask) == 1:
            write_png(mask[0], path)
        else:
            write_nifti(mask, outcome.case.scan.geometry, path)
        return [path]


def write_png(mask: Labels, path: Path) -> None:
    """A label image [rows, cols] as PNG whose pixel values are the numbers of the findings.

    Up to 255 findings: 8-bit with a palette that colour-blind eyes can tell apart, so that any viewer shows it; above
    that 16-bit grey. Raises OutputError above 65535.
    """
    from PIL import Image  # noqa: PLC0415 - only where a mask is written

    top = int(mask.max(initial=0))
    if top > np.iinfo(np.uint16).max:
        raise OutputError(f"the mask has {top} findings", f"at most {np.iinfo(np.uint16).max} in a PNG")
    if top > np.iinfo(np.uint8).max:
        picture = Image.fromarray(mask.astype(np.uint16))
    else:
        picture = Image.fromarray(mask.astype(np.uint8))
        picture.putpalette([0, 0, 0, *(part for index in range(255) for part in FINDINGS[index % len(FINDINGS)])])
    picture.save(path, "PNG", compress_level=6)


def write_nifti(mask: Labels, geometry: Geometry, path: Path) -> None:
    """A label volume [frames, rows, cols] as NIfTI-1 (gzip): on the grid of the file that it was made from.

    Of a NIfTI volume that is its own grid, voxel by voxel, with its own transforms. Of anything else the voxel axes are
    (column, row, frame); where the geometry is unknown the form codes are 0 (no place in space is claimed) and the
    description says so.
    """
    import nibabel  # noqa: PLC0415 - only a series needs it

    kind = np.int16 if int(mask.max(initial=0)) <= np.iinfo(np.int16).max else np.int32
    maker: Any = nibabel.Nifti1Header
    header = maker(endianness="<")
    header.set_data_dtype(kind)
    header["magic"], header["vox_offset"] = b"n+1", 352
    grid = geometry.stored
    volume = None if grid is None else to_stored(np.asarray(mask), grid)
    if grid is not None and volume is not None and volume.shape == tuple(grid.shape):
        header.set_data_shape(grid.shape)
        _set_grid(header, grid)
        # NIfTI's first axis runs fastest: its transpose is written in C order.
        planes = volume.transpose(2, 1, 0)
    else:
        header.set_data_shape(mask.shape[::-1])
        _set_geometry(header, geometry)
        planes = mask
    with path.open("wb") as file, gzip.GzipFile("", "wb", 4, file, mtime=0) as packed:
        packed.write(header.binaryblock + bytes(4))
        for plane in planes:
            packed.write(plane.astype(np.dtype(kind).newbyteorder("<")).tobytes())


def _set_grid(header: Any, grid: StoredGrid) -> None:  # noqa: ANN401 - nibabel's header
    sform, qform = (None if rows is None else np.array(rows) for rows in (grid.sform, grid.qform))
    header.set_sform(sform, code=grid.codes[0])
    if sform is not None and qform is None and _sheared(sform):  # ITK refuses a sheared sform alone
        header.set_qform(sform, code=grid.codes[0], strip_shears=True)
    else:
        header.set_qform(qform, code=grid.codes[1])
    header["pixdim"][1:4] = grid.zooms
    header.set_xyzt_units(grid.unit)
    known = sform is not None or qform is not None
    header["descrip"] = f"medvis: finding numbers{'' if known else '; place in the patient unknown'}"


def _sheared(affine: Float64s) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return not np.allclose(axes.T @ axes, np.eye(3), atol=1e-4)


def _set_geometry(header: Any, geometry: Geometry) -> None:  # noqa: ANN401 - nibabel's header
    affine = voxel_to_ras(geometry)
    header.set_xyzt_units("mm" if geometry.spacing else "unknown")
    header["descrip"] = f"medvis: finding numbers{_caution(geometry, affine)}"
    if affine is None:
        header.set_zooms(_voxel_size(geometry))
        return
    header.set_sform(affine, code="scanner")
    # A qform cannot say a tilt. The nearest one stands beside the sform, as ITK refuses a file with the sform alone.
    header.set_qform(affine, code="scanner", strip_shears=True)


def voxel_to_ras(geometry: Geometry) -> Float64s | None:
    """Float64 [4, 4] from voxel (column, row, frame) to mm in NIfTI's RAS+ space; None if it is not known.

    From Pixel Spacing, Image Orientation and Image Position (Patient), PS3.3 C.7.6.2.1.1. The step between frames is
    the mean one, from the first to the last.
    """
    spacing, positions, orientation = geometry.spacing, geometry.positions, geometry.orientation
    if spacing is None or positions is None or orientation is None or len(positions) < 2:
        return None
    affine: Float64s = np.eye(4)
    affine[:3, 0] = orientation[:3] * spacing[1]
    affine[:3, 1] = orientation[3:] * spacing[0]
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 3] = positions[0]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        return None
    return _RAS @ affine


def _caution(geometry: Geometry, affine: Float64s | None) -> str:
    """What a viewer's user must know, in the 79 characters that there are."""
    if affine is None or geometry.positions is None:
        return "; place in the patient unknown"
    steps = np.linalg.norm(np.diff(geometry.positions, axis=0), axis=1)
    return "; slices unevenly spaced, mean step used" if np.ptp(steps) > 0.01 * steps.mean() else ""


def _voxel_size(geometry: Geometry) -> tuple[float, float, float]:
    rows, cols = geometry.spacing or (1.0, 1.0)
    return cols, rows, geometry.slice_spacing or 1.0

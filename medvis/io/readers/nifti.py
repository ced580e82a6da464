"""The reader of NIfTI-1 and NIfTI-2 volumes through nibabel."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Array, Bools, Float32s
from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan, Source, Step
from medvis.errors import InputError
from medvis.io.readers.nifti_file import GZIP, load
from medvis.io.readers.nifti_geometry import UNSIZED, geometry_of, to_axial, without_size
from medvis.io.readers.nifti_transforms import stored_grid, transform_notes
from medvis.ops.modality import rescale
from medvis.ops.padding import corner_padding

_LEAST, _MOST = -900.0, 4000.0
_QUANTILES = (0.005, 0.999)
_HEADER = 352  # bytes, with the four that say whether there are extensions
_AGAIN = "copy or export it again"


class NiftiReader(Reader):
    """Reads one 3-D volume; frames become axial slices, rows and columns as in a DICOM CT (LPS)."""

    name = "nifti"
    title = "NIfTI"
    wanted = "a NIfTI volume"
    magic = (  # of NIfTI-1 and NIfTI-2, each as one file and as the header of a pair
        Magic(b"n+1\x00", "nifti", 344),
        Magic(b"ni1\x00", "nifti", 344),
        Magic(b"n+2\x00", "nifti", 4),
        Magic(b"ni2\x00", "nifti", 4),
    )
    patterns = ("*.nii", "*.nii.gz")
    in_folders = "alone"  # beside other volumes, it is as a rule a mask of one of them
    names_modality = False

    def format_of(self, head: bytes, path: Path) -> str | None:
        """``nifti``, also inside gzip."""
        if head.startswith(GZIP):
            try:
                head = zlib.decompressobj(wbits=31).decompress(head, _HEADER)
            except zlib.error:
                return None
        return super().format_of(head, path)

    def read(self, path: Path) -> Scan:
        """The scan: float32 [frames, rows, cols, 1], scl_slope and scl_inter applied, frames from inferior up.

        A NIfTI does not say what its values are: unit ``HU`` is assumed, with a note, where the values look like
        it, else ``US``.

        Raises:
            InputError: unreadable, truncated, colour, complex, or more than one volume.
        """
        stored, image, raw, mended = load(path)
        mended += transform_notes(raw, image.header)
        axial = to_axial(stored, image.affine, str(path))
        pixels, valid, notes = _pixels(axial.values, image, str(path))
        geometry, more = geometry_of(image.header, axial.affine, len(pixels))
        unsized = without_size(raw, stored.shape)
        if unsized is not None:
            reasons = {**geometry.reasons, **dict.fromkeys(UNSIZED, unsized)}
            geometry = Geometry(reasons=reasons)
            more = [*more, f"{unsized}; nothing is measured in mm"]
        geometry = replace(geometry, stored=stored_grid(raw, image.header, stored.shape, axial.turned))
        unit, valid, note = _unit(pixels, valid)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return Scan(
            pixels=pixels,
            geometry=geometry,
            source=Source(
                path=str(path),
                format="nifti",
                sha256=digest,
                files=(path.name,),
                details={"stored_as": str(stored.dtype), "axes_in_file": axial.axes},
            ),
            unit=unit,
            bits=8 * stored.dtype.itemsize,
            valid=valid,
            trail=(Step("read", {"reader": "nifti", "axes_in_file": axial.axes}),),
            notes=(*mended, *notes, *more, note),
        )


def _pixels(axial: Array, image: Any, where: str) -> tuple[Float32s, Bools | None, list[str]]:  # noqa: ANN401
    """The scaled volume, filled frame by frame into one array."""
    try:
        pixels: Float32s = np.empty((*axial.shape, 1), np.float32)
    except MemoryError as error:
        raise InputError(f"{where} needs {4 * axial.size / 2**30:.0f} GiB of memory", "a smaller volume") from error
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    with np.errstate(over="ignore", invalid="ignore"):
        for index, frame in enumerate(axial):
            rescale(frame, slope, inter, pixels[index, :, :, 0])
    finite = np.isfinite(pixels[..., 0])
    if finite.all():
        return pixels, None, []
    if axial.dtype.kind != "f" or (np.isfinite(axial) & ~finite).any():
        raise InputError(f"{where}: scl_slope {slope:g} and scl_inter {inter:g} give values that are no finite number",
                         "a slope that fits the values", _AGAIN)  # fmt: skip
    if not finite.any():
        raise InputError(f"{where}: no voxel is a finite number", "an image", _AGAIN)
    pixels[~finite] = 0
    return pixels, finite, ["voxels that are no finite number were set to 0 and masked as padding"]


def _unit(pixels: Float32s, valid: Bools | None) -> tuple[str, Bools | None, str]:
    """``HU`` where the values look like it, with the corners masked; else ``US``."""
    # A few voxels of metal, or of a scanner's mark, say nothing of the scale of the rest.
    low, high = np.quantile(pixels[:: max(1, len(pixels) // 32)], _QUANTILES)
    if not (low <= _LEAST and high <= _MOST):
        return "US", valid, "a NIfTI file does not say the unit of its values; --unit HU says that they are HU"
    note = "a NIfTI file does not say the unit of its values; they look like HU, which was assumed"
    corners = np.stack([corner_padding(frame[..., 0]) for frame in pixels])
    if corners.any():
        valid = ~corners if valid is None else valid & ~corners
    return "HU", valid, note

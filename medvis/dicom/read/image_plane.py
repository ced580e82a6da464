"""Where each frame lies: spacing, position and orientation, from whichever module of the file holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Float64s
from medvis.dicom.read.nuclear import first_place, is_reconstructed, positions_of
from medvis.dicom.read.pixel_size import Spacing, pixel_size
from medvis.dicom.read.values import FrameGroups, numbers, value

_UNIT_TOLERANCE = 1e-2
_OFFSET_TOLERANCE = 1e-2  # mm
_CROOKED = "Image Orientation (Patient) of the file is not two unit vectors at a right angle"


@dataclass(frozen=True)
class ImagePlane:
    """One frame in the patient: `position` float64 [3] and `orientation` float64 [6] in LPS, or None.

    `why_not` is the reason where the file has values that give neither.
    """

    spacing: Spacing
    position: Float64s | None
    orientation: Float64s | None
    why_not: str | None = None


def image_planes_of(ds: Dataset, frames: int) -> list[ImagePlane]:
    """One place a frame: from the functional groups of an enhanced object, else the spacing and orientation of all.

    Image Position (Patient) of the file itself is that of its single frame; of several frames it tells none.
    """
    groups = FrameGroups(ds)
    place = (first_place(ds) if is_reconstructed(ds) else None) or ds
    common = _image_plane(ds, ds, place, place)
    offsets = numbers(ds, "GridFrameOffsetVector", frames)
    if offsets is not None and common.position is not None and common.orientation is not None:
        return _dose_planes(common, common.position, common.orientation, offsets)
    if place is not ds and common.position is not None and common.orientation is not None:
        slices = positions_of(ds, frames, common.position, common.orientation)
        if slices is not None:
            return [replace(common, position=position) for position in slices]
    if frames > 1:
        common = replace(common, position=None)
    planes = []
    for frame in range(frames):
        measures = groups.get(frame, "PixelMeasuresSequence")
        position = groups.get(frame, "PlanePositionSequence")
        orientation = groups.get(frame, "PlaneOrientationSequence")
        if measures is None and position is None and orientation is None:
            planes.append(common)
        else:
            planes.append(_image_plane(ds, measures or ds, position or ds, orientation or ds))
    return planes


def _dose_planes(
    first: ImagePlane, position: Float64s, orientation: Float64s, offsets: Sequence[float]
) -> list[ImagePlane]:
    """The planes of a dose grid (PS3.3 C.8.8.3.2): offsets from the first one along the normal, whose first is 0; or z
    of each in the patient, whose first is that of Image Position (Patient).
    """
    normal = np.cross(orientation[:3], orientation[3:])
    steps = np.array(offsets, np.float64)
    if steps[0] != 0:
        if abs(steps[0] - position[2]) > _OFFSET_TOLERANCE or abs(normal[2]) < 1 - _UNIT_TOLERANCE:
            return [replace(first, position=None)] * len(offsets)  # neither: where the planes are is not known
        steps, normal = steps - steps[0], np.array([0.0, 0.0, 1.0])
    return [replace(first, position=position + step * normal) for step in steps]


def _image_plane(ds: Dataset, measures: Dataset, position: Dataset, orientation: Dataset) -> ImagePlane:
    where = numbers(position, "ImagePositionPatient", 3)
    cosines = numbers(orientation, "ImageOrientationPatient", 6)
    axes = None if cosines is None else _orthonormal(cosines)
    return ImagePlane(
        pixel_size(ds, measures),
        None if where is None else np.array(where, np.float64),
        axes,
        _CROOKED if axes is None and value(orientation, "ImageOrientationPatient") is not None else None,
    )


def _orthonormal(cosines: Sequence[float]) -> Float64s | None:
    """Direction cosines, if they are two unit vectors at a right angle (PS3.3 C.7.6.2.1.1)."""
    values = np.array(cosines, np.float64)
    row, col = values[:3], values[3:]
    error = max(abs(float(np.linalg.norm(row)) - 1), abs(float(np.linalg.norm(col)) - 1), abs(float(row @ col)))
    return values if error <= _UNIT_TOLERANCE else None

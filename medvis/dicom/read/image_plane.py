"""Where each frame lies: spacing, position and orientation, from whichever module of the file holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Float64s
from medvis.dicom.read.values import FrameGroups, items, number, numbers, whole

_CENTIMETRE = 3  # Physical Units X/Y Direction, PS3.3 C.8.5.5.1.3
_UNIT_TOLERANCE = 1e-2
_OFFSET_TOLERANCE = 1e-2  # mm


@dataclass(frozen=True)
class Spacing:
    """Distance between rows and between columns in mm, or None and why; and a note where it needs one."""

    mm: tuple[float, float] | None
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class ImagePlane:
    """One frame in the patient: `position` float64 [3] and `orientation` float64 [6] in LPS, or None."""

    spacing: Spacing
    position: Float64s | None
    orientation: Float64s | None


def image_planes_of(ds: Dataset, frames: int) -> list[ImagePlane]:
    """One place a frame: from the functional groups of an enhanced object, else the spacing and orientation of all.

    Image Position (Patient) of the file itself is that of its single frame; of several frames it tells none.
    """
    groups = FrameGroups(ds)
    common = _image_plane(ds, ds, ds, ds)
    offsets = numbers(ds, "GridFrameOffsetVector", frames)
    if offsets is not None and common.position is not None and common.orientation is not None:
        return _dose_planes(common, common.position, common.orientation, offsets)
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
    return ImagePlane(
        _spacing(ds, measures),
        None if where is None else np.array(where, np.float64),
        None if cosines is None else _orthonormal(cosines),
    )


def _orthonormal(cosines: Sequence[float]) -> Float64s | None:
    """Direction cosines, if they are two unit vectors at a right angle (PS3.3 C.7.6.2.1.1)."""
    values = np.array(cosines, np.float64)
    row, col = values[:3], values[3:]
    error = max(abs(float(np.linalg.norm(row)) - 1), abs(float(np.linalg.norm(col)) - 1), abs(float(row @ col)))
    return values if error <= _UNIT_TOLERANCE else None


def _spacing(ds: Dataset, measures: Dataset) -> Spacing:
    """Pixel Spacing (PS3.3 10.7.1.3), else what the modality offers instead, else why there is none."""
    spacing = _pair(measures, "PixelSpacing")
    if spacing is not None:
        return Spacing(spacing)
    if "PixelSpacing" in measures:
        return Spacing(None, "Pixel Spacing in the file is not two numbers above 0")
    spacing = _pair(ds, "ImagerPixelSpacing")
    if spacing is not None:
        return Spacing(spacing, note=_at_detector(ds))
    spacing = _pair(ds, "NominalScannedPixelSpacing")
    if spacing is not None:
        return Spacing(spacing, note="spacing is that of the digitised film, not corrected for magnification")
    return _from_regions(ds)


def _at_detector(ds: Dataset) -> str:
    factor = number(ds, "EstimatedRadiographicMagnificationFactor")
    known = f" (estimated factor {factor:g})" if factor and factor > 0 else ""
    return f"spacing is at the detector (Imager Pixel Spacing), not corrected for magnification{known}"


def _from_regions(ds: Dataset) -> Spacing:
    """Ultrasound keeps its scale in a calibrated region (PS3.3 C.8.5.5); one 2-D region in cm gives a spacing."""
    regions = items(ds, "SequenceOfUltrasoundRegions")
    if not regions:
        return Spacing(None, "the file gives no pixel spacing")
    region = regions[0]
    units = (whole(region, "PhysicalUnitsXDirection"), whole(region, "PhysicalUnitsYDirection"))
    deltas = (number(region, "PhysicalDeltaY"), number(region, "PhysicalDeltaX"))
    if len(regions) > 1 or units != (_CENTIMETRE, _CENTIMETRE) or None in deltas or 0 in deltas:
        return Spacing(None, "the ultrasound regions do not give one spacing for the image")
    row, col = (10 * abs(delta) for delta in deltas if delta is not None)
    return Spacing((row, col), note="spacing is that of the ultrasound region and holds only inside it")


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    pair = numbers(ds, keyword, 2)
    return (pair[0], pair[1]) if pair is not None and min(pair) > 0 else None

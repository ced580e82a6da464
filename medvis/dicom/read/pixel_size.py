"""The distance between pixels, from whichever attribute of the file holds it, and what it is the distance of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medvis.dicom.read.values import items, number, numbers, text, whole

_CENTIMETRE = 3  # Physical Units X/Y Direction, PS3.3 C.8.5.5.1.3
_PLANAR = 1  # Region Spatial Format: 2D, PS3.3 C.8.5.5.1.1
_SAME = 1e-2  # of two sizes that mean the same, relative
_CALIBRATED = ("FIDUCIAL", "GEOMETRY")  # Pixel Spacing Calibration Type, PS3.3 10.7.1


@dataclass(frozen=True)
class Spacing:
    """Distance between rows and between columns in mm, or None and why; and a note where it needs one."""

    mm: tuple[float, float] | None
    reason: str | None = None
    note: str | None = None


def pixel_size(ds: Dataset, measures: Dataset) -> Spacing:
    """Pixel Spacing (PS3.3 10.7.1.3), else what the modality offers instead, else why there is none.

    Args:
        ds: the file's data set.
        measures: the one that holds Pixel Spacing: the same, or the pixel measures of a frame.
    """
    spacing = _pair(measures, "PixelSpacing")
    if spacing is not None:
        return _checked(ds, spacing)
    if "PixelSpacing" in measures:
        return Spacing(None, "Pixel Spacing in the file is not two numbers above 0")
    spacing = _pair(ds, "ImagerPixelSpacing")
    if spacing is not None:
        return Spacing(spacing, note=_at_detector(ds, "Imager Pixel Spacing"))
    spacing = _pair(ds, "NominalScannedPixelSpacing")
    if spacing is not None:
        return Spacing(spacing, note="spacing is that of the digitised film, not corrected for magnification")
    return _from_regions(ds)


def _checked(ds: Dataset, spacing: tuple[float, float]) -> Spacing:
    """Pixel Spacing against what else the file says of the size of pixels."""
    imager = _pair(ds, "ImagerPixelSpacing")
    if imager is not None and np.allclose(spacing, imager, rtol=1e-4):
        # PS3.3 10.7.1.2: a value that equals the one at the detector has not been corrected, unless a type says so.
        if text(ds, "PixelSpacingCalibrationType") in _CALIBRATED:
            return Spacing(spacing)
        return Spacing(spacing, note=_at_detector(ds, "Pixel Spacing equals Imager Pixel Spacing"))
    regions = [scale for region in items(ds, "SequenceOfUltrasoundRegions") if (scale := _scale(region)) is not None]
    if all(np.allclose(spacing, region, rtol=_SAME) for region in regions):
        return Spacing(spacing)
    told = f"{spacing[0]:g} and {spacing[1]:g} mm"
    return Spacing(None, f"Pixel Spacing ({told}) contradicts the scale of the ultrasound regions")


def _at_detector(ds: Dataset, source: str) -> str:
    factor = number(ds, "EstimatedRadiographicMagnificationFactor")
    known = f" (estimated factor {factor:g})" if factor and factor > 0 else ""
    return f"spacing is at the detector ({source}), not corrected for magnification{known}"


def _from_regions(ds: Dataset) -> Spacing:
    """Ultrasound keeps its scale in a calibrated region (PS3.3 C.8.5.5); one 2-D region in cm gives a spacing."""
    regions = items(ds, "SequenceOfUltrasoundRegions")
    if not regions:
        return Spacing(None, "the file gives no pixel spacing")
    scale = _scale(regions[0])
    if len(regions) > 1 or scale is None:
        return Spacing(None, "the ultrasound regions do not give one spacing for the image")
    return Spacing(scale, note="spacing is that of the ultrasound region and holds only inside it")


def _scale(region: Dataset) -> tuple[float, float] | None:
    """Between rows and between columns in mm, of a region that shows space in both directions."""
    units = (whole(region, "PhysicalUnitsXDirection"), whole(region, "PhysicalUnitsYDirection"))
    row, col = number(region, "PhysicalDeltaY"), number(region, "PhysicalDeltaX")
    if units != (_CENTIMETRE, _CENTIMETRE) or not row or not col:
        return None
    if whole(region, "RegionSpatialFormat") not in (None, _PLANAR):
        return None
    return 10 * abs(row), 10 * abs(col)


def _pair(ds: Dataset, keyword: str) -> tuple[float, float] | None:
    pair = numbers(ds, keyword, 2)
    return (pair[0], pair[1]) if pair is not None and min(pair) > 0 else None

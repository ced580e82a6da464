"""What surrounds a component of a chest CT: a nodule lies in lung, a bulge of the mediastinum only borders on it."""

from __future__ import annotations

from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Bools

AERATED_HU = -700.0  # parenchyma with its small vessels is below this; ground glass, walls and partial volume are not
RIM_MM = (1.0, 4.0)  # beyond the blur of the component's own edge, within what still is its neighbourhood


def aerated_rim(hu: NDArray[np.floating], inside: Bools, spacing: tuple[float, float]) -> float | None:
    """Fraction of a component's rim that is aerated lung: 1 in the midst of lung, about ½ on a wall, 0 within tissue.

    The rim are the pixels whose centres are between 1 and 4 mm from the nearest one of the component, as far as they
    are on the picture.

    Args:
        hu: [rows, cols], Hounsfield units.
        inside: bool [rows, cols], the component.
        spacing: (row, column) in mm. Discs are round in pixels.

    Returns:
        0…1; None if no pixel of the rim is on the picture, or the component is empty.

    Raises:
        ValueError: the two are not of one shape.
    """
    if hu.shape != inside.shape or hu.ndim != 2:
        raise ValueError(f"a component {list(inside.shape)} on pixels {list(hu.shape)}; wanted: [rows, cols] for both")
    if not inside.any():
        return None
    step = sqrt(spacing[0] * spacing[1])
    window = _around(inside, int(RIM_MM[1] / step) + 1)
    far = cv2.distanceTransform(np.asarray(~inside[window]).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) * step
    rim = (far > RIM_MM[0]) & (far <= RIM_MM[1])
    return float((hu[window][rim] < AERATED_HU).mean()) if rim.any() else None


def _around(inside: Bools, margin: int) -> tuple[slice, slice]:
    """The box of a component and `margin` pixels on each side of it, within the picture."""
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    first, left = max(int(rows[0]) - margin, 0), max(int(cols[0]) - margin, 0)
    return slice(first, int(rows[-1]) + margin + 1), slice(left, int(cols[-1]) + margin + 1)

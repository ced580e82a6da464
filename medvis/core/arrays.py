"""Types of arrays, named by their elements. The shape of each array stands in the docstring of whoever takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
"""Pixels, logits, probabilities."""

Float64s = NDArray[np.float64]
"""Coordinates in the patient, statistics."""

Bools = NDArray[np.bool_]
"""Binary masks."""

Labels = NDArray[np.int32]
"""Label maps: 0, or the number of the component or finding that a pixel belongs to."""

Uint8s = NDArray[np.uint8]
"""Grey values and colours of pictures; 0 and 1 for cv2's binary masks."""

Indices = NDArray[np.intp]
"""Indices into other arrays."""

Array = NDArray[Any]
"""An array of any elements."""

"""The one float32 volume that frames are read into, with its padding."""

from __future__ import annotations

import numpy as np

from medvis.core.arrays import Array, Bools, Float32s
from medvis.dicom.read.modality import Transform
from medvis.dicom.read.padding import Padding
from medvis.errors import InputError
from medvis.ops.padding import BELOW_AIR, corner_padding

_EXACT = 1 << 24


class FrameBuffer:
    """float32 [frames, rows, cols, channels], and a bool mask that is made only when a frame has padding."""

    def __init__(self, shape: tuple[int, int, int, int], where: str) -> None:
        try:
            self.pixels: Float32s = np.empty(shape, np.float32)
        except (MemoryError, ValueError) as error:
            size = 4 * float(np.prod(np.array(shape, np.float64))) / 2**30
            raise InputError(f"{where} needs {size:.0f} GiB of memory", "a smaller series") from error
        self._where = where
        self.valid: Bools | None = None
        self.notes: set[str] = set()

    def put(self, frame: int, stored: Array, transform: Transform, padding: Padding | None) -> None:
        """Fills frame `frame` with `stored` ([rows, cols] or [rows, cols, 3]) in modality units.

        Raises:
            InputError: the transform makes infinite values of finite ones.
        """
        out = self.pixels[frame] if stored.ndim == 3 else self.pixels[frame, :, :, 0]
        if stored.dtype.kind == "f":
            self._put_floats(frame, stored, transform, out)
        else:
            self._apply(transform, stored, out)
            if stored.dtype.itemsize > 3 and int(np.abs(stored, dtype=np.float64).max()) > _EXACT:
                self.notes.add("values above 2^24 are rounded to 24 bits")
        if padding is not None:
            self._mask(frame, padding.mask(stored))

    def put_corners(self, frame: int) -> None:
        """Masks CT padding that no tag declares; only for frames in HU."""
        plane = self.pixels[frame, :, :, 0]
        if plane.min() >= BELOW_AIR:
            return
        corners = corner_padding(plane)
        if self.valid is None or np.any(self.valid[frame] & corners):
            self._mask(frame, corners)
            if corners.any():
                self.notes.add(f"pixels below {BELOW_AIR:g} HU at the edge were masked as padding")
        inside = plane < BELOW_AIR if self.valid is None else (plane < BELOW_AIR) & self.valid[frame]
        if inside.any():
            self.notes.add(f"some pixels inside the image are below {BELOW_AIR:g} HU, which no tissue is")

    def _put_floats(self, frame: int, stored: Array, transform: Transform, out: Float32s) -> None:
        self._apply(transform, stored, out)
        finite = np.isfinite(out)
        if not finite.all():
            out[~finite] = 0
            self._mask(frame, ~finite)
            self.notes.add("pixels that are no finite number were set to 0 and masked as padding")

    def _apply(self, transform: Transform, stored: Array, out: Float32s) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            transform.apply(stored, out)
            broken = ~np.isfinite(out)
            if broken.any() and np.isfinite(stored[broken].astype(np.float32)).any():
                raise InputError(
                    f"{self._where}: {transform.facts} makes values that are no finite numbers",
                    "a Rescale Slope and Intercept that 32-bit numbers bear",
                    "export it again",
                )

    def _mask(self, frame: int, padded: Bools) -> None:
        if not padded.any():
            return
        if self.valid is None:
            self.valid = np.ones(self.pixels.shape[:3], np.bool_)
        self.valid[frame] &= ~padded

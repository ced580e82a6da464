"""Pictures of any size from a data set, and the square view that a `whole` task's network sees of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from medvis.core.arrays import Bools, Float32s, Uint8s
from medvis.errors import InputError
from medvis.learn.data.index import Row, read_indices
from medvis.ops.fit import fit, shape_in_square


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory, each of its own size.

    Attributes:
        rows: of the index.
        images: uint8 [h, w, channels] each; colour as RGB.
        masks: bool [h, w] each, True on the target; None where the row names no mask.
    """

    rows: list[Row]
    images: list[Uint8s]
    masks: list[Bools | None]

    def __len__(self) -> int:
        return len(self.rows)


def load_pictures(rows: list[Row], channels: int) -> Pictures:
    """Reads all pictures and masks; a mask pixel above 0 is target.

    Args:
        rows: of index.csv.
        channels: 1 (grey) or 3 (RGB), whatever the files hold.

    Raises:
        InputError: a file is no picture, or a mask is not of its picture's size.
    """
    images = [read_picture(row.image, channels) for row in rows]
    masks = [None if row.mask is None else read_indices(row.mask) > 0 for row in rows]
    for row, image, mask in zip(rows, images, masks, strict=True):
        if mask is not None and mask.shape != image.shape[:2]:
            size = " × ".join(str(side) for side in mask.shape)
            raise InputError(f"{row.mask} is {size} px", f"{image.shape[0]} × {image.shape[1]} px as {row.image.name}")
    return Pictures(rows, images, masks)


def read_picture(path: Path, channels: int) -> Uint8s:
    """uint8 [h, w, channels], EXIF orientation applied. Raises InputError if the file is no picture."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} is not a readable picture")
    return np.asarray(image[..., None] if channels == 1 else np.ascontiguousarray(image[..., ::-1]), np.uint8)


def fitted(image: Uint8s, side: int) -> Float32s:
    """The view that inference makes of a whole picture: its longest side scaled to `side`, mirrored to a square.

    Args:
        image: uint8 [h, w, channels].
        side: in px.

    Returns:
        float32 [channels, side, side] in 0…1.
    """
    planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)
    return fit(planes, side)


def fitted_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """(rows, cols) of a picture of `shape` within its fitted view; beyond them, it is mirrored."""
    return shape_in_square((shape[0], shape[1]), side)

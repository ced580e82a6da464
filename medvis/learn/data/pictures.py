"""Pictures of any size from a data set, as the model sees them, and their masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvis.core.arrays import Bools, Float32s
from medvis.errors import InputError
from medvis.learn.data.index import Row
from medvis.learn.data.masks import read_mask
from medvis.learn.data.views import ViewReader
from medvis.ops.fit import fit


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory, each of its own size.

    Attributes:
        rows: of the index.
        views: float32 [rows, cols, channels] in 0…1 each, what the model sees of them.
        masks: bool [rows, cols] each, True on the target; None where the row names no mask.
    """

    rows: list[Row]
    views: list[Float32s]
    masks: list[Bools | None]

    def __len__(self) -> int:
        return len(self.rows)


def load_pictures(rows: list[Row], reader: ViewReader, channels: int, readers: int = 1) -> Pictures:
    """Reads all pictures and masks.

    Args:
        rows: of a data set.
        reader: shows the pictures as inference does.
        channels: that the network takes.
        readers: from how many readers on a mask's pixel is target; see `read_mask`.

    Raises:
        InputError: a file is no picture for the task, or a mask is not of its picture's size.
    """
    views = [reader.picture(row.image) for row in rows]
    masks = [_mask(row, view, readers) for row, view in zip(rows, views, strict=True)]
    for row, view, mask in zip(rows, views, masks, strict=True):
        if view.shape[2] != channels:
            wanted = f"{channels}, as train.channels says; stages.window.grey: true turns colours to grey"
            raise InputError(f"{row.image} has {view.shape[2]} channel(s) in the model's view", wanted)
        if mask is not None and mask.shape != view.shape[:2]:
            size = " × ".join(str(side) for side in mask.shape)
            raise InputError(f"{row.mask} is {size} px", f"{view.shape[0]} × {view.shape[1]} px as {row.image.name}")
    return Pictures(rows, views, masks)


def _mask(row: Row, view: Float32s, readers: int) -> Bools | None:
    if row.outline is not None:
        return row.outline((view.shape[0], view.shape[1]))
    return None if row.mask is None else read_mask(row.mask, readers).target


def fitted(view: Float32s, side: int) -> Float32s:
    """The square that inference shows of a whole picture: its longer side scaled to `side`, mirrored to a square.

    Args:
        view: float32 [rows, cols, channels].
        side: in px.

    Returns:
        float32 [channels, side, side].
    """
    return fit(np.ascontiguousarray(view.transpose(2, 0, 1)), side)

"""Grey pictures of chest CT in Hounsfield units, in memory: crops around lesions, whole slices, frames of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools, Float32s, Indices, Uint8s
from medvis.errors import InputError
from medvis.learn.data.index import Row, read_indices
from medvis.learn.data.views import ViewReader, read_hounsfield
from medvis.ops.chest.lungs import lung_field
from medvis.pipeline import load
from medvis.settings import NOTHING_SAID, PictureFacts


@dataclass(frozen=True)
class CtPictures:
    """Pictures of one size.

    Attributes:
        rows: of the index, one a picture.
        values: float32 [n, rows, cols]: HU; or, after `shown`, what the model sees of them in 0…1.
        mask: uint8 [n, rows, cols], 1 inside the target.
        region: bool [n, rows, cols], where crops may be taken; None: wherever it is not black.
    """

    rows: list[Row]
    values: Float32s
    mask: Uint8s
    region: Bools | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of each picture."""
        return int(self.values.shape[1]), int(self.values.shape[2])

    def off_centre(self, side: int, seed: int) -> Indices:
        """One random sub-crop a picture, [n, 3] (row, col, side); the same for the same seed and rows.

        Raises:
            InputError: the pictures are smaller than that.
        """
        if min(self.shape) < side:
            raise InputError(f"pictures of {self.shape[0]}×{self.shape[1]} px", f"at least {side}×{side}")
        corners = np.random.default_rng(seed).integers(0, self.shape[0] - side + 1, (len(self), 2))
        return np.hstack([corners, np.full((len(self), 1), side)])

    def cut(self, index: int, window: Indices | None) -> tuple[Float32s, Bools]:
        """(values, target) of one picture, or of its sub-crop (row, col, side)."""
        values, mask = self.values[index], self.mask[index] > 0
        if window is None:
            return values, mask
        row, col, side = (int(value) for value in window)
        return values[row : row + side, col : col + side], mask[row : row + side, col : col + side]

    def shown(self, reader: ViewReader) -> CtPictures:
        """What the model sees of the pictures, by the functions that show it at inference. Raises InputError."""
        views = np.stack([reader.ct(hu, str(row.image)) for row, hu in zip(self.rows, self.values, strict=True)])
        return CtPictures(self.rows, views, self.mask, self.region)


def load_ct_pictures(rows: list[Row], readers: int = 2, facts: PictureFacts = NOTHING_SAID) -> CtPictures:
    """Reads all pictures and masks; a mask pixel counts where at least `readers` of the readers marked it.

    Args:
        rows: of index.csv.
        readers: see above.
        facts: what the task says of pictures.

    Raises:
        InputError: a file is unreadable, or not of the size of the first picture.
    """
    pictures = [read_hounsfield(row.image, facts) for row in rows]
    masks = [_consensus(row, pictures[0].shape, readers) for row in rows]
    for row, picture, marked in zip(rows, pictures, masks, strict=True):
        if not picture.shape == marked.shape == pictures[0].shape:
            size = f"{picture.shape[0]}×{picture.shape[1]} px, its mask {marked.shape[0]}×{marked.shape[1]}"
            wanted = f"{pictures[0].shape[0]}×{pictures[0].shape[1]} as the first of them"
            raise InputError(f"{row.image} is {size}", wanted)
    return CtPictures(rows, np.stack(pictures), np.stack(masks))


def load_volume(folder: Path) -> CtPictures:
    """The frames of a chest CT with one marked lesion: image.nii.gz in HU, label.nii.gz; crops come from the lungs."""
    image, label = load(folder / "image.nii.gz"), load(folder / "label.nii.gz")
    hu = np.asarray(image.pixels[..., 0], np.float32)
    rows = [Row(f"{folder.name}-{index}", "train", folder.name, "", folder, None, {}) for index in range(len(hu))]
    mask = (np.asarray(label.pixels[..., 0]) > 0).astype(np.uint8)
    return CtPictures(rows, hu, mask, lung_field(hu, None, image.geometry.spacing).mask)


def joined(parts: list[CtPictures]) -> CtPictures:
    """Several sets of pictures of one size as one, without the pictures that have no region to take a crop from."""
    region = np.concatenate([_not_black(part) if part.region is None else part.region for part in parts])
    keep = np.flatnonzero(region.any((1, 2)))
    rows = [row for part in parts for row in part.rows]
    return CtPictures(
        [rows[index] for index in keep],
        np.concatenate([part.values for part in parts])[keep],
        np.concatenate([part.mask for part in parts])[keep],
        region[keep],
    )


def _not_black(pictures: CtPictures) -> Bools:
    return np.asarray(pictures.values > pictures.values.min((1, 2), keepdims=True))


def _consensus(row: Row, shape: tuple[int, ...], readers: int) -> Uint8s:
    if row.mask is None:
        return np.zeros(shape, np.uint8)
    return (read_indices(row.mask) >= readers).astype(np.uint8)

"""Grey pictures of chest CT in Hounsfield units, in memory: crops around lesions, whole slices, frames of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medvis.core.arrays import Bools, Float32s, Indices, Uint8s
from medvis.core.geometry import Geometry
from medvis.core.scan import Scan
from medvis.errors import InputError
from medvis.learn.data.index import Row
from medvis.learn.data.masks import Mask, MaskFile, read_mask, require_readers
from medvis.learn.data.neighbours import read_triple
from medvis.learn.data.scans import MASKS, LabelledScan
from medvis.learn.data.views import ViewReader, read_hounsfield
from medvis.ops.chest.lungs import lung_field
from medvis.pipeline import load
from medvis.preprocess.depth import Neighbours
from medvis.settings import NOTHING_SAID, PictureFacts
from medvis.stages.slice_geometry import slice_geometry_of


@dataclass(frozen=True)
class CtPictures:
    """Pictures of one size.

    Attributes:
        rows: of the index, one a picture.
        values: float32 [n, rows, cols]: HU; or, after `shown`, what the model sees of them in 0…1. For a model that
            sees in depth [n, rows, cols, 3]: below, at and above the slice that the mask belongs to.
        mask: uint8 [n, rows, cols], 1 inside the target.
        region: bool [n, rows, cols], where crops may be taken; None: wherever it is not black.
        beside: bool [n, 2], whether the slices below and above are there; None: for none of them.
        geometry: of the scan whose frames they are; None: they are single slices.
    """

    rows: list[Row]
    values: Float32s
    mask: Uint8s
    region: Bools | None = None
    beside: Bools | None = None
    geometry: Geometry | None = None

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
        """What the model sees of the pictures, by the functions that show it at inference; in depth if it does so.

        Raises:
            InputError: a picture is too small or has no contrast.
        """
        views = np.empty(self.values.shape, np.float32)
        for view, row, hu in zip(views, self.rows, self.values, strict=True):
            view[...] = reader.ct(hu, str(row.image))
        if reader.depth_mm is not None and views.ndim == 3:
            slices = None if self.geometry is None else slice_geometry_of(self.geometry, len(self))
            neighbours = Neighbours.of(None if slices is None else slices.heights, len(self), reader.depth_mm)
            planes = (neighbours.planes(views, frame) for frame in range(len(self)))
            views = np.stack([plane.transpose(1, 2, 0) for plane in planes])
        return CtPictures(self.rows, views, self.mask, self.region, self.beside)


def load_ct_pictures(
    rows: list[Row], readers: int = 2, facts: PictureFacts = NOTHING_SAID, distance: float | None = None
) -> CtPictures:
    """Reads all pictures and masks; a mask pixel counts where at least `readers` of the readers marked it.

    Args:
        rows: of index.csv.
        readers: see above.
        facts: what the task says of pictures.
        distance: in mm, of the slices below and above that are read as well; None: the pictures alone.

    Raises:
        InputError: a file is unreadable, or not of the size of the first picture.
    """
    beside = None
    if distance is None:
        pictures = [read_hounsfield(row.image, facts) for row in rows]
    else:
        triples = [read_triple(row, distance, facts) for row in rows]
        pictures, beside = [triple.values for triple in triples], np.stack([triple.known for triple in triples])
    named = [None if row.mask is None else read_mask(row.mask, readers) for row in rows]
    require_readers((mask for mask in named if mask is not None), readers, str(rows[0].image.parent.parent))
    masks = [_consensus(mask, pictures[0].shape[:2]) for mask in named]
    for row, picture, marked in zip(rows, pictures, masks, strict=True):
        if not picture.shape[:2] == marked.shape == pictures[0].shape[:2]:
            size = f"{picture.shape[0]}×{picture.shape[1]} px, its mask {marked.shape[0]}×{marked.shape[1]}"
            wanted = f"{pictures[0].shape[0]}×{pictures[0].shape[1]} as the first of them"
            raise InputError(f"{row.image} is {size}", wanted)
    return CtPictures(rows, np.stack(pictures), np.stack(masks), beside=beside)


def load_volume(folder: Path) -> CtPictures:
    """The frames of a chest CT with one marked lesion: image.nii.gz in HU, label.nii.gz; crops come from the lungs."""
    image, label = load(folder / "image.nii.gz"), load(folder / "label.nii.gz")
    mask = (np.asarray(label.pixels[..., 0]) > 0).astype(np.uint8)
    return _frames(folder, folder.name, image, mask)


def load_labelled_scan(scan: LabelledScan) -> CtPictures:
    """The frames of a scan with what its readers marked; crops come from the lungs. Raises InputError."""
    image = load(scan.folder)
    masks = np.zeros(image.pixels.shape[:3], np.uint8)
    for mask, file in zip(masks, image.source.files, strict=True):
        path = scan.folder / MASKS / f"{Path(file).stem}.png"
        if path.is_file():
            mask[...] = MaskFile(path, scan.least or 1)(mask.shape)
    return _frames(scan.folder, scan.group, image, masks)


def _frames(folder: Path, group: str, image: Scan, masks: Uint8s) -> CtPictures:
    hu = np.asarray(image.pixels[..., 0], np.float32)
    rows = [Row(f"{folder.name}-{index}", "train", group, "", folder, None, {}) for index in range(len(hu))]
    region = np.asarray(lung_field(hu, image.valid, image.geometry.spacing).mask)
    return CtPictures(rows, hu, masks, region, geometry=image.geometry)


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
    values = pictures.values if pictures.values.ndim == 3 else pictures.values[..., 1]
    return np.asarray(values > values.min((1, 2), keepdims=True))


def _consensus(mask: Mask | None, shape: tuple[int, ...]) -> Uint8s:
    return np.zeros(shape, np.uint8) if mask is None else mask.target.astype(np.uint8)

"""Slices that a scanner has put side by side into one image, and pictures that were cut into tiles, a frame each."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medvis.dicom.read.values import texts, whole

_UNITED_IMAGING, _GRID = "Image Private Header", 0x50  # (0065,xx50), Number of Images in Grid


def mosaic_of(ds: Dataset) -> str | None:
    """What kind of mosaic of slices a single-frame image is, or None; its header describes none of the slices.

    Siemens writes MOSAIC in Image Type, also where an enhanced file holds the slices as frames, which is none. The
    position, the spacing between slices and the number of tiles stand in private elements only.
    """
    if (whole(ds, "NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in ds:
        return None
    if "MOSAIC" in (kind.upper() for kind in texts(ds, "ImageType")):
        return "a mosaic (Image Type)"
    try:
        tiles = float(ds.private_block(0x0065, _UNITED_IMAGING)[_GRID].value)
    except (KeyError, TypeError, ValueError):
        return None
    return "a grid of images (United Imaging)" if tiles > 1 else None


def tiles_of(ds: Dataset) -> str | None:
    """A note on frames that are tiles of one picture, as of a whole slide (PS3.3 C.7.6.17.3); None for any other."""
    rows, cols = whole(ds, "TotalPixelMatrixRows"), whole(ds, "TotalPixelMatrixColumns")
    own = whole(ds, "Rows"), whole(ds, "Columns")
    if rows is None or cols is None or own == (rows, cols):
        return None
    return f"each frame is a tile of one picture of {rows} x {cols} pixels; they were not put together"

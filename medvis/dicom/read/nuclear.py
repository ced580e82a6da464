"""Slices of a nuclear medicine image: one file, a place for its first frame only, and vectors that say what varies."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medvis.core.arrays import Float64s
from medvis.dicom.read.values import first_item, number, numbers, text, texts

# PS3.3 C.8.4.9.1.1.3, Value 3 of Image Type: frames that are views over time or round the patient, no slices.
_NO_SLICES = ("STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "TOMO", "GATED TOMO")


def is_reconstructed(ds: Dataset) -> bool:
    """Whether the frames are slices, by Image Type (RECON TOMO, RECON GATED TOMO; PS3.3 C.8.4.15)."""
    return text(ds, "Modality") == "NM" and _kind(ds).startswith("RECON")


def first_place(ds: Dataset) -> Dataset | None:
    """What holds Image Position and Orientation (Patient) of the first frame (PS3.3 C.8.4.11, C.8.4.15)."""
    detector = first_item(ds, "DetectorInformationSequence")
    return ds if detector is None or "ImagePositionPatient" in ds else detector


def positions_of(ds: Dataset, frames: int, position: Float64s, orientation: Float64s) -> Float64s | None:
    """The places of all slices, float64 [frames, 3] in mm; None where the file does not say them.

    Spacing Between Slices counts along the normal, row × column; where it is negative, the slices are stacked the
    other way (PS3.3 C.8.4.15).

    Args:
        ds: the data set.
        frames: how many.
        position: of the first frame.
        orientation: of all.
    """
    step, numbers_of_slices = number(ds, "SpacingBetweenSlices"), slice_numbers(ds, frames)
    if not step or numbers_of_slices is None:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return position + np.outer((numbers_of_slices - numbers_of_slices[0]) * step, normal)


def slice_numbers(ds: Dataset, frames: int) -> Float64s | None:
    """The Slice Vector (PS3.3 C.8.4.8), or one slice after the other where there is none; None if it does not fit."""
    if "SliceVector" not in ds:
        return np.arange(frames, dtype=np.float64)
    vector = numbers(ds, "SliceVector", frames)
    return None if vector is None else np.array(vector, np.float64)


def why_no_slices(ds: Dataset, frames: int) -> str | None:
    """Why the frames of a file without positions are no stack of slices, or None."""
    if text(ds, "Modality") != "NM":
        return None
    if _kind(ds) in _NO_SLICES:
        return f"frames of Image Type {_kind(ds)} are no slices"
    vector = slice_numbers(ds, frames)
    if vector is None or len(np.unique(vector)) < frames:
        return "several frames show one slice, so that they are no stack of slices"
    return None


def _kind(ds: Dataset) -> str:
    kinds = texts(ds, "ImageType")
    return kinds[2].upper() if len(kinds) > 2 else ""

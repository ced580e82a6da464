"""Builds small DICOM data sets, files and series for tests. Everything is deterministic, UIDs included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
INTERCEPT = -1024
_CLASSES = {
    "CT": CTImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "PT": PositronEmissionTomographyImageStorage,
}


def uid_of(*words: object) -> str:
    """A UID that depends on nothing but the words."""
    return generate_uid(entropy_srcs=[str(word) for word in words])


def image(stored: np.ndarray, modality: str = "OT", *, bits: int | None = None, **tags: Any) -> Dataset:
    """A data set with pixel data.

    Args:
        stored: integers or floats [rows, cols], [frames, rows, cols], or [..., 3] for uint8/uint16 colour with
            PhotometricInterpretation given in `tags`.
        modality: decides the SOP class.
        bits: Bits Stored; default all.
        tags: further attributes by keyword; None deletes one.
    """
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = _CLASSES.get(modality, SecondaryCaptureImageStorage)
    ds.SOPInstanceUID = uid_of(stored.tobytes()[:4096], modality, sorted(tags.items(), key=str))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of("study"), uid_of("series")
    ds.Modality = modality
    set_pixels(ds, stored, bits, colour=str(tags.get("PhotometricInterpretation", "")).startswith(("RGB", "YBR")))
    return with_tags(ds, tags)


def set_pixels(ds: Dataset, stored: np.ndarray, bits: int | None = None, colour: bool = False) -> None:
    """Fills the Image Pixel module."""
    shape = stored.shape[:-1] if colour else stored.shape
    ds.Rows, ds.Columns = shape[-2:]
    if len(shape) == 3:
        ds.NumberOfFrames = shape[0]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = 8 * stored.dtype.itemsize
    if stored.dtype.kind == "f":
        setattr(ds, "FloatPixelData" if stored.dtype.itemsize == 4 else "DoubleFloatPixelData", stored.tobytes())
        return
    ds.BitsStored = bits or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = data + b"\x00" * (len(data) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"


def ct(hounsfield: np.ndarray, z: float = 0.0, **tags: Any) -> Dataset:
    """A CT slice of whole HU values [rows, cols] at height `z` mm, stored as int16 with an intercept of −1024."""
    stored = (np.asarray(hounsfield) - INTERCEPT).astype(np.int16)
    place = {"ImagePositionPatient": [-10, -20, z], "ImageOrientationPatient": list(AXIAL), "PixelSpacing": [0.7, 0.6]}
    scale = {"RescaleSlope": 1, "RescaleIntercept": INTERCEPT, "BodyPartExamined": "CHEST"}
    frame = {"FrameOfReferenceUID": uid_of("frame of reference"), "InstanceNumber": 1, "SliceThickness": 2.5}
    kind = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "WindowCenter": -600, "WindowWidth": 1500}
    ds = image(stored, "CT", **{**place, **scale, **frame, **kind, **tags})
    ds.SOPInstanceUID = tags.get("SOPInstanceUID") or uid_of("slice", z, stored.tobytes()[:4096], tags.get("Rows"))
    return ds


def enhanced_ct(stored: np.ndarray, heights: list[float], slopes: list[float] | None = None) -> Dataset:
    """An enhanced CT: int16 [frames, rows, cols], each frame with a place and, if given, a slope of its own."""
    ds = image(stored, "CT", SOPClassUID=EnhancedCTImageStorage)
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.4], 1.0
    plane.ImageOrientationPatient = list(AXIAL)
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index, height in enumerate(heights):
        position, values, group = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, height]
        values.RescaleSlope, values.RescaleIntercept = (slopes[index] if slopes else 1), INTERCEPT
        values.RescaleType = "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [values]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds


def lut(entries: list[int], first: int = 0, bits: int = 16, **tags: Any) -> Dataset:
    """An item of a Modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new(0x00283002, "US" if first >= 0 else "SS", [len(entries), first, bits])
    item.add_new(0x00283006, "US", entries)
    return with_tags(item, tags)


def with_tags(ds: Dataset, tags: dict[str, Any]) -> Dataset:
    """Sets attributes by keyword; None deletes one."""
    for keyword, value in tags.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def compress(ds: Dataset, syntax: str) -> Dataset:
    """Compresses the pixel data in place, keeping the instance UID (pydicom would draw a random one)."""
    ds.compress(syntax, generate_instance_uid=False)
    return ds


def save(ds: Dataset, path: Path, syntax: str | None = None) -> Path:
    """Writes a data set as a DICOM file, in its own transfer syntax or in another native one."""
    if syntax is not None:
        ds.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def save_series(folder: Path, volume: np.ndarray, step: float = 2.5, **tags: Any) -> list[Path]:
    """Writes whole HU values [frames, rows, cols] as a CT series from z = 0 up.

    The order of names and the instance numbers have nothing to do with the position.
    """
    order = np.random.default_rng(7).permutation(len(volume))
    paths = []
    for number, index in enumerate(order):
        ds = ct(volume[index], z=float(index * step), InstanceNumber=number + 1, **tags)
        paths.append(save(ds, folder / f"{number:03d}.dcm"))
    return paths


def volume(frames: int = 4, rows: int = 6, cols: int = 5) -> np.ndarray:
    """Whole HU values in which every voxel is different."""
    return np.arange(frames * rows * cols).reshape(frames, rows, cols) - 200

"""Writes a volume of Hounsfield units as a series of CT images (PS3.3 A.3), the same bytes for the same volume."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

from medvis.core.arrays import Float32s
from medvis.core.geometry import Geometry
from medvis.dicom.uids import WRITER, WRITER_UID, hashed_uid
from medvis.errors import OutputError
from medvis.io.atomic import write_error

LOWEST_HU = -1024
WINDOW = (-600, 1500)
LEAST_SIDE = 32  # of an image that OpenJPEG encodes with its six resolutions


@dataclass(frozen=True)
class SeriesFacts:
    """What the header says beside geometry and pixels.

    Attributes:
        patient: Patient's Name and Patient ID; never a person's.
        description: Series Description.
        derivation: Derivation Description, how the pixels came about.
        deidentified: De-identification Method, if a person's identity was removed; None for synthetic images.
        thickness: Slice Thickness in mm; None if it is not known.
    """

    patient: str
    description: str
    derivation: str
    deidentified: str | None = None
    thickness: float | None = None


def write_ct_series(
    hu: Float32s, geometry: Geometry, folder: Path, facts: SeriesFacts, compress: bool = False
) -> list[Path]:
    """Writes one CT image a frame, ``0001.dcm`` onwards, and nothing outside of `folder`, which is made if absent.

    All UIDs are hashes of pixels, geometry and facts below the root 2.25 (PS3.5 B.2), so that the same volume always
    gets the same ones.

    Args:
        hu: float32 [frames, rows, cols] in HU, rounded to whole numbers.
        geometry: with spacing, positions and orientation.
        folder: for the files.
        facts: for the header.
        compress: lossless JPEG 2000 instead of Explicit VR Little Endian.

    Raises:
        OutputError: the geometry is incomplete, HU do not fit into 16 bits, the images are too small to compress, or
            the folder cannot be written.
    """
    stored, intercept, bits = _stored(hu)
    if compress and min(stored.shape[1:]) < LEAST_SIDE:
        raise OutputError(f"JPEG 2000 of {stored.shape[1]}x{stored.shape[2]} px", f"at least {LEAST_SIDE} px a side")
    key = _key(stored, intercept, geometry, facts)
    common = _common(facts, key, intercept)
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for frame, plane in enumerate(stored):
            image = _image(common, frame, key)
            _set_position(image, geometry, frame)
            image.set_pixel_data(plane, "MONOCHROME2", bits, generate_instance_uid=False)
            if compress:
                image.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
            paths.append(folder / f"{frame + 1:04d}.dcm")
            image.save_as(paths[-1], enforce_file_format=True)
    except OSError as error:
        raise write_error(folder, error) from error
    return paths


def _stored(hu: Float32s) -> tuple[NDArray[np.uint16], int, int]:
    """Stored values, the rescale intercept, and how many bits are stored: 12 where they suffice."""
    low, high = float(np.min(hu, initial=LOWEST_HU)), float(np.max(hu, initial=LOWEST_HU))
    if hu.ndim != 3 or not (np.isfinite(low) and np.isfinite(high)) or high - low > np.iinfo(np.uint16).max:
        raise OutputError(
            f"a volume {list(hu.shape)} from {low:g} to {high:g} HU", "finite [frames, rows, cols] within 65535 HU"
        )
    intercept = int(np.floor(low))
    stored = (np.rint(hu) - intercept).astype(np.uint16)
    return stored, intercept, 12 if int(stored.max(initial=0)) < 4096 else 16


def _key(stored: NDArray[np.uint16], intercept: int, geometry: Geometry, facts: SeriesFacts) -> str:
    if geometry.spacing is None or geometry.positions is None or geometry.orientation is None:
        raise OutputError("a CT series without spacing, positions and orientation", "a complete geometry")
    if len(geometry.positions) != len(stored):
        raise OutputError(f"{len(stored)} frames at {len(geometry.positions)} positions", "one position a frame")
    text = f"{facts} {intercept} {stored.shape} {geometry.spacing}"
    digest = hashlib.sha256(text.encode())
    for array in (geometry.positions, geometry.orientation, stored):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _common(facts: SeriesFacts, key: str, intercept: int) -> Dataset:
    """Patient, study, series, equipment and CT modules; empty where a Type 2 attribute is not known."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.PatientName, ds.PatientID = facts.patient, facts.patient
    for keyword in (
        *("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID"),
        *("AccessionNumber", "PositionReferenceIndicator", "KVP", "AcquisitionNumber"),
    ):
        setattr(ds, keyword, None)
    if facts.deidentified:
        ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", facts.deidentified
        ds.LongitudinalTemporalInformationModified = "REMOVED"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = hashed_uid("study", key), hashed_uid("series", key)
    ds.FrameOfReferenceUID = hashed_uid("frame of reference", key)
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "CT", 1, facts.description
    ds.BodyPartExamined, ds.PatientPosition = "CHEST", "HFS"
    ds.Manufacturer, ds.ManufacturerModelName = "medvis", "medvis"
    ds.DerivationDescription, ds.BurnedInAnnotation = facts.derivation, "NO"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = intercept, 1, "HU"
    ds.WindowCenter, ds.WindowWidth, ds.WindowCenterWidthExplanation = *WINDOW, "LUNG"
    ds.SliceThickness = None if facts.thickness is None else decimal_string(facts.thickness)
    return ds


def _image(common: Dataset, frame: int, key: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(hashed_uid("image", key, str(frame)))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID(WRITER_UID), WRITER
    image = FileDataset("", deepcopy(common), preamble=bytes(128), file_meta=meta)
    image.SOPInstanceUID, image.InstanceNumber = meta.MediaStorageSOPInstanceUID, frame + 1
    return image


def _set_position(image: Dataset, geometry: Geometry, frame: int) -> None:
    """Image Plane Module, PS3.3 C.7.6.2."""
    spacing, positions, orientation = geometry.spacing, geometry.positions, geometry.orientation
    if spacing is not None and positions is not None and orientation is not None:
        image.PixelSpacing = [decimal_string(value) for value in spacing]
        image.ImagePositionPatient = [decimal_string(value) for value in positions[frame]]
        image.ImageOrientationPatient = [decimal_string(value) for value in orientation]


def decimal_string(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    for digits in range(16, 0, -1):
        text = f"{float(value) + 0.0:.{digits}g}"
        if len(text) <= 16:
            return text
    raise OutputError(f"the number {value} fits no decimal string")

"""Frames of a result and what they refer to.

highdicom takes the geometry of a multi-frame result from the images it is derived from. It gets a stand-in for each
frame of the scan: a single-frame image with the scan's geometry and nothing else. Thereby files of every make – single
frames, enhanced or plain multi-frame, with or without a place in the patient – go one way. Afterwards the stand-ins are
replaced by the instances and frames that they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DSfloat

from medvis.dicom.objects.envelope import Envelope, carry_loss, carry_orientation
from medvis.dicom.objects.source_study import Frame, SourceStudy
from medvis.dicom.read.values import FrameGroups, number
from medvis.dicom.uids import hashed_uid

_EMPTY = (
    *(
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ),
    *("ReferringPhysicianName", "PositionReferenceIndicator"),
)
_STACK, _PLACE = Tag("StackID"), Tag("ImagePositionPatient")
_IN_STACK, _CONTENT = Tag("InStackPositionNumber"), Tag("FrameContentSequence")


def stand_ins(source: SourceStudy, frames: Sequence[int], shape: tuple[int, int], step: int = 1) -> list[Dataset]:
    """One image for each of some frames of the scan.

    Args:
        source: the source.
        frames: 0-based, of the scan.
        shape: (rows, cols) of the scan.
        step: how many pixels of the scan, in each direction, one pixel of the result covers.
    """
    common = Dataset()
    for keyword in _EMPTY:
        setattr(common, keyword, "")
    common.StudyInstanceUID, common.SeriesInstanceUID = source.study, source.series
    common.SOPClassUID, common.Modality = CTImageStorage, "CT"
    common.Rows, common.Columns = shape[0] // step, shape[1] // step
    carry_loss(source.header, common)
    images = []
    for frame in frames:
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID = hashed_uid("stand-in", str(frame))
        place_frame(image, source, frame, step)
        images.append(image)
    return images


def place_frame(image: Dataset, source: SourceStudy, frame: int, step: int) -> None:
    """Image Plane Module, PS3.3 C.7.6.2; of a scan without one a mere count of frames, which `relink` takes out."""
    geometry = source.geometry
    spacing = np.array(geometry.spacing or (1.0, 1.0)) * step
    orientation, position = np.array([1.0, 0, 0, 0, 1, 0]), np.array([0.0, 0, -frame])  # highdicom counts down
    image.FrameOfReferenceUID = hashed_uid("frame of reference of stand-ins")
    if source.placed and geometry.positions is not None and geometry.orientation is not None:
        orientation, image.FrameOfReferenceUID = geometry.orientation, geometry.frame_of_reference
        middle = (step - 1) / 2 / step
        position = geometry.positions[frame]
        position = position + middle * (orientation[:3] * spacing[1] + orientation[3:] * spacing[0])
    image.PixelSpacing = [_decimal(value) for value in spacing]
    image.ImageOrientationPatient = [_decimal(value) for value in orientation]
    image.ImagePositionPatient = [_decimal(value) for value in position]
    thickness = _thickness(source) or geometry.slice_spacing
    image.SliceThickness = None if thickness is None else _decimal(thickness)
    image.SpacingBetweenSlices = None if geometry.slice_spacing is None else _decimal(geometry.slice_spacing)


def relink(ds: Dataset, envelope: Envelope, frames: Sequence[int], step: int = 1) -> None:
    """Puts instances and frame numbers of the source in the place of the stand-ins, and UIDs that do not change."""
    source = envelope.source
    real = {hashed_uid("stand-in", str(frame)): source.frames[frame] for frame in frames}
    for group in ds.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0]
        item = deepcopy(derivation.SourceImageSequence[0])  # the segments of one frame share it
        _refer(item, real[item.ReferencedSOPInstanceUID])
        item.SpatialLocationsPreserved = "YES" if step == 1 else "NO"
        derivation.SourceImageSequence = [item]
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = source.series, plain_references(source, frames)
    ds.SourceImageSequence = plain_references(source, frames)
    ds.ReferencedSeriesSequence = [series]
    if not source.placed:
        _unplace(ds, source)
    elif source.geometry.slice_spacing is None:
        ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)
    dimensions = envelope.identity.uid("dimensions", envelope.kind)
    organisation = Dataset()
    organisation.DimensionOrganizationUID = dimensions
    ds.DimensionOrganizationSequence = [organisation]
    for index in ds.DimensionIndexSequence:
        index.DimensionOrganizationUID = dimensions


def frame_index(ds: Dataset, source: SourceStudy) -> list[int]:
    """For each frame of a result the 0-based frame of the scan that it refers to; −1 where it refers to none."""
    ranks = {(frame.instance.uid, frame.number): rank for rank, frame in enumerate(source.frames)}
    indices = []
    for group in ds.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        shown = item.get("ReferencedFrameNumber")
        indices.append(ranks.get((str(item.ReferencedSOPInstanceUID), None if shown is None else int(shown)), -1))
    return indices


def plain_references(source: SourceStudy, frames: Sequence[int] | None = None) -> Items:
    """Items that name the instances of some frames (None: of all), each once."""
    references = []
    for instance in source.instances(frames):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.sop_class, instance.uid
        references.append(item)
    return Items(references)


def _refer(item: Dataset, frame: Frame) -> None:
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.instance.sop_class, frame.instance.uid
    if frame.number is not None:
        item.ReferencedFrameNumber = frame.number


def _unplace(ds: Dataset, source: SourceStudy) -> None:
    """Takes the places out: frames are told apart by their position in a stack, PS3.3 C.7.6.16.2.2."""
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        ds.pop(keyword, None)
    carry_orientation(source.header, ds)
    shared = ds.SharedFunctionalGroupsSequence[0]
    shared.pop("PlaneOrientationSequence", None)
    shared.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)
    if source.geometry.spacing is None or "SliceThickness" not in shared.PixelMeasuresSequence[0]:
        shared.pop("PixelMeasuresSequence")
    for index in ds.DimensionIndexSequence:
        if index.DimensionIndexPointer == _PLACE:
            index.DimensionIndexPointer, index.FunctionalGroupPointer = _IN_STACK, _CONTENT
            index.DimensionDescriptionLabel = "In-Stack Position Number"
    for group, frame in zip(ds.PerFrameFunctionalGroupsSequence, frame_index(ds, source), strict=True):
        group.pop("PlanePositionSequence", None)
        content = group.FrameContentSequence[0]
        content.StackID, content.InStackPositionNumber = "1", frame + 1
        values = content.DimensionIndexValues
        content.DimensionIndexValues = [*([values] if isinstance(values, int) else values)[:-1], frame + 1]


def _thickness(source: SourceStudy) -> float | None:
    """Slice Thickness of the source; where it gives none, the caller takes the distance of the slices."""
    header = source.header
    measures = FrameGroups(header).get((source.frames[0].number or 1) - 1, "PixelMeasuresSequence")
    thickness = number(header if measures is None else measures, "SliceThickness")
    return thickness if thickness is not None and thickness > 0 else None


def _decimal(value: float) -> DSfloat:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return DSfloat(float(value), auto_format=True)

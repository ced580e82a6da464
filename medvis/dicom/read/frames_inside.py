"""The frames of an enhanced multi-frame file (PS3.3 C.7.6.16), each as an image of its own that can be grouped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from medvis.dicom.read.header import Header
from medvis.dicom.read.image_plane import image_planes_of
from medvis.dicom.read.values import FrameGroups, items, numbers, text, value

STACK = "stack"
# What tells frames at one place apart: what it is called, the functional group, its attribute.
_PHASES = (
    (STACK, "FrameContentSequence", "StackID"),
    ("acquisition", "FrameContentSequence", "FrameAcquisitionNumber"),
    ("time", "FrameContentSequence", "TemporalPositionIndex"),
    ("echo time", "MREchoSequence", "EffectiveEchoTime"),
    ("inversion time", "MRModifierSequence", "InversionTimes"),
    ("trigger time", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("b-value", "MRDiffusionSequence", "DiffusionBValue"),
    ("kernel", "CTReconstructionSequence", "ConvolutionKernel"),
    ("type", "CTImageFrameTypeSequence", "FrameType"),
    ("type", "MRImageFrameTypeSequence", "FrameType"),
    ("type", "PETFrameTypeSequence", "FrameType"),
    ("component", "MRImageFrameTypeSequence", "ComplexImageComponent"),
)
_PLACES = ("InStackPositionNumber", "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation")
_NOT_ASKED = {*_PLACES, *(keyword for _, _, keyword in _PHASES)}


def with_frames(header: Header, ds: Dataset) -> Header:
    """The header of a file, with those of its frames inside where each has a place in the patient.

    Args:
        header: of the whole file.
        ds: the data set, without pixels.
    """
    if header.frames < 2 or not items(ds, "PerFrameFunctionalGroupsSequence"):
        return header
    planes = image_planes_of(ds, header.frames)
    if any(plane.position is None or plane.orientation is None for plane in planes):
        return header
    groups, dimensions = FrameGroups(ds), _dimensions(ds)
    inside = [
        replace(header, frames=1, frame=index + 1, plane=plane, phases=_phases(groups, index, dimensions))
        for index, plane in enumerate(planes)
    ]
    return replace(header, inside=tuple(inside))


def _phases(groups: FrameGroups, frame: int, dimensions: Mapping[int, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, sequence, keyword in _PHASES:
        group = groups.get(frame, sequence)
        text_value = None if group is None else text(group, keyword)
        if text_value is not None:
            values[name] = text_value.replace("\\", " ")
    content = groups.get(frame, "FrameContentSequence")
    indices = [] if content is None else numbers(content, "DimensionIndexValues") or []
    return values | {name: f"{indices[rank]:g}" for rank, name in dimensions.items() if rank < len(indices)}


def _dimensions(ds: Dataset) -> dict[int, str]:
    """Rank → name of the dimensions (PS3.3 C.7.6.17) that are neither a place nor among the phases above."""
    values = {}
    for rank, item in enumerate(items(ds, "DimensionIndexSequence")):
        pointer = value(item, "DimensionIndexPointer")
        keyword = keyword_for_tag(pointer) if isinstance(pointer, BaseTag) else ""
        if keyword and keyword not in _NOT_ASKED:
            values[rank] = _words(keyword)
    return values


def _words(keyword: str) -> str:
    """``DiffusionGradientOrientation`` → ``diffusion gradient orientation``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", keyword).lower()


def frame_numbers(headers: Sequence[Header]) -> list[int]:
    """The numbers (from 1) of these frames of one file, ascending."""
    return sorted(header.frame for header in headers if header.frame is not None)

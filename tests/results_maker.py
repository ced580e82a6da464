"""DICOM sources with two bright balls in them, taken through the real pipeline: what writers of DICOM results get."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import dicom_maker as make
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from tiny_chest import Blobs, pipeline

from medvis import plugins
from medvis.batch.publish import publish
from medvis.core.outcome import Outcome
from medvis.io.open import open_scan

SHAPE = (5, 64, 72)
BALLS = (((2, 20, 22), 7.0), ((3, 44, 50), 5.0))
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)  # its normal is (−0.6, 0.8, 0)
PATIENT = {
    "PatientName": "Müller^Änne",
    "PatientID": "ID-7",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "AccessionNumber": "A-1",
    "StudyID": "S-1",
    "StudyDate": "20200304",
    "StudyTime": "101112",
    "AcquisitionDate": "20200305",
    "AcquisitionTime": "101314.5",
    "ReferringPhysicianName": "Groß^Otto",
    "SpecificCharacterSet": "ISO_IR 100",
    "SeriesNumber": 3,
    "PixelSpacing": [0.7, 0.6],
}
RASTER = {
    "accepts.modalities": [],
    "accepts.body_parts": [],
    "accepts.units": [],
    "accepts.channels": [1, 3],
    "stages.window": {"range": "stored", "grey": True},
}


def hounsfield(balls: bool = True) -> np.ndarray:
    """Whole HU values [frames, rows, cols]."""
    volume = np.full(SHAPE, -850)
    volume[:, :, :4] = -1000
    places = np.indices(SHAPE).transpose(1, 2, 3, 0)
    for center, radius in BALLS if balls else ():
        volume[np.linalg.norm((places - center) * (2, 1, 1), axis=-1) < radius] = 60
    return volume


def series(folder: Path, balls: bool = True, **tags: Any) -> Path:
    """An oblique CT series: names and instance numbers have nothing to do with the positions."""
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    order = [3, 0, 4, 1, 2]
    for number, index in enumerate(order):
        place = [float(value) for value in np.round(np.array([-10, -20, 30]) + 2.5 * index * normal, 3)]
        plane = {"ImagePositionPatient": place, "ImageOrientationPatient": list(OBLIQUE), "InstanceNumber": number + 1}
        ds = make.ct(hounsfield(balls)[index], z=float(index), **{**PATIENT, **plane, **tags})
        make.save(ds, folder / f"{number}.dcm")
    return folder


def enhanced(path: Path, times: int = 1) -> Path:
    """One multi-frame file whose frames lie in another order than they are stored in, so many times over."""
    order = [2, 0, 4, 1, 3] * times
    stored = (hounsfield()[order] - make.INTERCEPT).astype(np.int16)
    ds = make.enhanced_ct(stored, [2.5 * index for index in order])
    for index, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + index // SHAPE[0]
        group.FrameContentSequence = [content]
    named = {**PATIENT, "BodyPartExamined": "CHEST", "FrameOfReferenceUID": make.uid_of("reference")}
    return make.save(make.with_tags(ds, {**named, "PixelSpacing": None}), path)


def picture(path: Path, modality: str = "DX", **tags: Any) -> Path:
    """One plane without a place in the patient: MONOCHROME1, or RGB."""
    grey = np.where(hounsfield()[2] > 0, 30, 220).astype(np.uint8)
    named = {**PATIENT, "PixelSpacing": None, "PhotometricInterpretation": "MONOCHROME1", **tags}
    colour = named["PhotometricInterpretation"] == "RGB"
    return make.save(make.image(np.stack([255 - grey] * 3, -1) if colour else grey, modality, **named), path)


def outcome_of(path: Path, **overrides: Any) -> Outcome:
    """What the pipeline, with a blob finder in place of a network, says of a file or folder."""
    inverted = overrides.pop("inverted", False)
    # The series is oblique, so that nothing is right by chance; the task wants axial slices.
    few = {
        "accepts.planes": [],
        "stages.infer.region": "all",
        "stages.infer.scales": {1.0: 1.0},
        "stages.infer.flips": ["none"],
    }
    scan = open_scan(path, overrides.pop("series", None))
    finder = partial(Blobs, 0.5) if inverted else Blobs
    return pipeline({**few, "stages.segment.lasting": False, **overrides}, finder()).outcome(scan)


def written(outcome: Outcome, folder: Path, *names: str) -> dict[str, Dataset]:
    """The published objects by the name of their writer, as pydicom reads them."""
    writers = [plugins.load("medvis.writers", name)() for name in names]
    publish(outcome, folder, writers, force=False)
    paths = {writer.name: folder / writer.files(1)[0] for writer in writers}
    return {name: dcmread(path) for name, path in paths.items() if path.exists()}


def errors_of(*paths: Path) -> list[str]:
    """What dicom3tools' dciodvfy calls an error."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy of dicom3tools is not installed")
    found = []
    for path in paths:
        said = subprocess.run([tool, "-new", str(path)], capture_output=True, text=True, check=False).stderr
        found += [f"{path.name}: {line}" for line in said.splitlines() if line.startswith("Error")]
    return found


def dumped(tool: str, path: Path) -> str:
    """What one of DCMTK's tools makes of a file; it must not complain."""
    command = shutil.which(tool)
    if command is None:
        pytest.skip(f"{tool} of DCMTK is not installed")
    ran = subprocess.run([command, "-q", str(path)], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode("utf-8", "replace")


def shown_frames(ds: Dataset, outcome: Outcome) -> list[int]:
    """The frame of the scan that each frame of a result refers to, where each is an instance of its own."""
    uids = list(outcome.case.scan.source.sop_instance_uids)
    sources = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in ds.PerFrameFunctionalGroupsSequence]
    return [uids.index(source.ReferencedSOPInstanceUID) for source in sources]


def measurement_groups(ds: Dataset) -> list[Dataset]:
    """The containers of a TID 1500 report that hold measurements."""
    [measurements] = [item for item in ds.ContentSequence if item.ValueType == "CONTAINER"]
    return list(measurements.ContentSequence)


def named(container: Dataset, kind: str) -> dict[str, Any]:
    """Meaning of the concept → value, of the items of one value type."""
    taken = {
        "NUM": lambda item: float(item.MeasuredValueSequence[0].NumericValue),
        "TEXT": lambda item: item.TextValue,
        "CODE": lambda item: item.ConceptCodeSequence[0].CodeMeaning,
        "UIDREF": lambda item: item.UID,
    }[kind]
    found = [item for item in container.ContentSequence if item.ValueType == kind]
    return {item.ConceptNameCodeSequence[0].CodeMeaning: taken(item) for item in found}


def read_by_dcmqi(tool: str, path: Path, folder: Path) -> None:
    """Has one of dcmqi's readers read a file. Skips the test where it is not installed."""
    command = shutil.which(tool)
    if command is None:
        pytest.skip(f"{tool} of dcmqi is not installed (pip install dcmqi)")
    folder.mkdir()
    told = (
        ["--outputMetadata", str(folder / "meta.json")]
        if tool == "tid1500reader"
        else ["--outputDirectory", str(folder)]
    )
    ran = subprocess.run([command, "--inputDICOM", str(path), *told], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stdout[-500:] + ran.stderr[-500:]
    assert list(folder.iterdir())

"""Writes the CT phantom as a DICOM series, with what is true of it beside: the mask and a list of its nodules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medvis.core.arrays import Labels
from medvis.core.geometry import Geometry
from medvis.dicom.write_ct import SeriesFacts, write_ct_series
from medvis.io.atomic import write_error
from medvis.io.writers.mask import write_nifti
from medvis.phantom.volume import PhantomSpec, phantom_planes

SERIES, MASK, TRUTH = "series", "mask.nii.gz", "truth.json"
PATIENT = "PHANTOM"


def write_phantom(
    spec: PhantomSpec, folder: Path, compress: bool = False, tick: Callable[[], object] | None = None
) -> list[Path]:
    """Makes the phantom and writes ``series/0001.dcm`` …, ``mask.nii.gz`` and ``truth.json`` into `folder`.

    Args:
        spec: what to make.
        folder: made if absent; files of these names are replaced, nothing is written outside of it.
        compress: lossless JPEG 2000 instead of Explicit VR Little Endian.
        tick: called after each of the `spec.frames` planes, to show progress.

    Returns:
        the files, mask and truth last.

    Raises:
        OutputError: the folder cannot be written.
    """
    hu = np.empty((spec.frames, *spec.shape), dtype=np.float32)
    labels = np.empty(hu.shape, dtype=np.int32)
    for frame, (plane, marks) in enumerate(phantom_planes(spec)):
        hu[frame], labels[frame] = plane, marks
        if tick is not None:
            tick()
    geometry = geometry_of(spec)
    facts = SeriesFacts(PATIENT, "CT phantom", "Synthetic chest made by medvis; no patient", None, spec.slice_spacing)
    paths = write_ct_series(hu, geometry, folder / SERIES, facts, compress)
    try:
        write_nifti(labels, geometry, folder / MASK)
        (folder / TRUTH).write_text(json.dumps(truth_of(spec, labels), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(folder, error) from error
    return [*paths, folder / MASK, folder / TRUTH]


def geometry_of(spec: PhantomSpec) -> Geometry:
    """Axial frames from feet to head, patient coordinates (LPS) with their origin in the middle of the volume."""
    positions = np.empty((spec.frames, 3))
    positions[:, 0] = -(spec.shape[1] - 1) / 2 * spec.spacing[1]
    positions[:, 1] = -(spec.shape[0] - 1) / 2 * spec.spacing[0]
    positions[:, 2] = [spec.z_of(frame) for frame in range(spec.frames)]
    orientation = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    return Geometry(spec.spacing, spec.slice_spacing if spec.frames > 1 else None, positions, orientation)


def truth_of(spec: PhantomSpec, labels: Labels) -> dict[str, Any]:
    """What is true of the phantom, in JSON's types: its spec, and of each nodule place, size, texture and voxels."""
    voxels = np.bincount(labels.ravel(), minlength=len(spec.nodules) + 1)
    settings = {name: value for name, value in asdict(spec).items() if name != "nodules"}
    nodules = []
    for number, nodule in enumerate(spec.nodules, start=1):
        z, y, x = nodule.center_mm
        frame, row, col = spec.index_of(nodule)
        nodules.append(
            {
                "number": number,
                "texture": nodule.texture,
                "diameter_mm": nodule.diameter_mm,
                "volume_mm3": nodule.volume_mm3,
                "contrast_hu": nodule.contrast_hu,
                "center": {"frame": frame, "row": row, "col": col},
                "center_lps_mm": [x, y, z],
                "voxels": int(voxels[number]),
            }
        )
    return {"kind": "medvis CT phantom", "mask": MASK, "series": SERIES, "spec": settings, "nodules": nodules}

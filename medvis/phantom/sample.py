"""Makes the sample data from the test case `lung1` of pyradiomics 3.0.1 (BSD-3-Clause).

    python -m medvis.phantom.sample lung1_image.nrrd lung1_label.nrrd sample_data

It needs `pynrrd`, which medvis[dev] installs. The same input and versions give the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from medvis.core.arrays import Float32s, Float64s
from medvis.core.geometry import Geometry
from medvis.dicom.write_ct import WINDOW, SeriesFacts, write_ct_series
from medvis.errors import InputError, OutputError
from medvis.io.atomic import write_atomic, write_error
from medvis.io.writers.mask import write_nifti

SERIES, MASK, PICTURE = "lung1", "lung1_mask.nii.gz", "lung1_slice.png"
CONTEXT = 5  # frames on either side of the annotated ones
FACTS = SeriesFacts(
    patient="LUNG1",
    description="lung1, pyradiomics 3.0.1",
    derivation="Frames of lung1_image.nrrd of pyradiomics 3.0.1 (BSD-3-Clause), HU unchanged",
    deidentified="The source holds pixels and geometry alone",
)
_SPACE = "left-posterior-superior"


@dataclass(frozen=True)
class _Volume:
    """Voxels [frames, rows, cols]; in mm of LPS the first voxel, and as rows of `steps` one step along each axis."""

    voxels: NDArray[np.generic]
    origin: Float64s
    steps: Float64s


def build_sample(image_nrrd: Path, label_nrrd: Path, folder: Path) -> list[Path]:
    """Writes the annotated frames with some context as a DICOM series (lossless JPEG 2000), their mask and a picture.

    Args:
        image_nrrd: HU, axial, in LPS coordinates.
        label_nrrd: 0 or the number of the nodule, on the same grid.
        folder: gets ``lung1/0001.dcm`` …, ``lung1_mask.nii.gz``, and ``lung1_slice.png``: the frame with the most of
            the nodule in the lung window (−600/1500), 8 bits.

    Raises:
        InputError: a file that is not such a volume, or a label without a nodule.
        OutputError: the folder cannot be written.
    """
    image, label = _read(image_nrrd), _read(label_nrrd)
    if label.voxels.shape != image.voxels.shape or not np.allclose(label.steps, image.steps):
        raise InputError(f"{label_nrrd} is not on the grid of {image_nrrd}")
    marked = np.flatnonzero(label.voxels.any(axis=(1, 2)))
    if not marked.size:
        raise InputError(f"{label_nrrd} marks nothing", "a label with a nodule")
    frames = slice(max(int(marked[0]) - CONTEXT, 0), int(marked[-1]) + CONTEXT + 1)
    hu = np.ascontiguousarray(image.voxels[frames], dtype=np.float32)
    mask = np.ascontiguousarray(label.voxels[frames], dtype=np.int32)
    geometry = _geometry(image, frames.start, len(hu))
    paths = write_ct_series(hu, geometry, folder / SERIES, FACTS, compress=True)
    try:
        write_nifti(mask, geometry, folder / MASK)
    except OSError as error:
        raise write_error(folder, error) from error
    write_atomic(folder / PICTURE, _picture(hu[int(np.argmax((mask > 0).sum(axis=(1, 2))))]))
    return [*paths, folder / MASK, folder / PICTURE]


def _read(path: Path) -> _Volume:
    """A NRRD volume with its fastest axis last, as numpy likes it."""
    try:
        import nrrd  # noqa: PLC0415 - needed to rebuild the sample only, comes with medvis[dev]
    except ImportError as error:
        raise InputError(f"{path} cannot be read without pynrrd", hint="pip install 'medvis[dev]'") from error
    try:
        voxels, header = nrrd.read(str(path))
        space, steps, origin = (header.get(key) for key in ("space", "space directions", "space origin"))
    except (OSError, ValueError, nrrd.NRRDError) as error:
        raise InputError(f"{path} is not a readable NRRD volume: {error}") from error
    if voxels.ndim != 3 or space != _SPACE or np.shape(steps) != (3, 3) or np.shape(origin) != (3,):
        raise InputError(f"{path} is {voxels.ndim}-dimensional in space '{space}'", f"3 dimensions in '{_SPACE}'")
    return _Volume(voxels.transpose(2, 1, 0), np.asarray(origin, float), np.asarray(steps, float)[::-1])


def _geometry(volume: _Volume, first: int, frames: int) -> Geometry:
    lengths = np.linalg.norm(volume.steps, axis=1)
    positions = volume.origin + (first + np.arange(frames))[:, None] * volume.steps[0]
    orientation = np.concatenate([volume.steps[2] / lengths[2], volume.steps[1] / lengths[1]])
    return Geometry((float(lengths[1]), float(lengths[2])), float(lengths[0]), positions, orientation)


def _picture(hu: Float32s) -> bytes:
    """The plane in the lung window (LINEAR_EXACT, PS3.3 C.11.2.1.3.2) as an 8-bit PNG."""
    center, width = WINDOW
    grey = np.clip((hu - center) / width + 0.5, 0, 1) * 255
    done, png = cv2.imencode(".png", np.rint(grey).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise OutputError("the picture could not be encoded as PNG")
    return bytes(png.tobytes())


def main(arguments: Sequence[str] | None = None) -> None:
    """Rebuilds the sample from the command line."""
    parser = argparse.ArgumentParser(prog="python -m medvis.phantom.sample", description=build_sample.__doc__)
    for name in ("image_nrrd", "label_nrrd", "folder"):
        parser.add_argument(name, type=Path)
    build_sample(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()

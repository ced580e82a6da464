"""An outside reader: NRRD volumes of CT through pynrrd (http://teem.sourceforge.net/nrrd/format.html)."""

import hashlib

import numpy as np

from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan, Source, Step
from medvis.errors import InputError


class NrrdReader(Reader):
    name = "nrrd"
    title = "NRRD"
    wanted = "an NRRD volume"
    magic = (Magic(b"NRRD000", "nrrd"),)
    patterns = ("*.nrrd",)

    def read(self, path):
        import nrrd

        data = path.read_bytes()
        try:
            values, header = nrrd.read(str(path), index_order="C")
        except Exception as error:  # pynrrd raises what the broken bytes happen to lead to
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{path} is an NRRD file that cannot be read: {reason}") from error
        if values.ndim != 3 or header.get("space") != "left-posterior-superior":
            raise InputError(f"{path} holds no volume in patient coordinates", "three axes in LPS")
        return Scan(
            np.ascontiguousarray(values[..., None], np.float32),
            geometry_of(header, len(values)),
            Source(str(path), "nrrd", hashlib.sha256(data).hexdigest(), files=(path.name,)),
            unit="HU",
            modality="CT",
            body_part="CHEST",
            bits=8 * values.dtype.itemsize,
            trail=(Step("read", {"reader": "nrrd"}),),
            notes=("an NRRD file does not say the unit of its values: HU was assumed",),
        )


def geometry_of(header, frames):
    col, row, step = np.asarray(header["space directions"], float)
    lengths = [float(np.linalg.norm(axis)) for axis in (row, col, step)]
    return Geometry(
        spacing=(lengths[0], lengths[1]),
        slice_spacing=lengths[2] if frames > 1 else None,
        positions=np.asarray(header["space origin"], float) + np.arange(frames)[:, None] * step,
        orientation=np.concatenate([col / lengths[1], row / lengths[0]]),
    )

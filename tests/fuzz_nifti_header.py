"""A NIfTI header, byte by byte, and the transform that it means: in closed form, as nifti1.h and nifti2.h define it."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

UNITS = {2: 1.0, 1: 1000.0, 3: 0.001, 10: 1.0, 0: 1.0}

# Where the fields lie: (format, byte) in nifti1.h and in nifti2.h.
PLACES = {
    "dim": ("8h", 40, "8q", 16),
    "intent": ("h", 68, "i", 504),
    "datatype": ("h", 70, "h", 12),
    "bitpix": ("h", 72, "h", 14),
    "pixdim": ("8f", 76, "8d", 104),
    "offset": ("f", 108, "q", 168),
    "slope": ("f", 112, "d", 176),
    "inter": ("f", 116, "d", 184),
    "xyzt": ("B", 123, "i", 500),
    "qform": ("h", 252, "i", 344),
    "sform": ("h", 254, "i", 348),
    "quaternion": ("3f", 256, "3d", 352),
    "offsets": ("3f", 268, "3d", 376),
    "srow": ("12f", 280, "12d", 400),
}


def header(fields: dict[str, Any]) -> bytes:
    """The 348 bytes of nifti1.h, or the 540 of nifti2.h."""
    version, order = fields["version"], fields["order"]
    head = bytearray(348 if version == 1 else 540)
    struct.pack_into(order + "i", head, 0, len(head))
    magic = (b"ni" if fields.get("pair") else b"n+") + str(version).encode() + b"\0"
    at = 344 if version == 1 else 4
    head[at : at + len(magic)] = magic
    if version == 2:
        head[8:12] = b"\r\n\x1a\n"
    for name, places in PLACES.items():
        kind, byte = places[:2] if version == 1 else places[2:]
        struct.pack_into(order + kind, head, byte, *np.ravel(fields.get(name, 0)).tolist())
    return bytes(head)


def of_quaternion(bcd: np.ndarray, qfac: float, sizes: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Method 2 of nifti1.h: [4, 4] from (i, j, k) to RAS."""
    b, c, d = bcd
    a = np.sqrt(max(0.0, 1 - (b * b + c * c + d * d)))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    found = np.eye(4)
    found[:3, :3] = turn @ np.diag(sizes * (1, 1, qfac))
    found[:3, 3] = offset
    return found


def affine(fields: dict[str, Any]) -> np.ndarray | None:
    """Method 3, else method 2 of nifti1.h, in mm; None where no code is given that exists."""
    factor = UNITS.get(fields["xyzt"], 1.0)
    if fields["sform"] in range(1, 6):
        found = np.vstack([fields["srow"], [0, 0, 0, 1.0]])
    elif fields["qform"] in range(1, 6):
        sizes = np.array(fields["pixdim"][1:4])
        found = of_quaternion(fields["quaternion"], fields["pixdim"][0], sizes, fields["offsets"])
    else:
        return None
    return np.diag([factor, factor, factor, 1.0]) @ found

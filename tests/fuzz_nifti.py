"""NIfTI files of random headers, written byte by byte. Seeded: the same number, the same file.

What a file holds is told in closed form, as nifti1.h defines it: no library writes or mends its header.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from fuzz_nifti_header import PLACES, UNITS, affine, header, of_quaternion
from fuzz_pictures import any_of

Random = np.random.Generator
# Codes and bits a voxel of the types that hold one real number, nifti1.h.
TYPES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
NO_NUMBER = {"c8": (32, 64), "rgb": (128, 24), "rgba": (2304, 32), "bit": (1, 1), "none": (0, 0), "strange": (77, 8)}

# Notes on what a header says wrongly, and medvis assumes.
ASSUMED = (
    "vox_offset is|does not exist|gives a voxel of|goes on behind|sform and qform|qfac|is no transform|pixdim gives"
    "|which cannot be"
)
NO_NUMBERS = "one real number"
NO_SIZE, SCALE, FORM = "gives a voxel of|singular", "no finite number|scl_slope is", "which does not exist"


class Made(NamedTuple):
    """A file and what is in it.

    Attributes:
        name: of the file.
        data: its bytes.
        values: float64 [i, j, k], scaled; None where it holds no volume that can be read.
        affine: float64 [4, 4] to RAS, in mm; None where the file gives no place.
        odd: what a reader must be told: patterns of a note or of a refusal, all of which must be met.
        what: how it was made.
    """

    name: str
    data: bytes
    values: np.ndarray | None
    affine: np.ndarray | None
    odd: tuple[str, ...]
    what: dict[str, Any]


def nifti(random: Random) -> Made:
    """A NIfTI-1 or NIfTI-2 as programs write them, now and then with one thing wrong."""
    kind, order = any_of(random, *["u1", "i2", "i2", "f4"], *TYPES), any_of(random, "<", "<", ">")
    raw = _values(random, np.dtype(kind))
    fields: dict[str, Any] = {"version": any_of(random, 1, 1, 2), "order": order, "datatype": TYPES[kind]}
    fields |= {"bitpix": raw.dtype.itemsize * 8, "dim": _dim(random, raw.shape), "xyzt": any_of(random, 2, 2, *UNITS)}
    fields |= {
        "slope": float(np.float32(any_of(random, 0, 1, 1, np.nan, 2, -1.5, 0.1))),
        "inter": float(any_of(random, 0, -5, 7)),
    }
    fields |= _forms(random)
    extension = any_of(random, b"", b"", _extension(random, order))
    first = (352 if fields["version"] == 1 else 544) + len(extension)
    fields["offset"] = first + int(any_of(random, 0, 0, 16))
    odd: list[str] = []
    if random.random() < 0.4:
        _WRONG[int(random.integers(len(_WRONG)))](fields, odd, random)
    body = header(fields) + (b"\1\0\0\0" if extension else bytes(4)) + extension
    body += bytes(max(0, fields["offset"] - len(body))) + raw.astype(order + kind).tobytes(order="F")
    body, odd = _ended(random, body, odd)
    name = any_of(random, "a.nii", "a.nii.gz", "A.NII", "a")
    packed = name == "a.nii.gz" or (name == "a" and random.random() < 0.5)
    data = gzip.compress(body, 1) if packed else body
    held = not any(word in odd for word in (NO_NUMBERS, "cannot be read", "shape", "volumes", "pair"))
    values = _scaled(raw, fields["slope"], fields["inter"]) if held else None
    place = affine(fields)
    return Made(name, data, values, place, tuple(odd), fields | {"kind": kind, "name": name})


def _values(random: Random, dtype: np.dtype) -> np.ndarray:
    shape = tuple(int(side) for side in random.integers(2, 7, 3))
    if dtype.kind == "f":
        return (random.normal(0, 300, shape)).astype(dtype)
    bounds = np.iinfo(dtype)
    low, high = max(bounds.min, -3000), min(bounds.max, 3000)
    return random.integers(low, high + 1, shape).astype(dtype)


def _dim(random: Random, shape: tuple[int, ...]) -> list[int]:
    more = int(any_of(random, 0, 0, 1, 2, 4))
    unused = int(any_of(random, 0, 1, 9))  # what lies behind the dimensions that dim[0] counts says nothing
    return [3 + more, *shape, *[1] * more, *[unused] * (4 - more)]


def _forms(random: Random) -> dict[str, Any]:
    """Form codes, a quaternion with its offsets, rows of the sform, voxel sizes: either agrees with the other."""
    sizes = np.array([any_of(random, 0.5, 0.7, 1.0, 2.0, 5.0) for _ in range(3)], np.float32).astype(float)
    qfac = float(any_of(random, 1, 1, -1))
    quaternion = random.normal(0, 1, 4)
    if random.random() < 0.5:  # along the axes of the patient
        quaternion = np.array(any_of(random, (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 1.0)))
    quaternion = quaternion / np.linalg.norm(quaternion)
    quaternion = (quaternion if quaternion[0] >= 0 else -quaternion)[1:].astype(np.float32).astype(float)
    offset = random.integers(-200, 200, 3).astype(float)
    place = of_quaternion(quaternion, qfac, sizes, offset).astype(np.float32).astype(float)
    sform, qform = any_of(random, (1, 0), (0, 1), (1, 1), (2, 1), (4, 2), (5, 0), (0, 3), (0, 0))
    fields = {"pixdim": [qfac, *sizes, 0, 0, 0, 0], "quaternion": quaternion, "offsets": offset, "srow": place[:3]}
    return fields | {"sform": sform, "qform": qform}


def _scaled(raw: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """A slope of 0 says that there is none; NaN is what nibabel writes for that."""
    raw = raw.astype(float)
    with np.errstate(invalid="ignore"):
        return raw if slope == 0 or np.isnan(slope) else raw * slope + inter


def _extension(random: Random, order: str) -> bytes:
    size = 16 * int(random.integers(1, 4))
    return struct.pack(order + "ii", size, 6) + b"x" * (size - 8)


def _no_number(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["datatype"], fields["bitpix"] = any_of(random, *NO_NUMBER.values())
    odd.append(NO_NUMBERS)


def _volumes(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["dim"][:5] = [4, *fields["dim"][1:4], int(random.integers(2, 9))]
    odd.append("volumes")


def _shape(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    if random.random() < 0.5:
        fields["dim"][int(random.integers(1, 4))] = int(any_of(random, 0, -1, -5))
    else:
        fields["dim"][0] = 1
    odd.append("shape")


def _too_long(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["dim"][int(random.integers(1, 4))] += int(any_of(random, 1, 30000))
    odd.append("cannot be read")


def _scale(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["slope"] = float(any_of(random, np.inf, -np.inf, 3e38))
    odd.append(SCALE)


def _inter(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["slope"], fields["inter"] = 1.0, float(any_of(random, np.inf, np.nan))
    odd.append("invalid intercept")


def _unit(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["xyzt"] = int(any_of(random, 5, 7, 123))
    odd.append("mm was assumed")


def _code(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields[any_of(random, "sform", "qform")] = int(any_of(random, 6, 77, -1))
    odd.append(FORM)


def _contradicting(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["sform"], fields["qform"] = 1, 1
    fields["srow"] = np.array(fields["srow"]) * ((-1,), (-1,), (1,))
    odd.append("sform and qform of the NIfTI header lie up to")


def _size(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["sform"], fields["pixdim"][int(random.integers(1, 4))] = 0, float(any_of(random, 0, np.nan))
    odd.append(NO_SIZE)


def _singular(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["sform"] = 1
    fields["srow"] = np.array(fields["srow"]) * any_of(random, 0, np.nan)
    odd.append("singular")


def _in_header(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["offset"] = int(any_of(random, 0, 16, 348))
    odd.append("vox_offset is")


def _pair(fields: dict[str, Any], odd: list[str], _: Random) -> None:
    fields["pair"] = True
    odd.append("pair")


def _intent(fields: dict[str, Any], odd: list[str], random: Random) -> None:
    fields["intent"] = int(any_of(random, 3, 1002, 999))
    odd.append("intent_code")


_WRONG = (_no_number, _volumes, _shape, _too_long, _scale, _inter, _unit, _code, _contradicting, _size, _singular,
          _in_header, _pair, _intent)  # fmt: skip


def _ended(random: Random, body: bytes, odd: list[str]) -> tuple[bytes, list[str]]:
    if odd or random.random() < 0.8:
        return body, odd
    if random.random() < 0.5:
        return body + b"more", ["goes on behind the last voxel"]
    return body[: -int(random.integers(1, 9))], ["cannot be read"]


def unpacked(data: bytes) -> bytes:
    """What a gzip holds as far as it can be unpacked; other bytes as they are."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return b""


def damaged(random: Random) -> tuple[str, str, bytes]:
    """(what was done, name, bytes): up to three bytes of the header changed, or the file cut or packed and damaged."""
    made = nifti(random)
    while made.odd:
        made = nifti(random)
    body = bytearray(unpacked(made.data))
    what = any_of(random, "header", "header", "header", "header", "field", "cut", "gzip")
    head = 348 if made.what["version"] == 1 else 540
    if what == "header":
        for _ in range(int(random.integers(1, 4))):
            at = int(any_of(random, int(random.integers(head)), int(random.integers(40, 124)),
                            int(random.integers(252, 328))))  # fmt: skip
            body[at] = int(any_of(random, int(random.integers(256)), body[at] ^ (1 << int(random.integers(8)))))
            what += f" {at}"
    elif what == "field":
        name = any_of(random, *PLACES)
        kind, byte = PLACES[name][:2] if made.what["version"] == 1 else PLACES[name][2:]
        size = struct.calcsize("<" + kind)
        body[byte : byte + size] = any_of(random, bytes(size), b"\xff" * size, random.bytes(size))
        what += f" {name}"
    elif what == "cut":
        del body[int(random.integers(len(body))) :]
    else:
        packed = bytearray(gzip.compress(bytes(body), 1))
        packed[int(random.integers(len(packed)))] ^= 1 << int(random.integers(8))
        return what, "a.nii.gz", bytes(packed)
    return what, "a.nii", bytes(body)


def pair(random: Random) -> dict[str, bytes]:
    """A NIfTI pair or an Analyze 7.5 one, which has no magic, by the names a.hdr and a.img."""
    made = nifti(random)
    while made.odd or made.what["version"] == 2:
        made = nifti(random)
    head = bytearray(header(made.what | {"pair": True, "offset": 0}))
    if random.random() < 0.5:
        head[252:] = bytes(len(head) - 252)
        head[38:39] = b"r"
    body = unpacked(made.data)[made.what["offset"] :]
    return {"a.hdr": bytes(head), "a.img": body}

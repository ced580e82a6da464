"""The bytes of a NIfTI file: header, values, and what of them does not fit together."""

from __future__ import annotations

import gzip
import logging
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from medvis.core.arrays import Array, Float64s
from medvis.errors import InputError
from medvis.io.magic import head_of

GZIP = b"\x1f\x8b"
_LONGEST = 544  # bytes: the header of NIfTI-2, and the four that say whether there are extensions
_CHUNK = 1 << 20
_AGAIN = "copy or export it again"


class Image(NamedTuple):
    """What nibabel makes of a file, without the header's extensions: nothing is taken from them, and nibabel refuses
    a file for one that is no whole number of 16 bytes or has zeros behind it, where others read the values.

    Attributes:
        header: nibabel's, mended.
        affine: float64 [4, 4] from (i, j, k) to RAS+: sform, else qform, else of the pixel sizes alone.
        dataobj: nibabel's ArrayProxy.
    """

    header: Any
    affine: Float64s
    dataobj: Any


class Loaded(NamedTuple):
    """A volume as it is stored.

    Attributes:
        values: [i, j, k], not scaled.
        image: header, transform and values by nibabel, which mends a header where it can (a pixel size of 0 becomes 1).
        raw: the header as it is in the file, nibabel's class.
        notes: what had to be assumed.
    """

    values: Array
    image: Image
    raw: Any
    notes: list[str]


def load(path: Path) -> Loaded:
    """Reads a single-file NIfTI-1 or NIfTI-2, packed or not; a packed one to its end, so that its checksum counts.

    Raises:
        InputError: unreadable, truncated, damaged, colour, complex, or more than one volume.
    """
    from nibabel.imageglobals import LoggingOutputSuppressor  # noqa: PLC0415 - 0.3 s, and only this format needs it

    logging.getLogger("nibabel").addHandler(logging.NullHandler())  # else Python prints what no handler takes
    try:
        with LoggingOutputSuppressor():
            image, raw, notes = _image(path)
            stored = np.asanyarray(image.dataobj.get_unscaled())
    except InputError:
        raise
    except Exception as error:  # nibabel raises what the broken bytes happen to lead to
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{path} is a NIfTI file that cannot be read: {reason}", hint=_AGAIN) from error
    return Loaded(stored.reshape((*stored.shape, 1)[:3]), image, raw, [*notes, *_said_of_values(raw, path)])


def _image(path: Path) -> tuple[Image, Any, list[str]]:
    """The image, the header as it is, and notes; a plain .nii is mapped, not read."""
    import nibabel  # noqa: PLC0415 - as above

    head = head_of(path)
    packed = head.startswith(GZIP)
    if packed:
        with gzip.open(path) as stream:
            head = stream.read(_LONGEST)
    if head[344:348] == b"ni1\x00" or head[4:8] == b"ni2\x00":
        raise InputError(f"{path} is the header of a .hdr/.img pair", "a single .nii or .nii.gz", "convert it")
    kind: Any = nibabel.Nifti2Header if head[4:8] == b"n+2\x00" else nibabel.Nifti1Header
    raw = kind(head[: kind.sizeof_hdr], check=False)
    _check_shape(tuple(int(size) for size in raw.get_data_shape()), path)
    fixed, notes = _with_offset(raw, head, path)
    needed = int(fixed["vox_offset"]) + int(np.prod(raw.get_data_shape(), dtype=object)) * _bytes_a_voxel(raw, path)
    if not packed and not notes and path.name.lower().endswith(".nii"):
        return _proxy(raw, str(path)), raw, _left_over(needed, path.stat().st_size)
    with gzip.open(path) if packed else path.open("rb") as opened:
        data, size = _read(opened, needed)  # type: ignore[arg-type]
    return _proxy(fixed, BytesIO(data)), raw, [*notes, *_left_over(needed, size)]


def _proxy(raw: Any, source: str | BytesIO) -> Image:  # noqa: ANN401 - nibabel's header
    """The image of a header that is not checked yet, whose values lie in a file or in memory."""
    import nibabel  # noqa: PLC0415 - 0.3 s, and only this format needs it

    proxy: Any = nibabel.arrayproxy.ArrayProxy
    header = type(raw)(raw.binaryblock, endianness=raw.endianness, check=True)
    return Image(header, header.get_best_affine(), proxy(source, header))


def _check_shape(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"{path} has the shape {list(shape)}", "a 3-D volume")
    if len(shape) > 3 and any(size > 1 for size in shape[3:]):
        raise InputError(f"{path} holds {int(np.prod(shape[3:], dtype=object))} volumes", "one 3-D volume", "split it")


def _bytes_a_voxel(raw: Any, path: Path) -> int:  # noqa: ANN401 - nibabel's header
    from nibabel.spatialimages import HeaderDataError  # noqa: PLC0415 - as above

    try:
        kind = raw.get_data_dtype()
    except (KeyError, HeaderDataError):  # a code that does not exist, or one that nibabel does not read
        kind = None
    if kind is None or kind.kind not in "iuf":
        found = f"datatype {int(raw['datatype'])}" if kind is None else f"{kind.name} values"
        raise InputError(f"{path} holds {found}", "one real number per voxel")
    return int(kind.itemsize)


def _with_offset(raw: Any, head: bytes, path: Path) -> tuple[Any, list[str]]:  # noqa: ANN401 - nibabel's header
    """The header with a vox_offset that can be, and a note if its own cannot."""
    least, offset = raw.sizeof_hdr + 4, float(raw["vox_offset"])
    if offset >= least:
        return raw, []
    if not np.isfinite(offset) or any(head[raw.sizeof_hdr : least]):  # extensions lie between header and values
        raise InputError(
            f"{path}: vox_offset is {offset:g}, so that it is not known where the values begin",
            f"at least {least}", _AGAIN,
        )  # fmt: skip
    fixed = raw.copy()
    fixed["vox_offset"] = least  # ITK and others read the values where they must begin
    return fixed, [f"vox_offset is {offset:g}, which lies within the header; the values were read from byte {least}"]


def _read(stream: BinaryIO, needed: int) -> tuple[bytes, int]:
    """As many bytes as the header asks for, and how many there are. To the end: there gzip's checksum stands."""
    pieces, size = [], 0
    try:
        while piece := stream.read(_CHUNK):
            if size < needed:
                pieces.append(piece[: needed - size])
            size += len(piece)
    except gzip.BadGzipFile as error:
        if size < needed or "Not a gzipped file" not in str(error):  # else something else follows a whole gzip
            raise
        size += 1
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the gzip data is damaged or ends too early ({error})") from error
    return b"".join(pieces), size


def _left_over(needed: int, size: int) -> list[str]:
    """Before anything is allocated: a damaged header may announce more than there is memory."""
    if size < needed:
        raise ValueError(f"its header announces {needed} bytes, and there are {size}")
    if size == needed:
        return []
    return ["the file goes on behind the last voxel that its header announces; what follows was not read"]


def _said_of_values(raw: Any, path: Path) -> list[str]:  # noqa: ANN401 - nibabel's header
    """Notes on the header's scale and intent. NaN is what nibabel itself writes for no scale."""
    slope = float(raw["scl_slope"])
    if np.isinf(slope):
        raise InputError(f"{path}: scl_slope is {slope:g}", "a finite number", _AGAIN)
    code = int(raw["intent_code"])
    if code == 0:
        return []
    try:
        what = str(raw.get_intent()[0])
    except Exception:  # a code that NIfTI does not have
        what = "which does not exist"
    return [f"the NIfTI header says by intent_code {code} ({what}) that the values are derived; read as an image"]

"""The bytes of a NIfTI file: header, values, and what of them does not fit together."""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from medvis.core.arrays import Array
from medvis.errors import InputError
from medvis.io.magic import head_of

GZIP = b"\x1f\x8b"
_LONGEST = 544  # bytes: the header of NIfTI-2, and the four that say whether there are extensions
_CHUNK = 1 << 20
_AGAIN = "copy or export it again"


class Loaded(NamedTuple):
    """A volume as it is stored.

    Attributes:
        values: [i, j, k], not scaled.
        image: nibabel's; its header is mended where nibabel knows how (a pixel size of 0 becomes 1).
        raw: the header as it is in the file, nibabel's class.
        notes: what had to be assumed.
    """

    values: Array
    image: Any
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
    if stored.dtype.kind not in "iufb":
        raise InputError(f"{path} holds {stored.dtype} values", "one real number per voxel")
    return Loaded(stored.reshape((*stored.shape, 1)[:3]), image, raw, [*notes, *_said_of_values(raw, path)])


def _image(path: Path) -> tuple[Any, Any, list[str]]:
    """Nibabel's image, the header as it is, and notes; a plain .nii is mapped, not read."""
    import nibabel  # noqa: PLC0415 - as above

    head = head_of(path)
    packed = head.startswith(GZIP)
    if packed:
        with gzip.open(path) as stream:
            head = stream.read(_LONGEST)
    if head[344:348] == b"ni1\x00" or head[4:8] == b"ni2\x00":
        raise InputError(f"{path} is the header of a .hdr/.img pair", "a single .nii or .nii.gz", "convert it")
    kind: Any = nibabel.Nifti2Image if head[4:8] == b"n+2\x00" else nibabel.Nifti1Image
    raw = kind.header_class(head[: kind.header_class.sizeof_hdr], check=False)
    _check_shape(tuple(int(size) for size in raw.get_data_shape()), path)
    fixed, notes = _with_offset(raw, head, path)
    needed = int(fixed["vox_offset"]) + int(np.prod(raw.get_data_shape(), dtype=object)) * raw.get_data_dtype().itemsize
    if not packed and not notes and path.name.lower().endswith(".nii"):
        return kind.from_filename(path), raw, _left_over(path.stat().st_size - needed)
    with gzip.open(path) if packed else path.open("rb") as opened:
        data, more = _read(opened, needed)  # type: ignore[arg-type]
    return kind.from_bytes(fixed.binaryblock + data[raw.sizeof_hdr :]), raw, [*notes, *_left_over(more)]


def _check_shape(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"{path} has the shape {list(shape)}", "a 3-D volume")
    if len(shape) > 3 and any(size > 1 for size in shape[3:]):
        raise InputError(f"{path} holds {int(np.prod(shape[3:], dtype=object))} volumes", "one 3-D volume", "split it")


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
    """As many bytes as the header asks for, and how many more there are. To the end: there gzip's checksum stands."""
    pieces, size, more = [], 0, 0
    try:
        while piece := stream.read(_CHUNK):
            wanted = piece[: max(0, needed - size)]
            if wanted:
                pieces.append(wanted)
            size, more = size + len(wanted), more + len(piece) - len(wanted)
    except gzip.BadGzipFile as error:
        if size < needed or "Not a gzipped file" not in str(error):  # else something else follows a whole gzip
            raise
        more += 1
    except (EOFError, zlib.error) as error:
        raise ValueError(f"the gzip data is damaged or ends too early ({error})") from error
    return b"".join(pieces), more


def _left_over(more: int) -> list[str]:
    if more <= 0:
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

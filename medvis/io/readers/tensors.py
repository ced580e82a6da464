"""The safetensors container, read with every size checked: a length, a JSON header, then the arrays' bytes.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length; ``data_offsets`` count from the
end of the header). The arrays are views of the given bytes: nothing is copied, nothing is executed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import TypeGuard

import numpy as np

from medvis.core.arrays import Array
from medvis.errors import InputError, OutputError

HEADER_LIMIT = 32 * 1024 * 1024
_KINDS = {"F32": "<f4", "F64": "<f8", "I32": "<i4", "BOOL": "|b1"}


def pack(arrays: Mapping[str, Array], key: str, text: str) -> bytes:
    """Arrays and one metadata entry as safetensors. Equal content gives equal bytes (hence one entry only).

    Raises:
        OutputError: the text is larger than a reader would accept.
    """
    import safetensors.numpy  # noqa: PLC0415 - only the chained commands need it

    if len(text) > HEADER_LIMIT // 2:
        raise OutputError(f"the case's description has {len(text)} characters", f"at most {HEADER_LIMIT // 2}")
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(safetensors.numpy.save(solid, metadata={key: text}))


def unpack(data: bytes | bytearray, name: str) -> tuple[dict[str, Array], dict[str, str]]:
    """Arrays and metadata of a safetensors container.

    Args:
        data: the whole container; the arrays are views of it, read-only if `data` is `bytes`.
        name: what to call it in a message.

    Raises:
        InputError: truncated, not safetensors, or sizes that contradict each other.
    """
    size = int.from_bytes(data[:8], "little")
    start = 8 + size
    if len(data) < 8 or size > HEADER_LIMIT or start > len(data):
        raise InputError(f"{name} is truncated or not a case file ({len(data)} bytes)")
    try:
        header = json.loads(bytes(data[8:start]))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} has a header that is not JSON") from error
    if not isinstance(header, dict):
        raise InputError(f"{name} has a header that is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{name} has metadata that are not texts")
    return {key: _array(data, start, entry, f"{name}: array '{key}'") for key, entry in header.items()}, metadata


def _array(data: bytes | bytearray, start: int, entry: object, name: str) -> Array:
    if not isinstance(entry, dict) or str(entry.get("dtype")) not in _KINDS:
        raise InputError(f"{name} has an unknown type", f"one of {', '.join(_KINDS)}")
    kind = np.dtype(_KINDS[str(entry["dtype"])])
    shape, span = entry.get("shape"), entry.get("data_offsets")
    if not (_sizes(shape) and _sizes(span) and len(span) == 2 and len(shape) <= 8):
        raise InputError(f"{name} has no valid shape or offsets")
    first, last = span
    if not first <= last <= len(data) - start or math.prod(shape) * kind.itemsize != last - first:
        raise InputError(f"{name} is truncated or does not fit its shape {shape}")
    flat: Array = np.frombuffer(data, np.uint8, last - first, start + first)
    if kind == np.bool_ and flat.size and flat.max() > 1:
        raise InputError(f"{name} holds values other than true and false")
    return _native(flat.view(kind)).reshape(shape)


def _sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**48 for item in value)


def _native(array: Array) -> Array:
    """Aligned and in this machine's byte order; a copy only where it is not so already."""
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("="))
    return np.require(array, requirements="A")

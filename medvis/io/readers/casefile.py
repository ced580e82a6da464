"""The self-describing case file that lets commands be chained: a scan, and what the stages have added to it so far.

A safetensors container: reading it runs no code. The arrays are its tensors, named by the field that
holds them (``case.scan.pixels``); all the rest is JSON in its one metadata entry, ``medvis-case``. What is read is
checked against the types of `core`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from medvis.core.arrays import Array
from medvis.core.case import Candidates, Case, Prediction
from medvis.core.frames import Frames
from medvis.core.geometry import Geometry
from medvis.core.protocols import Magic, Reader
from medvis.core.scan import Scan
from medvis.errors import InputError, OutputError
from medvis.io.readers.tensors import pack, unpack

VERSION = 3
_KEY = "medvis-case"
_HOLDERS = (Case, Scan, Geometry, Prediction, Candidates)  # the dataclasses that hold arrays
_SHAPES = {
    "case.scan.pixels": "frc*",
    "case.scan.valid": "frc",
    "case.scan.geometry.positions": "f3",
    "case.scan.geometry.orientation": "6",
    "case.view": "frc*",
    "case.region": "frc",
    "case.mask": "frc",
    "case.evidence": "frc",
    "case.prediction.mask_logits": "f*rc",
    "case.prediction.spread": "frc",
    "case.prediction.evidence": "frc",
    "case.prediction.logits": "k",
    "case.prediction.logits_spread": "k",
    "case.prediction.embedding": "d",
    "case.prediction.candidates.frame": "n",
    "case.prediction.candidates.box": "n4",
    "case.prediction.candidates.center": "n2",
    "case.prediction.candidates.logits": "nk",
    "case.prediction.candidates.spread": "nk",
    "case.prediction.candidates.embedding": "nd",
    "case.prediction.candidates.views": "n",
}


def save_case(case: Case) -> bytes:
    """The whole case as bytes; `load_case` gives it back bit by bit. Equal cases give equal bytes.

    Raises:
        OutputError: a setting or detail that JSON cannot hold, or an array of another type than `core` declares.
    """
    arrays: dict[str, Array] = {}
    try:
        body = {"version": VERSION, "case": _encode(case, "case", arrays)}
        text = json.dumps(body, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise OutputError(
            f"the case cannot be written: {error}", "settings and details that are JSON values"
        ) from error
    return pack(arrays, _KEY, text.encode("utf-8", "replace").decode())


def load_case(data: bytes | bytearray, name: str = "the case file") -> Case:
    """A case from its bytes.

    Args:
        data: as `save_case` gave it. The arrays are views of it: read-only from `bytes`, writable from `bytearray`.
        name: what to call it in a message.

    Raises:
        InputError: truncated, of another kind or version, or contradicting itself.
    """
    arrays, metadata = unpack(data, name)
    if _KEY not in metadata:
        raise InputError(f"{name} is a safetensors file without a case", "a file written by a medvis command")
    try:
        body = json.loads(metadata[_KEY])
        version = body["version"]
        if version != VERSION:
            raise InputError(f"{name} is a case of version {version!r}", f"{VERSION}", "use the medvis that wrote it")
        case: Case = _decode(Case, body["case"], "case", arrays)
    except (ValidationError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(f"{name} is damaged: {_first_line(error)}") from error
    _check(case, name)
    return case


def read_case(file: BinaryIO, name: str = "standard input") -> Case:
    """A case from an open binary file or pipe, read to its end. Raises InputError as `load_case`."""
    data = bytearray()
    while chunk := file.read(1 << 20):
        data += chunk
    return load_case(data, name)


class CaseReader(Reader):
    """Reads the scan inside a case file."""

    name = "case"
    title = "case file"
    wanted = "a case file of a medvis command"
    magic = (Magic(f'{{"__metadata__":{{"{_KEY}":'.encode(), "case", 8),)  # behind the length of the header
    patterns = ("*.case",)
    in_folders = "never"

    def read(self, path: Path) -> Scan:
        """The scan, without what the stages have added. Raises InputError."""
        try:
            with path.open("rb") as file:
                return read_case(file, str(path)).scan
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error


def _encode(holder: Any, name: str, arrays: dict[str, Array]) -> dict[str, Any]:  # noqa: ANN401 - a holder
    """What JSON shall hold of a holder; its arrays go to `arrays` and leave their name."""
    kind: Any = type(holder)
    body: dict[str, Any] = {}
    for field, (hint, _) in _hints(kind).items():
        value, key = getattr(holder, field), f"{name}.{field}"
        if isinstance(value, np.ndarray | Frames):
            arrays[key] = _typed(np.asarray(value), hint, key)
            value = key
        body[field] = _encode(value, key, arrays) if isinstance(value, _HOLDERS) else value
    return body


def _plain(value: object) -> object:
    """For `json`: the models and dataclasses of a case, and numbers that numpy made."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if is_dataclass(value) and not isinstance(value, type):
        # A field that is not compared is no part of the value: `Source.parsed` only saves reading the files again.
        return {item.name: getattr(value, item.name) for item in fields(value) if item.compare}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _decode(kind: Any, body: Mapping[str, Any], name: str, arrays: Mapping[str, Array]) -> Any:  # noqa: ANN401 - a holder
    values: dict[str, Any] = {}
    for field, (hint, optional) in _hints(kind).items():
        value, key = body[field], f"{name}.{field}"
        if value is None and optional:
            values[field] = None
        elif hint in _HOLDERS:
            values[field] = _decode(hint, value, key, arrays)
        elif get_origin(hint) is np.ndarray:
            values[field] = _typed(arrays[value], hint, key)
        else:
            values[field] = _adapter(hint).validate_python(value)
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, tuple[Any, bool]]:  # noqa: ANN401 - a type
    """Field → its type without None, and whether None is allowed."""
    hints = get_type_hints(kind)
    return {item.name: _without_none(hints[item.name]) for item in fields(kind)}


def _without_none(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 - a type
    if get_origin(hint) is UnionType:
        return next(part for part in get_args(hint) if part is not type(None)), True
    return hint, False


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a type
    return TypeAdapter(hint)


def _typed(array: Array, hint: Any, key: str) -> Array:  # noqa: ANN401 - a type
    wanted = np.dtype(get_args(get_args(hint)[1])[0])
    if array.dtype != wanted:
        raise TypeError(f"{key} is {array.dtype}, wanted: {wanted}")
    return array


def _check(case: Case, name: str) -> None:
    """Every array must fit the others, so that no later stage meets a shape it was not written for."""
    geometry = case.scan.geometry
    lengths = [length for length in (*(geometry.spacing or ()), geometry.slice_spacing) if length is not None]
    if case.scan.pixels.size == 0 or not all(0 < length < np.inf for length in lengths):
        raise InputError(f"{name} is damaged: pixels {list(case.scan.pixels.shape)}, spacing {lengths} mm")
    sizes = {"f": case.scan.frames, "r": case.scan.shape[0], "c": case.scan.shape[1]}
    if case.prediction:
        sizes["k"] = len(case.prediction.labels)
    for key, array in _arrays(case, "case"):
        axes = _SHAPES[key]
        wanted = [int(axis) if axis.isdigit() else sizes.get(axis) for axis in axes]
        fits = len(axes) == array.ndim and all(
            size is None or size == have for size, have in zip(wanted, array.shape, strict=True)
        )
        if not fits:
            raise InputError(f"{name} is damaged: {key} has shape {list(array.shape)}")
        sizes |= {axis: have for axis, have in zip(axes, array.shape, strict=True) if axis.isalpha()}
    if case.prediction:
        _check_distribution(case.prediction, name)
    for finding in case.findings or ():
        if not 0 <= finding.first_frame <= finding.key_frame <= finding.last_frame < case.scan.frames:
            raise InputError(f"{name} is damaged: finding {finding.id} lies on frames that do not exist")


def _check_distribution(prediction: Prediction, name: str) -> None:
    for entry in () if prediction.distribution is None else prediction.distribution.ranked:
        if not 0 <= entry.index < len(prediction.labels):
            raise InputError(f"{name} is damaged: label {entry.index} of {len(prediction.labels)}")


def _arrays(value: object, name: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, _HOLDERS):
        for item in fields(value):
            yield from _arrays(getattr(value, item.name), f"{name}.{item.name}")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg'].lower()}"
    return f"{type(error).__name__.lower()} {error}"[:200]

"""What highdicom knows of the DICOM standard, module by module instead of all at once.

highdicom keeps the attributes of every module (PS3.3) in 22 MB of JSON, and parses and holds all of it, 60 MB in nearly
a million objects, to look at the handful of modules that an object has. Beside a long series that room is needed.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Attributes = list[dict[str, Any]]
_FUNCTION, _FILE = "get_module_attribute_map", Path("_standard", "module_attribute_map.json")
_NAME = re.compile(rb'^  "([^"]+)": \[', re.MULTILINE)
_FIRST, _LAST = b'{\n  "', b"\n  ]\n}"


class Modules(Mapping[str, Attributes]):
    """Module → its attributes, as the JSON file has them; a module is parsed when it is asked for.

    Args:
        path: of the file: an object of arrays, indented by two, each with its name at the start of a line.

    Raises:
        ValueError: the file is laid out in another way.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            self._text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        if self._text[: len(_FIRST)] != _FIRST or self._text[-8:].rstrip()[-len(_LAST) :] != _LAST:
            raise ValueError(f"{path} is not laid out as expected")
        self._known: dict[str, Attributes] = {}

    def __getitem__(self, name: str) -> Attributes:
        if name not in self._known:
            key = f'\n  "{name}": '.encode()
            start = self._text.find(key)
            if start < 0:
                raise KeyError(name)
            end = self._text.find(b"\n  ]", start)
            self._known[name] = json.loads(self._text[start + len(key) : end + 4])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (found[1].decode() for found in _NAME.finditer(self._text))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@cache
def lighten() -> bool:
    """Lets highdicom look modules up one by one. False: this highdicom does not keep them so, and stays as it is."""
    from highdicom import _standard_utils, base, image  # noqa: PLC0415 - 0.2 s; only where DICOM is written

    places: list[Any] = [place for place in (_standard_utils, base, image) if hasattr(place, _FUNCTION)]
    try:
        modules = Modules(Path(str(_standard_utils.__file__)).parent / _FILE)
    except (OSError, ValueError):
        return False
    for place in places:
        setattr(place, _FUNCTION, lambda: modules)
    return bool(places)

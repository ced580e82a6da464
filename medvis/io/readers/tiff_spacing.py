"""The size of a TIFF's pixels, where its description gives that of the object: OME-XML, or ImageJ with a length.

The resolution tags alone are about print.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import isfinite
from typing import Any

_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "µm": 1e-3, "μm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "nm": 1e-6}


def spacing_of(page: Any) -> tuple[float, float] | None:  # noqa: ANN401 - tifffile.TiffPage
    """(between rows, between columns) in mm of the pixels as stored; None where the file does not say it.

    Args:
        page: the first of the file, which has the description.
    """
    text = str(page.tags[270].value) if 270 in page.tags else ""
    if text.startswith("ImageJ="):
        return _imagej(text, page)
    return _ome(text) if "<OME" in text[:4096] or "<ome:OME" in text[:4096] else None


def _ome(text: str) -> tuple[float, float] | None:
    """PhysicalSizeX and PhysicalSizeY of the Pixels, in µm unless a unit is given (OME schema 2016-06)."""
    heads = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    sizes = [
        (re.search(rf'\bPhysicalSize{axis}="([^"]*)"', head), re.search(rf'\bPhysicalSize{axis}Unit="([^"]*)"', head))
        for head in heads[:1]
        for axis in "YX"
    ]
    lengths = [_length(size[1], unit[1] if unit else "µm") for size, unit in sizes if size]
    return _both(lengths) if len(heads) == 1 else None


def _imagej(text: str, page: Any) -> tuple[float, float] | None:  # noqa: ANN401 - tifffile.TiffPage
    """The resolution tags count pixels in the unit of the description."""
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    unit = lines.get("unit", "").strip().replace("\\u00B5", "µ")
    tags = [page.tags[code].value for code in (283, 282) if code in page.tags]
    try:
        return _both([_length(1 / Fraction(*(int(part) for part in value)), unit) for value in tags])
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _length(size: str | Fraction, unit: str) -> float | None:
    try:
        length = float(size) * _MM[unit]
    except (KeyError, ValueError, OverflowError):
        return None
    return length if isfinite(length) and length > 0 else None


def _both(lengths: list[float | None]) -> tuple[float, float] | None:
    known = [length for length in lengths if length is not None]
    return (known[0], known[1]) if len(known) == len(lengths) == 2 else None

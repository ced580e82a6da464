"""What the tags of a TIFF page say of its samples (TIFF 6.0), and the names of what is not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medvis.errors import InputError

NONE, LZW, JPEG, ADOBE_DEFLATE, LZMA, PACKBITS, DEFLATE = 1, 5, 7, 8, 34925, 32773, 32946
COMPRESSIONS = {NONE: "none", LZW: "LZW", JPEG: "JPEG", ADOBE_DEFLATE: "Deflate", DEFLATE: "Deflate",
                LZMA: "LZMA", PACKBITS: "PackBits"}  # fmt: skip
PREDICTED = (LZW, ADOBE_DEFLATE, DEFLATE, LZMA)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRIC = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, YCBCR: 3}  # → samples without the extra ones
KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_CONVERT = "convert it with LZW or Deflate compression, e.g. tiffcp -c lzw"
_EXPORT = "export it as grey or RGB"
_MOST = 2**31  # bytes of a page, its last tiles whole


@dataclass(frozen=True)
class Layout:
    """The samples of a page.

    Attributes:
        rows, cols, samples: as stored; `orientation` turns them.
        bits: of a sample. kind: ``u``, ``i`` or ``f``.
        photometric: one of `PHOTOMETRIC`.
        extra: ExtraSamples: 0 unspecified, 1 associated alpha, 2 unassociated alpha.
        compression, predictor, fill_order, orientation: as the tags have them.
        separate: whether each sample has a plane of its own.
        segment: (rows, cols) of a strip or tile.
        tiled: whether segments are tiles, which are always whole.
        offsets, counts: of the segments in the file, in bytes.
        order: ``<`` or ``>``, of bytes in the file.
        tables: JPEGTables. palette: ColorMap, three times 2^bits values. nodata: GDAL_NODATA, as it stands there.
    """

    rows: int
    cols: int
    samples: int
    bits: int
    kind: str
    photometric: int
    extra: tuple[int, ...]
    compression: int
    predictor: int
    fill_order: int
    orientation: int
    separate: bool
    segment: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    order: str
    tables: bytes | None
    palette: tuple[int, ...] | None
    nodata: str | None

    @property
    def planes(self) -> int:
        """Of samples that are stored one after the other."""
        return self.samples if self.separate else 1

    @property
    def packed(self) -> int:
        """Samples that lie side by side."""
        return 1 if self.separate else self.samples


def layout_of(page: Any, order: str, name: str) -> Layout:  # noqa: ANN401 - tifffile.TiffPage
    """The layout of a page.

    Args:
        page: as tifffile reads it.
        order: ``<`` or ``>``.
        name: of file and page, for messages.

    Raises:
        InputError: a tag is absent or makes no sense; or the page is of a kind that is not read, which is named.
    """
    tags = _Tags(page, name)
    compression = _named(tags, 259, COMPRESSIONS, "compression", _CONVERT, NONE)
    tiled = tags.has(322)
    rows, cols = tags.number(257), tags.number(256)
    strip = min(tags.number(278, rows), rows)
    layout = Layout(
        rows=rows,
        cols=cols,
        samples=tags.number(277, 1),
        bits=tags.same(258, 1),
        kind=_kind(tags),
        photometric=_named(tags, 262, PHOTOMETRIC, "photometric interpretation", _EXPORT),
        extra=tuple(tags.numbers(338)),
        compression=compression,
        predictor=tags.number(317, 1) if compression in PREDICTED else 1,  # others know no predictor
        fill_order=tags.number(266, 1),
        orientation=tags.number(274, 1),
        separate=tags.number(284, 1) == 2 and tags.number(277, 1) > 1,
        segment=(tags.number(323), tags.number(322)) if tiled else (strip, cols),
        tiled=tiled,
        offsets=tuple(tags.numbers(324 if tags.has(324) else 273)),
        counts=tuple(tags.numbers(325 if tags.has(325) else 279)),
        order=order,
        tables=tags.raw(347),
        palette=tuple(tags.numbers(320)) or None,
        nodata=tags.text(42113),
    )
    _check(layout, name)
    return layout


class _Tags:
    """The tags of a page as numbers."""

    def __init__(self, page: Any, name: str) -> None:  # noqa: ANN401 - tifffile.TiffPage
        self._tags, self.name = page.tags, name

    def has(self, code: int) -> bool:
        return code in self._tags

    def raw(self, code: int) -> Any:  # noqa: ANN401 - the value of any tag
        return self._tags[code].value if code in self._tags else None

    def text(self, code: int) -> str | None:
        value = self.raw(code)
        return None if value is None else str(value).strip("\x00 ")

    def numbers(self, code: int) -> list[int]:
        value = self.raw(code)
        if value is None:
            return []
        try:
            return [int(item) for item in np.ravel(value)]  # a ColorMap comes as an array of three rows
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{self.name} is truncated or corrupt: tag {code} is {str(value)[:40]!r}", "a number"
            ) from error

    def number(self, code: int, default: int | None = None) -> int:
        values = self.numbers(code)
        if values:
            return values[0]
        if default is None:
            raise InputError(f"{self.name} is truncated or corrupt: tag {code} is absent", "a TIFF with all its tags")
        return default

    def same(self, code: int, default: int) -> int:
        """Of all samples alike."""
        values = self.numbers(code) or [default]
        if len(set(values)) > 1:
            raise InputError(f"{self.name} has samples of {values} (tag {code})", "samples of one kind", _EXPORT)
        return values[0]


def _kind(tags: _Tags) -> str:
    value = tags.same(339, 1)
    if value not in KINDS:
        words = {5: "complex integers", 6: "complex numbers"}.get(value, str(value))
        raise InputError(f"{tags.name}: TIFF samples that are {words} are not read", "real numbers", _EXPORT)
    return KINDS[value]


def _named(tags: _Tags, code: int, known: dict[int, Any], what: str, hint: str, default: int | None = None) -> int:
    """The value of a tag that is one of those known; the others are refused by name."""
    value = tags.number(code, default)
    if value in known:
        return value
    from tifffile import tifffile  # noqa: PLC0415 - only for names

    names = tifffile.COMPRESSION if code == 259 else tifffile.PHOTOMETRIC
    try:
        name = names(value).name
    except ValueError:
        name = str(value)
    shown = {WHITE_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", YCBCR: "YCbCr with JPEG"}
    wanted = dict.fromkeys(known.values()) if code == 259 else shown.values()
    raise InputError(f"{tags.name}: TIFF {what} {name} is not read", ", ".join(wanted), hint)


def _check(layout: Layout, name: str) -> None:
    """Raises InputError where sizes contradict each other, or for a combination that is not read."""
    rows, cols = layout.segment
    least = min(layout.rows, layout.cols, layout.samples, rows, cols)
    down, across = -(-layout.rows // max(rows, 1)), -(-layout.cols // max(cols, 1))
    size = down * rows * across * cols * layout.samples * max(layout.bits // 8, 1)
    if least < 1 or size > _MOST:
        raise InputError(
            f"{name} is corrupt or too large: {layout.rows}×{layout.cols} px of {layout.samples} sample(s)",
            f"1 to {_MOST} bytes",
        )
    wanted = down * across * layout.planes
    if not len(layout.offsets) == len(layout.counts) == wanted:
        raise InputError(
            f"{name} is truncated or corrupt: {len(layout.offsets)} offsets, {len(layout.counts)} lengths of strips",
            f"{wanted} of each for {layout.rows}×{layout.cols} px",
        )
    _check_samples(layout, name)
    for problem, wanted_words in _unread(layout):
        raise InputError(f"{name}: TIFF {problem} is not read", wanted_words, _CONVERT)


def _check_samples(layout: Layout, name: str) -> None:
    base = PHOTOMETRIC[layout.photometric]
    if layout.samples < base or layout.orientation not in range(1, 9) or layout.fill_order not in (1, 2):
        raise InputError(
            f"{name} is truncated or corrupt: {layout.samples} sample(s), orientation {layout.orientation}, "
            f"fill order {layout.fill_order}",
            f"at least {base} samples, 1 to 8, 1 or 2",
        )
    if layout.photometric == PALETTE and (layout.palette is None or len(layout.palette) != 3 * 2**layout.bits):
        found = "no ColorMap" if layout.palette is None else f"a ColorMap of {len(layout.palette)} values"
        raise InputError(f"{name} is truncated or corrupt: {found}", f"three times {2**layout.bits}")


def _unread(layout: Layout) -> list[tuple[str, str]]:
    """(what is not read, what is) of this page."""
    problems = []
    bits, kind = layout.bits, layout.kind
    if bits not in ((16, 32, 64) if kind == "f" else (8, 16, 32, 64) if kind == "i" else (*range(1, 17), 32, 64)):
        words = {"f": "floating-point numbers", "i": "signed whole numbers", "u": "whole numbers"}[kind]
        problems.append((f"of {words} of {bits} bits", "8, 16, 32 or 64 bits, or unsigned ones of 1 to 16"))
    if layout.compression == JPEG and (bits, kind) != (8, "u"):
        problems.append((f"JPEG compression of {bits} bits", "8 bits"))
    if layout.compression == JPEG and layout.packed not in (1, 3):
        problems.append((f"JPEG compression of {layout.packed} samples a pixel", "1 or 3"))
    if layout.photometric == YCBCR and layout.compression != JPEG:
        problems.append(("photometric interpretation YCBCR without JPEG compression", "RGB"))
    if layout.predictor not in (1, 2, 3):
        problems.append((f"predictor {layout.predictor}", "1, 2 or 3"))
    elif layout.predictor > 1 and (bits not in (8, 16, 32, 64) or (layout.predictor == 3 and kind != "f")):
        problems.append((f"predictor {layout.predictor} with samples of kind '{kind}' and {bits} bits", "predictor 1"))
    if layout.fill_order == 2 and layout.compression != NONE:
        problems.append((f"fill order 2 with {COMPRESSIONS[layout.compression]} compression", "fill order 1"))
    return problems
